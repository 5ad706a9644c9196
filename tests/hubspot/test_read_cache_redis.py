"""Cached responses that processes share through a real Valkey: encryption, ages, deletion and outages."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from redis.asyncio import Redis
from tests.support.processes import free_port

from crm_api.hubspot.read_cache_redis import REFRESH_SECONDS, RedisStore
from crm_api.hubspot.read_cache_store import MAX_BODY_BYTES, REFRESH_SHARE, CachedBody, MemoryStore
from crm_api.security.crypto import Cipher

FRESH_SECONDS, MAX_AGE_SECONDS = 30.0, 300.0
BODY = b'{"firstname": "Ada"}'


@pytest.fixture
async def redis(valkey_url: str) -> AsyncGenerator[Any, None]:
    """Yield a client; redis-py's types do not tell bytes from text."""
    redis = Redis.from_url(valkey_url, socket_timeout=5, socket_connect_timeout=5)
    yield redis
    await redis.aclose()


def store_of(redis: Redis, *, secret: str = "secret", **changes: Any) -> RedisStore:
    """Return the store of one process, which tolerates a slow machine."""
    cipher = Cipher(secret, "read-cache")
    memory = MemoryStore(max_bytes=1_000_000, max_age_seconds=MAX_AGE_SECONDS)
    arguments: dict[str, Any] = {
        "prefix": "read-cache:test",
        "encrypt": cipher.encrypt,
        "decrypt": cipher.decrypt,
        "memory": memory,
        "fresh_seconds": FRESH_SECONDS,
        "max_age_seconds": MAX_AGE_SECONDS,
        "timeout_seconds": 5.0,
    }
    return RedisStore(redis, **(arguments | changes))


def read_now(body: bytes = BODY, *, age: float = 0.0) -> CachedBody:
    return CachedBody(body, time.monotonic() - age)


async def test_other_process_gets_the_body_with_at_least_its_age(redis: Any) -> None:
    await store_of(redis).put("user", "key", read_now(age=40))
    cached = await store_of(redis).get("user", "key")
    assert cached is not None
    assert cached.body == BODY
    assert 40 <= time.monotonic() - cached.read_at < 100


async def test_redis_holds_no_readable_body(redis: Any) -> None:
    await store_of(redis).put("user", "key", read_now())
    [name] = await redis.keys("*")
    sealed = await redis.get(name)
    assert b"Ada" not in sealed
    assert b"firstname" not in sealed
    assert 0 < await redis.ttl(name) <= MAX_AGE_SECONDS


async def test_body_of_another_secret_is_a_miss(redis: Any) -> None:
    await store_of(redis).put("user", "key", read_now())
    assert await store_of(redis, secret="another").get("user", "key") is None


async def test_body_moved_to_another_key_is_a_miss(redis: Any) -> None:
    await store_of(redis).put("user", "key", read_now())
    [name] = await redis.keys("*")
    moved = name.replace(b":user:", b":stranger:")
    await redis.set(moved, await redis.get(name), px=1_000_000)
    assert await store_of(redis).get("stranger", "key") is None


async def test_older_body_does_not_replace_a_newer_one(redis: Any) -> None:
    await store_of(redis).put("user", "key", read_now(b"new", age=1))
    await store_of(redis).put("user", "key", read_now(b"old", age=90))
    cached = await store_of(redis).get("user", "key")
    assert cached is not None
    assert cached.body == b"new"


async def test_newer_body_of_another_process_replaces_a_stale_one(redis: Any) -> None:
    first, second = store_of(redis), store_of(redis)
    await first.put("user", "key", read_now(b"old", age=60))
    await second.put("user", "key", read_now(b"new"))
    cached = await first.get("user", "key")
    assert cached is not None
    assert cached.body == b"new"


async def test_fresh_body_in_memory_needs_no_redis(redis: Any) -> None:
    store = store_of(redis)
    await store.put("user", "key", read_now())
    await redis.flushdb()
    cached = await store.get("user", "key")
    assert cached is not None
    assert cached.body == BODY


