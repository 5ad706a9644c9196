"""Computations over many records in short slices, so that the event loop serves other requests between them."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

SLICE_SECONDS: Final = 0.005


class TimeSlices:
    """Slices of all requests of the process: one request computes at a time, in turns."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    async def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        """Return the function's results. The request's deadline cancels it between two slices."""
        pending = deque(items)
        results: list[Result] = []
        while pending:
            async with self._turn:
                end = time.perf_counter() + SLICE_SECONDS
                while pending and time.perf_counter() < end:
                    results.append(function(pending.popleft()))
                if pending:
                    # Other requests need several iterations of the event loop, and no slice may start in this time.
                    await asyncio.sleep(SLICE_SECONDS)
        return results
