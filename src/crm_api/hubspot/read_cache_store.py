"""Store of cached responses in memory, bounded by bytes: the least recently used response is evicted first."""

import time
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

# A fresh response older than this share is refreshed in the background, so that a customer who reads often does not
# wait for every tenth page. The refresh waits for quota, because otherwise the first page after the quota returns would
# be live.
REFRESH_SHARE: Final = 0.9
# Larger responses are not cached: one of them would evict the responses of many customers.
MAX_BODY_BYTES: Final = 1024 * 1024
# Python's objects around one cached body: keys, tuple, dictionary entry.
ENTRY_OVERHEAD_BYTES: Final = 600
SWEEP_INTERVAL_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class CachedBody:
    """Body of a HubSpot response, and when the call that returned it was sent, on the clock of the store."""

    body: bytes = field(repr=False)
    read_at: float


class CacheStore(ABC):
    """Cached bodies by owner and key. No body is returned once it has reached the store's maximum age."""

    @abstractmethod
    async def get(self, owner: str, key: str) -> CachedBody | None:
        """Return the cached body, or None."""

    @abstractmethod
    async def put(self, owner: str, key: str, cached: CachedBody) -> None:
        """Store the body, unless a newer one is cached."""

    @abstractmethod
    async def delete(self, owner: str, key: str) -> None:
        """Remove one body."""

    @abstractmethod
    async def delete_owner(self, owner: str) -> None:
        """Remove all bodies of one owner."""

    @abstractmethod
    def remove_expired(self) -> None:
        """Remove expired bodies from the memory of this process, so that personal data does not stay in it."""

    async def start_refresh(self, owner: str, key: str) -> bool:
        """Return False if another process refreshes this body. If True is returned, `end_refresh` must follow."""
        return True

    async def end_refresh(self, owner: str, key: str) -> None:  # noqa: B027 - nothing to do in one process
        """Allow all processes to refresh this body again."""

    @property
    @abstractmethod
    def used_bytes(self) -> int:
        """Bytes that this process uses for cached bodies."""


class MemoryStore(CacheStore):
    """Cached bodies in the memory of this process."""

    def __init__(
        self, *, max_bytes: int, max_age_seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._max_bytes = max_bytes
        self._max_age_seconds = max_age_seconds
        self._clock = clock
        self._bodies: OrderedDict[tuple[str, str], CachedBody] = OrderedDict()
        self._keys: dict[str, set[str]] = {}
        self._used_bytes = 0
        self._sweep_at = clock() + SWEEP_INTERVAL_SECONDS

    async def get(self, owner: str, key: str) -> CachedBody | None:
        cached = self._bodies.get((owner, key))
        if cached is None:
            return None
        if self._has_expired(cached):
            self._remove(owner, key)
            return None
        self._bodies.move_to_end((owner, key))
        return cached

    async def put(self, owner: str, key: str, cached: CachedBody) -> None:
        present = self._bodies.get((owner, key))
        if present is not None and present.read_at > cached.read_at:
            return
        self._remove(owner, key)
        if len(cached.body) > MAX_BODY_BYTES:
            return
        self._bodies[owner, key] = cached
        self._keys.setdefault(owner, set()).add(key)
        self._used_bytes += _size(cached)
        while self._used_bytes > self._max_bytes:
            self._remove(*next(iter(self._bodies)))

    async def delete(self, owner: str, key: str) -> None:
        self._remove(owner, key)

    async def delete_owner(self, owner: str) -> None:
        for key in list(self._keys.get(owner, ())):
            self._remove(owner, key)

    @property
    def used_bytes(self) -> int:
        return self._used_bytes

    def _has_expired(self, cached: CachedBody) -> bool:
        return self._clock() - cached.read_at >= self._max_age_seconds

    def remove_expired(self) -> None:
        """Remove expired bodies, at most once a minute; more frequent calls do nothing."""
        if self._clock() < self._sweep_at:
            return
        self._sweep_at = self._clock() + SWEEP_INTERVAL_SECONDS
        for owner, key in [entry for entry, cached in self._bodies.items() if self._has_expired(cached)]:
            self._remove(owner, key)

    def _remove(self, owner: str, key: str) -> None:
        cached = self._bodies.pop((owner, key), None)
        if cached is None:
            return
        self._used_bytes -= _size(cached)
        keys = self._keys[owner]
        keys.discard(key)
        if not keys:
            del self._keys[owner]


def _size(cached: CachedBody) -> int:
    return len(cached.body) + ENTRY_OVERHEAD_BYTES
