"""Computations in short slices, so that the event loop serves other requests between them."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

SLICE_SECONDS: Final = 0.005
# A single page of 100 contacts computes for about 10 ms, which other requests can wait for.
MAX_UNPAUSED_SECONDS: Final = 0.02


class TimeSlices:
    """Slices of all requests of the process: one request computes at a time, in turns, with pauses between them.

    Slices use at most half of the time. They may use `MAX_UNPAUSED_SECONDS` of their half in advance, so that a request
    that computes little does not pause.
    """

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._balanced_at = 0.0
        """Time at which the pauses will be as long as the slices so far."""

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
            pause = self._balanced_at - MAX_UNPAUSED_SECONDS - time.perf_counter()
            if pause > 0:
                await asyncio.sleep(pause)
        except BaseException:
            self._lock.release()
            raise
        return time.perf_counter()

    def _end(self, started: float) -> None:
        # The pause is as long as the slice, which one item can make longer than `SLICE_SECONDS`.
        seconds = time.perf_counter() - started
        self._balanced_at = max(self._balanced_at, started) + 2 * seconds
        self._lock.release()
