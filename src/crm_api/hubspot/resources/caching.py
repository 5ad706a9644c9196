"""Reads that many callers want at once, made once and remembered for a while."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from crm_api.hubspot.call_context import call_context
from crm_api.hubspot.errors import HubSpotDeadlineError
from crm_api.hubspot.sender import Sender

K = TypeVar("K")
V = TypeVar("V")


class SingleFlightCache(Generic[K, V]):
    """Concurrent reads of one key are one load; values are kept, errors are not."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._values: dict[K, tuple[float, V]] = {}
        self._loads: dict[K, asyncio.Task[V]] = {}

    async def get(
        self,
        key: K,
        load: Callable[[], Awaitable[V]],
        *,
        max_age_seconds: float,
        timeout_seconds: float | None = None,
    ) -> V:
        """The value, at most `max_age_seconds` old; with 0 it is read afresh, or awaited if that is under way.

        The load is nobody's in particular: a caller that is cancelled, or gives up after `timeout_seconds` with
        `TimeoutError`, leaves it to the others.
        """
        kept = self.kept(key, max_age_seconds=max_age_seconds)
        if kept is not None:
            return kept
        task = self._loads.get(key)
        if task is None:
            task = asyncio.ensure_future(self._load(key, load))
            self._loads[key] = task
            task.add_done_callback(lambda done: self._finished(key, done))
        async with asyncio.timeout(timeout_seconds):
            return await asyncio.shield(task)

    def kept(self, key: K, *, max_age_seconds: float) -> V | None:
        """The value where it is here and not older than that; no value is None."""
        kept = self._values.get(key)
        return kept[1] if kept is not None and self._clock() - kept[0] < max_age_seconds else None

    def forget(self, key: K) -> None:
        """Drop what is kept, and do not join a load that began before now."""
        self._values.pop(key, None)
        self._loads.pop(key, None)

    async def aclose(self) -> None:
        """Cancel what is under way."""
        tasks = list(self._loads.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _load(self, key: K, load: Callable[[], Awaitable[V]]) -> V:
        began = self._clock()
        value = await load()
        if self._loads.get(key) is asyncio.current_task():
            self._values[key] = (began, value)
        return value

    def _finished(self, key: K, task: asyncio.Task[V]) -> None:
        if self._loads.get(key) is task:
            del self._loads[key]
        if not task.cancelled():
            task.exception()  # seen here, so that nobody having waited for it is not reported as a mistake


async def read_shared(
    sender: Sender,
    cache: SingleFlightCache[K, V],
    key: K,
    read: Callable[[], Awaitable[V]],
    *,
    operation: str,
    max_age_seconds: float,
) -> V:
    """Read through the cache. The read has the default deadline, whoever began it; each caller waits within its own."""
    context = sender.context()

    async def load() -> V:
        with call_context(sender.default_deadline_seconds, caller=context.caller, clock=sender.clock) as own:
            try:
                return await read()
            finally:
                # Whoever began it is shown its cost.
                context.calls += own.calls
                context.wait_seconds += own.wait_seconds

    try:
        return await cache.get(
            key, load, max_age_seconds=max_age_seconds, timeout_seconds=max(0.0, context.remaining())
        )
    except TimeoutError:
        pass
    raise HubSpotDeadlineError("no time left", operation=operation, sent=False)
