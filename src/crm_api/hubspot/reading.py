"""Reads shared by callers with deadlines of their own."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from crm_api.hubspot.cache import SingleFlightCache
from crm_api.hubspot.errors import HubSpotDeadlineError
from crm_api.hubspot.scope import request_scope

if TYPE_CHECKING:
    from crm_api.hubspot.client import HubSpotClient

K = TypeVar("K")
V = TypeVar("V")


async def read_shared(
    client: "HubSpotClient",
    cache: SingleFlightCache[K, V],
    key: K,
    read: Callable[[], Awaitable[V]],
    *,
    operation: str,
    max_age_seconds: float,
) -> V:
    """Read through the cache. The read has the default deadline, whoever began it; each caller waits within its own."""
    scope = client.scope()

    async def load() -> V:
        with request_scope(client.default_deadline_seconds, caller=scope.caller, clock=client.clock) as own:
            try:
                return await read()
            finally:
                # Whoever began it is shown its cost.
                scope.calls += own.calls
                scope.wait_seconds += own.wait_seconds

    try:
        return await cache.get(
            key, load, max_age_seconds=max_age_seconds, timeout_seconds=max(0.0, scope.remaining())
        )
    except TimeoutError:
        pass
    raise HubSpotDeadlineError("no time left", operation=operation, sent=False)
