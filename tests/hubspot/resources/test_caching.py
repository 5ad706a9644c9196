"""Single-flight cache: shared loads, ages, errors and cancellation."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from crm_api.hubspot import SingleFlightCache


class Source:
    """Returns the number of the read once `released` is set."""

    def __init__(self) -> None:
        self.reads = 0
        self.released = asyncio.Event()
        self.error: Exception | None = None

    async def read(self) -> int:
        self.reads += 1
        number = self.reads
        await self.released.wait()
        if self.error is not None:
            raise self.error
        return number


class Reader:
    def __init__(self) -> None:
        self.now = 0.0
        self.cache: SingleFlightCache[str, int] = SingleFlightCache(clock=lambda: self.now)

    async def get(
        self, read: Callable[[], Awaitable[int]], *, max_age: float = 60.0, seconds: float = 5.0
    ) -> int:
        return await self.cache.get("key", read, max_age_seconds=max_age, timeout_seconds=seconds)


@pytest.fixture
def source() -> Source:
    source = Source()
    source.released.set()
    return source


async def test_concurrent_cache_reads_share_one_load() -> None:
    source, reader = Source(), Reader()
    readers = [asyncio.create_task(reader.get(source.read, max_age=0)) for _ in range(10)]
    await asyncio.sleep(0)
    source.released.set()
    assert await asyncio.gather(*readers) == [1] * 10
    assert source.reads == 1


async def test_cached_value_is_loaded_again_after_max_age(source: Source) -> None:
    reader = Reader()
    await reader.get(source.read)
    reader.now = 59.0
    assert await reader.get(source.read) == 1
    reader.now = 60.0
    assert await reader.get(source.read) == 2


async def test_cache_read_with_max_age_zero_loads_the_value_again(source: Source) -> None:
    reader = Reader()
    await reader.get(source.read)
    assert await reader.get(source.read, max_age=0) == 2
    assert await reader.get(source.read) == 2


async def test_load_error_is_raised_for_all_waiters_and_not_cached() -> None:
    source, reader = Source(), Reader()
    source.error = LookupError("nothing there")
    readers = [asyncio.create_task(reader.get(source.read)) for _ in range(3)]
    await asyncio.sleep(0)
    source.released.set()
    assert all(
        isinstance(outcome, LookupError) for outcome in await asyncio.gather(*readers, return_exceptions=True)
    )
    assert source.reads == 1
    source.error = None
    assert await reader.get(source.read) == 2


async def test_cancelled_caller_does_not_cancel_the_shared_cache_load() -> None:
    source, reader = Source(), Reader()
    first = asyncio.create_task(reader.get(source.read))
    await asyncio.sleep(0)
    second = asyncio.create_task(reader.get(source.read))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    source.released.set()
    assert await second == 1
    assert source.reads == 1


async def test_waiters_of_a_shared_load_have_separate_timeouts() -> None:
    source, reader = Source(), Reader()
    patient = asyncio.create_task(reader.get(source.read))
    with pytest.raises(TimeoutError):
        await reader.get(source.read, seconds=0.02)
    source.released.set()
    assert await patient == 1


async def test_invalidated_cache_key_is_loaded_again() -> None:
    source, reader = Source(), Reader()
    before = asyncio.create_task(reader.get(source.read))
    await asyncio.sleep(0)
    reader.cache.invalidate("key")
    after = asyncio.create_task(reader.get(source.read))
    await asyncio.sleep(0)
    source.released.set()
    assert await before == 1
    assert await after == 2
    assert await reader.get(source.read) == 2


async def test_cache_aclose_cancels_a_running_load() -> None:
    source, reader = Source(), Reader()
    waiting = asyncio.create_task(reader.get(source.read))
    await asyncio.sleep(0)
    await reader.cache.aclose()
    with pytest.raises(asyncio.CancelledError):
        await waiting
