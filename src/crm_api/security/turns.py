"""Semaphores for callers: one whose callers take turns, and one for each caller."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary


class FairSemaphore:
    """Semaphore that serves waiting callers round robin; the many requests of one caller delay others by one turn."""

    def __init__(self, value: int) -> None:
        self._free = value
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    async def acquire(self, caller: str) -> None:
        """Wait for the caller's turn; `release` must follow."""
        if self._free:
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(caller, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.release()  # the turn was granted just before the cancellation
            elif turn in (turns := self._waiting.get(caller, deque())):
                turns.remove(turn)
                if not turns:
                    del self._waiting[caller]
            raise

    @asynccontextmanager
    async def turn(self, caller: str) -> AsyncGenerator[None, None]:
        """Wait for the caller's turn, which ends with the context."""
        await self.acquire(caller)
        try:
            yield
        finally:
            self.release()

    def release(self) -> None:
        """Grant the turn to the next caller that waits."""
        while self._waiting:
            caller, turns = next(iter(self._waiting.items()))
            turn = turns.popleft()
            if turns:
                self._waiting.move_to_end(caller)
            else:
                del self._waiting[caller]
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1


class SemaphorePerCaller:
    """Limit of simultaneous requests for each caller; further requests of a caller wait in the order of arrival."""

    def __init__(self, value: int) -> None:
        self._value = value
        self._semaphores: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    def of(self, caller: str) -> asyncio.Semaphore:
        """Return the caller's semaphore, which exists as long as a request of the caller refers to it."""
        return self._semaphores.setdefault(caller, asyncio.Semaphore(self._value))
