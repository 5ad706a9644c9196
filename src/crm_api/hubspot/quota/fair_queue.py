"""Turns at something scarce, given round robin to callers and first come, first served within one."""

import asyncio
from collections import OrderedDict, deque


class FairQueue:
    """One turn at a time. Who asked a hundred times is one in the round, like who asked once."""

    def __init__(self) -> None:
        self._taken = False
        self._served: str | None = None
        self._waiting: OrderedDict[str | None, deque[asyncio.Future[None]]] = OrderedDict()

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def take_free_turn(self) -> bool:
        """Take the turn if nobody has it; `release` must then follow."""
        if self._taken:
            return False
        self._taken = True
        return True

    async def wait_for_turn(self, caller: str | None) -> None:
        """Wait for the turn that somebody else has now; `release` must follow."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(caller, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.release()  # it was ours already: hand it on
            else:
                self._leave(caller, turn)
            raise

    def release(self) -> None:
        """End the turn: it goes to the caller that has waited longest for one."""
        while self._waiting:
            caller = self._next_caller()
            turns = self._waiting[caller]
            turn = turns.popleft()
            if turns:
                self._waiting.move_to_end(caller)
            else:
                del self._waiting[caller]
            if not turn.done():
                self._served = caller
                turn.set_result(None)
                return
        self._taken = False

    def _next_caller(self) -> str | None:
        """The first in the round, unless it has just had its turn and somebody else waits too."""
        callers = iter(self._waiting)
        first = next(callers)
        return next(callers, first) if first == self._served else first

    def _leave(self, caller: str | None, turn: asyncio.Future[None]) -> None:
        turns = self._waiting.get(caller)
        if turns is None or turn not in turns:
            return
        turns.remove(turn)
        if not turns:
            del self._waiting[caller]
