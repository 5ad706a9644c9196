"""Store of cached responses in Redis, encrypted and shared by all processes, behind the memory of each process."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from redis.asyncio import Redis
from redis.exceptions import RedisError

from crm_api.hubspot.read_cache_store import (
    MAX_BODY_BYTES,
    REFRESH_SHARE,
    CachedBody,
    CacheStore,
    MemoryStore,
)

T = TypeVar("T")

logger = logging.getLogger(__name__)

# Interval between attempts while Redis is unavailable; each attempt may take the whole timeout.
RETRY_SECONDS: Final = 2.0
# A process that ended during a refresh prevents other refreshes of the body for at most this time.
REFRESH_SECONDS: Final = 60
_SCAN_COUNT: Final = 1000
# Timeout of a deletion, which scans all keys of Redis.
_DELETE_SECONDS: Final = 2.0
_REDIS_ERRORS: Final = (RedisError, OSError, TimeoutError)
# A body that was read later expires later, so a slow process cannot replace a newer body by an older one.
_PUT: Final = """
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[2]) then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
"""


class RedisStore(CacheStore):
    """Cached bodies that all processes with the same key share.

    Redis expires a body at the maximum age, so its age follows from the remaining time and no clocks are compared.
    A body in memory is used without asking Redis until it is due for a refresh, because another process can have done
    that refresh. While Redis is unavailable or slow, each process uses its memory alone.
    """

    def __init__(
        self,
        redis: Redis,
        *,
        prefix: str,
        encrypt: Callable[[bytes], bytes],
        decrypt: Callable[[bytes], bytes | None],
        memory: MemoryStore,
        fresh_seconds: float,
        max_age_seconds: float,
        timeout_seconds: float = 0.2,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._redis = redis
        # The age follows from the maximum age, so processes with another one use other keys.
        self._prefix = f"{prefix}:{max_age_seconds:g}"
        self._encrypt = encrypt
        self._decrypt = decrypt
        self._memory = memory
        self._local_seconds = REFRESH_SHARE * fresh_seconds
        self._max_age_seconds = max_age_seconds
        self._timeout_seconds = timeout_seconds
        self._clock = clock
        self._put_script = redis.register_script(_PUT)
        self._unavailable_until: float | None = None

    async def get(self, owner: str, key: str) -> CachedBody | None:
        local = await self._memory.get(owner, key)
        if local is not None and self._clock() - local.read_at < self._local_seconds:
            return local
        shared = await self._with_redis(lambda: self._get_shared(owner, key))
        if shared is None or (local is not None and local.read_at >= shared.read_at):
            return local
        await self._memory.put(owner, key, shared)
        return await self._memory.get(owner, key) or shared

    async def put(self, owner: str, key: str, cached: CachedBody) -> None:
        await self._memory.put(owner, key, cached)
        # The margin is the longest time until Redis starts to count, so that the age is never understated.
        age = self._clock() - cached.read_at + self._timeout_seconds
        milliseconds = int(1000 * (self._max_age_seconds - age))
        if milliseconds <= 0 or len(cached.body) > MAX_BODY_BYTES:
            return
        sealed = self._encrypt(_label(owner, key) + cached.body)
        name = self._name(owner, key)
        await self._with_redis(lambda: self._put_script(keys=[name], args=[sealed, milliseconds]))

    async def delete(self, owner: str, key: str) -> None:
        await self._memory.delete(owner, key)
        await self._with_redis(lambda: self._redis.delete(self._name(owner, key)))

    async def delete_owner(self, owner: str) -> None:
        await self._memory.delete_owner(owner)
        # If Redis fails here, the bodies expire, and no request can reach them.
        await self._with_redis(lambda: self._delete_shared(owner), timeout_seconds=_DELETE_SECONDS)

    def remove_expired(self) -> None:
        self._memory.remove_expired()

    async def start_refresh(self, owner: str, key: str) -> bool:
        return await self._with_redis(lambda: self._mark_refresh(owner, key)) is not False

    async def end_refresh(self, owner: str, key: str) -> None:
        await self._with_redis(lambda: self._redis.delete(f"{self._name(owner, key)}:refresh"))

    @property
    def used_bytes(self) -> int:
        return self._memory.used_bytes

    def _name(self, owner: str, key: str) -> str:
        return f"{self._prefix}:{owner}:{key}"

    async def _get_shared(self, owner: str, key: str) -> CachedBody | None:
        name, started = self._name(owner, key), self._clock()
        # One transaction, so that both replies belong to the same body.
        async with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.get(name)
            pipeline.pttl(name)
            sealed, milliseconds = await pipeline.execute()
        opened = self._decrypt(sealed) if sealed is not None else None
        label = _label(owner, key)
        if opened is None or not opened.startswith(label):
            return None
        age = self._max_age_seconds - milliseconds / 1000
        return CachedBody(opened.removeprefix(label), started - age)

    async def _mark_refresh(self, owner: str, key: str) -> bool:
        name = f"{self._name(owner, key)}:refresh"
        return bool(await self._redis.set(name, b"", nx=True, ex=REFRESH_SECONDS))

    async def _delete_shared(self, owner: str) -> None:
        # Bodies that were stored with another SECRET_KEY or maximum age have another prefix after the colon.
        pattern = f"{self._prefix.partition(':')[0]}:*:{owner}:*"
        async for name in self._redis.scan_iter(match=pattern, count=_SCAN_COUNT):
            await self._redis.delete(name)

    async def _with_redis(
        self, call: Callable[[], Awaitable[T]], *, timeout_seconds: float | None = None
    ) -> T | None:
        """Return the result of the call, None while Redis is unavailable."""
        if self._unavailable_until is not None and self._clock() < self._unavailable_until:
            return None
        try:
            async with asyncio.timeout(timeout_seconds or self._timeout_seconds):
                result = await call()
        except _REDIS_ERRORS as error:
            if self._unavailable_until is None:
                logger.warning(
                    "redis unavailable, read cache falls back to memory: error=%s", type(error).__name__
                )
            self._unavailable_until = self._clock() + RETRY_SECONDS
            return None
        if self._unavailable_until is not None:
            logger.warning("redis available again, read cache is shared")
            self._unavailable_until = None
        return result


def _label(owner: str, key: str) -> bytes:
    """Return the start of the encrypted text, so that a body cannot be moved to another key."""
    return f"{owner}:{key}\n".encode()
