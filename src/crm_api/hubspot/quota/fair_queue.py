"""Fair queue: turns go round robin to callers, and in order of arrival within one caller."""

import asyncio
from collections import Counter, OrderedDict, deque
from contextlib import suppress


class RecentCalls:
    """Number of calls that each caller started within the last seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._calls: deque[tuple[float, str | None]] = deque()
        self._counts: Counter[str | None] = Counter()

    def add(self, caller: str | None, now: float) -> int:
        """Count a call of this caller and return the number of its recent calls."""
        while self._calls and self._calls[0][0] <= now - self._seconds:
            _, earlier = self._calls.popleft()
            self._counts[earlier] -= 1
            if not self._counts[earlier]:
                del self._counts[earlier]
        self._calls.append((now, caller))
        self._counts[caller] += 1
        return self._counts[caller]


class FairQueue:
    """Grants one turn at a time. Many waiting requests of one caller do not delay the other callers."""

    def __init__(self) -> None:
        self._is_taken = False
        self._last_caller: str | None = None
        self._waiting: OrderedDict[str | None, deque[asyncio.Future[None]]] = OrderedDict()
        self._background: deque[asyncio.Future[None]] = deque()

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values())) + len(self._background)

    @property
    def calls_ahead(self) -> int:
        """Number of requests that have the turn or wait for it."""
        return len(self) + self._is_taken

    def take_free_turn(self) -> bool:
        """Take the turn if it is free. If True is returned, `release` must follow."""
        if self._is_taken:
            return False
        self._is_taken = True
        return True

    async def wait_for_turn(self, caller: str | None, *, is_background: bool = False) -> None:
        """Wait for the turn, in the background while any other request waits; `release` must follow."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if is_background:
            self._background.append(turn)
        else:
            self._waiting.setdefault(caller, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.release()  # the turn was granted just before the cancellation
            elif is_background:
                # `release` may have removed it since the cancellation.
                with suppress(ValueError):
                    self._background.remove(turn)
            else:
                self._remove(caller, turn)
            raise

    def release(self) -> None:
        """End the turn and grant it to the next caller."""
        while self._waiting:
            caller = self._next_caller()
            turns = self._waiting[caller]
            turn = turns.popleft()
            if turns:
                self._waiting.move_to_end(caller)
            else:
                del self._waiting[caller]
            if not turn.done():
                self._last_caller = caller
                turn.set_result(None)
                return
        while self._background:
            turn = self._background.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._is_taken = False

    def _next_caller(self) -> str | None:
        """Return the first caller of the round, or the second if the first has just had its turn."""
        callers = iter(self._waiting)
        first = next(callers)
        return next(callers, first) if first == self._last_caller else first

    def _remove(self, caller: str | None, turn: asyncio.Future[None]) -> None:
        turns = self._waiting.get(caller)
        if turns is None or turn not in turns:
            return
        turns.remove(turn)
        if not turns:
            del self._waiting[caller]
