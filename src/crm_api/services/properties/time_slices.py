"""Computations in short slices, so that the event loop serves other requests between them."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

SLICE_SECONDS: Final = 0.005
# After a shorter slice there is no pause: the timer of a pause costs more CPU than most small responses.
MIN_SLICE_WITH_PAUSE_SECONDS: Final = 0.001


class TimeSlices:
    """Slices of all requests of the process: one request computes at a time, in turns, with pauses between them."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._next_start = 0.0

    async def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        """Return the function's results. The request's deadline cancels it between two slices."""
        pending = deque(items)
        results: list[Result] = []
        while pending:
            started = await self._begin()
            try:
                while pending and time.perf_counter() < started + SLICE_SECONDS:
                    results.append(function(pending.popleft()))
            finally:
                self._end(started)
            if pending:
                # Requests that arrive now come before the next slice of this one.
                await asyncio.sleep(0)
        return results

    async def turn(self) -> None:
        """Wait until the caller may compute. Its slice ends when it waits for anything else.

        Use it before work that cannot be divided, such as parsing or writing the JSON of a large response.
        """
        started = await self._begin()
        # The event loop runs this callback after the caller, which continues without a pause.
        asyncio.get_running_loop().call_soon(self._end, started)

    async def _begin(self) -> float:
        """Wait for the start of a slice, and return its time; `_end` must follow."""
        await self._lock.acquire()
        try:
            # Other requests need several iterations of the event loop, and no slice may start in this time.
            pause = self._next_start - time.perf_counter()
            if pause > 0:
                await asyncio.sleep(pause)
        except BaseException:
            self._lock.release()
            raise
        return time.perf_counter()

    def _end(self, started: float) -> None:
        # The pause is as long as the slice, which one item can make longer than `SLICE_SECONDS`.
        ended = time.perf_counter()
        seconds = ended - started
        self._next_start = ended + seconds if seconds >= MIN_SLICE_WITH_PAUSE_SECONDS else ended
        self._lock.release()