async def test_expired_or_huge_body_is_not_stored(redis: Any) -> None:
    await store_of(redis).put("user", "expired", read_now(age=MAX_AGE_SECONDS))
    await store_of(redis).put("user", "huge", read_now(bytes(MAX_BODY_BYTES + 1)))
    assert await redis.keys("*") == []


async def test_deletion_removes_the_bodies_of_one_user(redis: Any) -> None:
    first, second = store_of(redis), store_of(redis)
    for number in range(30):
        await first.put("user", f"key {number}", read_now())
    await first.put("stranger", "key", read_now())
    await first.delete("user", "key 3")
    assert len(await redis.keys("*")) == 30
    await first.delete_owner("user")
    assert await redis.keys("*:user:*") == []
    assert await second.get("user", "key 4") is None
    assert await second.get("stranger", "key") is not None


async def test_process_uses_memory_while_redis_is_down(caplog: pytest.LogCaptureFixture) -> None:
    redis = Redis.from_url(f"redis://127.0.0.1:{free_port()}", socket_timeout=1, socket_connect_timeout=1)
    store = store_of(redis)
    with caplog.at_level(logging.WARNING):
        for number in range(3):
            await store.put("user", f"key {number}", read_now(age=60))
            assert await store.get("user", f"key {number}") is not None
        await store.delete_owner("user")
    assert await store.get("user", "key 0") is None
    assert [record.message.partition(":")[0] for record in caplog.records] == [
        "redis unavailable, read cache falls back to memory"
    ]
    await redis.aclose()


async def test_silent_redis_delays_a_read_only_once() -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1000):
            pass
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    redis = Redis.from_url(f"redis://127.0.0.1:{port}", socket_timeout=60, socket_connect_timeout=60)
    store = store_of(redis, timeout_seconds=0.1)
    attempts = 0
    original = store._get_shared

    async def counted(owner: str, key: str) -> CachedBody | None:
        nonlocal attempts
        attempts += 1
        return await original(owner, key)

    store._get_shared = counted  # type: ignore[method-assign]
    for _ in range(5):
        assert await store.get("user", "key") is None
    assert attempts == 1
    await redis.aclose()
    server.close()
    await server.wait_closed()


async def test_only_one_process_at_a_time_refreshes_a_body(redis: Any) -> None:
    first, second = store_of(redis), store_of(redis)
    assert await first.start_refresh("user", "key")
    assert not await second.start_refresh("user", "key")
    assert await second.start_refresh("user", "other key")
    assert await second.start_refresh("other user", "key")
    await first.end_refresh("user", "key")
    assert await second.start_refresh("user", "key")


async def test_refresh_of_a_killed_process_ends(redis: Any) -> None:
    await store_of(redis).start_refresh("user", "key")
    [name] = await redis.keys("*")
    assert 0 < await redis.ttl(name) <= REFRESH_SECONDS


async def test_every_process_refreshes_while_redis_is_unavailable() -> None:
    unreachable = Redis.from_url(f"redis://127.0.0.1:{free_port()}", socket_connect_timeout=0.2)
    store = store_of(unreachable)
    assert await store.start_refresh("user", "key")
    assert await store.start_refresh("user", "key")
    await store.end_refresh("user", "key")
    await unreachable.aclose()


async def test_newer_body_of_another_process_replaces_an_aging_one(redis: Any) -> None:
    first, second = store_of(redis), store_of(redis)
    await first.put("user", "key", read_now(b"old", age=10))
    await second.put("user", "key", read_now(b"new"))
    assert (await first.get("user", "key") or read_now()).body == b"old"  # from its memory
    aging = store_of(redis)
    await aging.put("user", "key", read_now(b"old", age=REFRESH_SHARE * FRESH_SECONDS))
    assert (await aging.get("user", "key") or read_now()).body == b"new"
