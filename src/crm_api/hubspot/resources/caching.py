"""Shared cached reads: concurrent callers of one key wait for one call."""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from crm_api.hubspot.call_context import call_context
from crm_api.hubspot.errors import HubSpotDeadlineError
from crm_api.hubspot.names import ObjectType
from crm_api.hubspot.sender import Sender

K = TypeVar("K")
V = TypeVar("V")


class SingleFlightCache(Generic[K, V]):
    """Cache in which concurrent reads of one key share one load. Errors are not cached."""

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
        """Return the value, at most `max_age_seconds` old; 0 forces a new load or joins the running one.

        The load runs in its own task: it continues if a caller is cancelled or stops waiting after `timeout_seconds`
        with `TimeoutError`.
        """
        cached = self.get_cached(key, max_age_seconds=max_age_seconds)
        if cached is not None:
            return cached
        task = self._loads.get(key)
        if task is None:
            task = asyncio.ensure_future(self._load(key, load))
            self._loads[key] = task
            task.add_done_callback(lambda done: self._finished(key, done))
        async with asyncio.timeout(timeout_seconds):
            return await asyncio.shield(task)

    def get_cached(self, key: K, *, max_age_seconds: float) -> V | None:
        """Return the cached value if it is not older than that. Values are never None."""
        entry = self._values.get(key)
        if entry is None or self._clock() - entry[0] >= max_age_seconds:
            return None
        return entry[1]

    def invalidate(self, key: K) -> None:
        """Drop the cached value, and do not let later callers join a load that started before now."""
        self._values.pop(key, None)
        self._loads.pop(key, None)

    async def aclose(self) -> None:
        """Cancel running loads."""
        tasks = list(self._loads.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _load(self, key: K, load: Callable[[], Awaitable[V]]) -> V:
        started = self._clock()
        value = await load()
        if self._loads.get(key) is asyncio.current_task():
            self._values[key] = (started, value)
        return value

    def _finished(self, key: K, task: asyncio.Task[V]) -> None:
        if self._loads.get(key) is task:
            del self._loads[key]
        if not task.cancelled():
            task.exception()  # marks it as retrieved: asyncio would log an error that no caller waited for


class SharedReads(ABC, Generic[V]):
    """Cached reads of one resource by object type. Every method raises `HubSpotError`s, which are not cached."""

    def __init__(self, sender: Sender, *, operation: str) -> None:
        self._sender = sender
        self._operation = operation
        self._cache: SingleFlightCache[ObjectType, V] = SingleFlightCache(clock=sender.clock)

    @abstractmethod
    async def _read(self, object_type: ObjectType) -> V:
        """Read the resource without the cache."""

    async def list(self, object_type: ObjectType, *, max_age_seconds: float = 300.0) -> V:
        """Return the resource, at most `max_age_seconds` old; 0 forces a new read. Concurrent callers share one read.

        Callers get the same object while it is cached. The read has the default deadline; each caller waits until its
        own deadline.
        """
        sender, context = self._sender, self._sender.context()

        async def load() -> V:
            seconds = sender.default_deadline_seconds
            with call_context(seconds, caller=context.caller, clock=sender.clock) as load_context:
                try:
                    return await self._read(object_type)
                finally:
                    # The caller that started the read is charged for it.
                    context.calls += load_context.calls
                    context.wait_seconds += load_context.wait_seconds

        timeout_seconds = max(0.0, context.remaining())
        try:
            return await self._cache.get(
                object_type, load, max_age_seconds=max_age_seconds, timeout_seconds=timeout_seconds
            )
        except TimeoutError:
            pass
        raise HubSpotDeadlineError("no time left", operation=self._operation, sent=False)

    async def aclose(self) -> None:
        """Cancel running reads."""
        await self._cache.aclose()
