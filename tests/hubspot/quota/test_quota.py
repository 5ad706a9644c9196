"""Quota of one process, on a fake clock."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.clock import FakeClock

from crm_api.hubspot import LocalQuota, QuotaTimeout
from crm_api.hubspot.quota.daily import PROBE_SECONDS
from crm_api.hubspot.quota.fair_queue import RecentCalls

HOUR = 3600.0


def quota_on(time: FakeClock, **limits: float) -> LocalQuota:
    return LocalQuota(clock=time, sleep=time.sleep, wall_clock=time, **limits)  # type: ignore[arg-type]


def rate_headers(*, limit: int, remaining: int) -> httpx.Headers:
    return httpx.Headers(
        {
            "X-HubSpot-RateLimit-Max": str(limit),
            "X-HubSpot-RateLimit-Remaining": str(remaining),
            "X-HubSpot-RateLimit-Interval-Milliseconds": "10000",
        }
    )


async def acquire(quota: LocalQuota, *, caller: str | None = None, timeout_seconds: float = 3600.0) -> float:
    return await quota.acquire("burst", caller=caller, timeout_seconds=timeout_seconds)


async def test_requests_beyond_half_of_the_burst_limit_wait() -> None:
    time = FakeClock()
    quota = quota_on(time, burst_limit=10)
    waits = [await acquire(quota) for _ in range(6)]
    assert waits[:5] == [0.0] * 5
    assert waits[5] > 0


async def test_first_calls_of_many_callers_use_the_whole_limit() -> None:
    quota = quota_on(FakeClock(), burst_limit=100)
    waits = [await acquire(quota, caller=f"customer {number // 4}") for number in range(100)]
    assert max(waits) == 0.0


async def test_caller_with_a_tenth_of_the_limit_is_not_paced() -> None:
    time = FakeClock()
    quota = quota_on(time, burst_limit=100)
    for number in range(60):
        await acquire(quota, caller=f"customer {number}")
    assert sum([await acquire(quota, caller="a") for _ in range(10)]) == 0.0
    assert await acquire(quota, caller="a") > 0
    time.now += 20
    assert await acquire(quota, caller="a") == 0.0


@pytest.mark.parametrize("kind", ["is_background", "has_fallback"])
async def test_refreshes_leave_a_fifth_of_the_limit_to_others(kind: str) -> None:
    quota = quota_on(FakeClock(), burst_limit=100)
    refresh: dict[str, Any] = {kind: True}
    for number in range(80):
        await quota.acquire("burst", caller=f"customer {number}", timeout_seconds=0, **refresh)
    with pytest.raises(QuotaTimeout):
        await quota.acquire("burst", caller="customer 80", timeout_seconds=0, **refresh)
    for number in range(20):
        assert await acquire(quota, caller=f"newcomer {number}", timeout_seconds=0) == 0.0


async def test_light_caller_overtakes_a_waiting_paced_call() -> None:
    quota = LocalQuota(burst_limit=100)
    for _ in range(50):
        await acquire(quota, caller="bulk")
    paced = asyncio.create_task(acquire(quota, caller="bulk", timeout_seconds=600))
    await asyncio.sleep(0)
    await acquire(quota, caller="customer", timeout_seconds=0.001)
    assert not paced.done()
    paced.cancel()
    await asyncio.gather(paced, return_exceptions=True)


async def test_paced_call_waits_while_a_light_call_waits() -> None:
    quota = quota_on(FakeClock(), burst_limit=100)
    # A light call keeps the turn of its queue while it waits for capacity.
    light_calls = quota._light_queues["burst"]
    assert light_calls.take_free_turn()
    with pytest.raises(QuotaTimeout):
        await quota.acquire("burst", caller="late", timeout_seconds=0.01, is_background=True)
    light_calls.release()
    assert await quota.acquire("burst", caller="late", timeout_seconds=1, is_background=True) == 0.0


@settings(max_examples=50, deadline=None)
@given(
    calls=st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.floats(0, 1.5)), min_size=1, max_size=120)
)
async def test_paced_and_light_calls_together_stay_within_the_limit(
    calls: list[tuple[int, bool, float]],
) -> None:
    time = FakeClock()
    quota = quota_on(time, burst_limit=20)
    sent: list[float] = []
    for caller, is_background, pause in calls:
        time.now += pause
        await quota.acquire("burst", caller=str(caller), timeout_seconds=1e9, is_background=is_background)
        sent.append(time.now)
    assert max(sum(1 for at in sent if last - 10.2 < at <= last) for last in sent) <= 20


def test_recent_calls_of_each_caller_expire() -> None:
    calls = RecentCalls(10.0)
    assert [calls.add("a", 0.0), calls.add("a", 5.0), calls.add("b", 5.0)] == [1, 2, 1]
    assert calls.add("a", 10.0) == 2
    assert calls.add("a", 100.0) == 1


async def test_searches_do_not_use_the_burst_quota() -> None:
    time = FakeClock()
    quota = quota_on(time, burst_limit=1, search_limit=5)
    await acquire(quota)
    for _ in range(5):
        assert await quota.acquire("search", caller=None, timeout_seconds=10) == 0.0
    assert await quota.acquire("search", caller=None, timeout_seconds=10) == pytest.approx(1.15, abs=0.02)


async def test_quota_wait_beyond_timeout_raises_with_retry_after() -> None:
    time = FakeClock()
    quota = quota_on(time, burst_limit=1)
    await acquire(quota)
    with pytest.raises(QuotaTimeout) as refusal:
        await acquire(quota, timeout_seconds=2)
    assert refusal.value.retry_after == pytest.approx(10.25)
    assert time.slept == []


async def test_caller_does_not_wait_behind_a_flood_of_another_caller() -> None:
    time = FakeClock()
    quota = quota_on(time, burst_limit=100)
    order: list[str] = []

    async def call(caller: str) -> None:
        await acquire(quota, caller=caller)
        order.append(caller)

    flood = [asyncio.create_task(call("flood")) for _ in range(400)]
    while len(order) < 60:  # noqa: ASYNC110 - until the flood waits for quota
        await asyncio.sleep(0)
    started_at, before = time.now, len(order)
    await call("quiet")
    assert len(order) - before <= 3
    assert time.now - started_at < 0.7  # at most three intervals between requests
    await asyncio.gather(*flood)


@settings(max_examples=30, deadline=None)
@given(
    pauses=st.lists(st.floats(0, 3), min_size=1, max_size=60),
    used=st.lists(st.integers(0, 8), min_size=60, max_size=60),
)
async def test_requests_in_any_ten_seconds_stay_within_the_limit(
    pauses: list[float], used: list[int]
) -> None:
    time = FakeClock()
    quota = quota_on(time, burst_limit=8)
    sent: list[float] = []
    for pause, server_used in zip(pauses, used, strict=False):
        time.now += pause
        await acquire(quota)
        sent.append(time.now)
        quota.observe("burst", rate_headers(limit=8, remaining=8 - server_used), elapsed_seconds=0.1)
    assert max(sum(1 for at in sent if last - 10.1 < at <= last) for last in sent) <= 8


async def test_lower_limit_in_response_headers_is_adopted() -> None:
    time = FakeClock()
    quota = quota_on(time, burst_limit=100)
    quota.observe("burst", rate_headers(limit=10, remaining=10))
    assert quota.snapshot()["burst_limit"] == 10


async def test_limit_in_headers_above_the_configured_one_is_ignored() -> None:
    quota = quota_on(FakeClock(), burst_limit=100)
    quota.observe("burst", rate_headers(limit=190, remaining=190))
    assert quota.snapshot()["burst_limit"] == 100


async def test_requests_of_other_programs_delay_the_next_request() -> None:
    time = FakeClock()
    quota = quota_on(time, burst_limit=100)
    await acquire(quota)
    quota.observe("burst", rate_headers(limit=100, remaining=0))
    assert await acquire(quota) > 0


@pytest.mark.parametrize("value", ["", "-1", "many", "1e3", "9" * 40, "٣"])
async def test_invalid_rate_limit_headers_do_not_change_the_quota(value: str) -> None:
    quota = quota_on(FakeClock())
    before = quota.snapshot()
    headers = {
        "x-hubspot-ratelimit-max": value,
        "x-hubspot-ratelimit-remaining": value,
        "x-hubspot-ratelimit-daily": value,
        "x-hubspot-ratelimit-daily-remaining": value,
    }
    quota.observe("burst", headers)
    assert quota.snapshot() == before


@pytest.mark.parametrize(("retry_after", "wait"), [(4.0, 4.0), (None, 1.0)])
async def test_burst_429_pauses_the_burst_budget(retry_after: float | None, wait: float) -> None:
    time = FakeClock()
    quota = quota_on(time)
    quota.on_rate_limited("burst", retry_after)
    assert await acquire(quota) == pytest.approx(wait)


async def test_search_429_does_not_pause_the_burst_budget() -> None:
    quota = quota_on(FakeClock())
    quota.on_rate_limited("search", 5.0)
    assert await acquire(quota) == 0.0


async def test_429_of_the_token_endpoint_does_not_pause_burst_budget() -> None:
    quota = quota_on(FakeClock())
    quota.on_rate_limited("token", 5.0)
    assert await acquire(quota) == 0.0


async def test_daily_limit_resets_on_a_new_day() -> None:
    time = FakeClock(10 * 24 * HOUR + 20 * HOUR)
    quota = quota_on(time, daily_limit=1)
    await acquire(quota)
    with pytest.raises(QuotaTimeout):
        await acquire(quota), await acquire(quota)  # the second call probes the daily limit
    time.now += 4 * HOUR + 1
    assert await acquire(quota) == 0.0


async def test_rate_limit_headers_of_one_second_interval_are_ignored() -> None:
    quota = quota_on(FakeClock())
    before = quota.snapshot()
    quota.observe(
        "burst",
        httpx.Headers(
            {
                "x-hubspot-ratelimit-max": "10",
                "x-hubspot-ratelimit-remaining": "0",
                "x-hubspot-ratelimit-interval-milliseconds": "1000",
            }
        ),
    )
    assert quota.snapshot() == before


async def test_headers_raise_lowered_limit_only_to_configured_limit() -> None:
    quota = quota_on(FakeClock(), burst_limit=100)
    quota.observe("burst", rate_headers(limit=10, remaining=10))
    quota.observe("burst", rate_headers(limit=190, remaining=190))
    assert quota.snapshot()["burst_limit"] == 100


async def test_lower_count_in_response_headers_is_ignored() -> None:
    """HubSpot does not count requests in flight yet."""
    time = FakeClock()
    quota = quota_on(time, burst_limit=10)
    for _ in range(10):
        await acquire(quota)
    used = quota.snapshot()["burst_used"]
    quota.observe("burst", rate_headers(limit=10, remaining=10))
    quota.observe("burst", rate_headers(limit=10, remaining=99))
    assert quota.snapshot()["burst_used"] == used


async def test_used_up_daily_limit_is_probed_at_intervals() -> None:
    time = FakeClock(10 * 24 * HOUR + 12 * HOUR)
    quota = quota_on(time)
    quota.on_rate_limited("daily", None)
    with pytest.raises(QuotaTimeout) as refusal:
        await acquire(quota)
    assert 0 < refusal.value.retry_after <= PROBE_SECONDS
    time.now += PROBE_SECONDS + 1
    await acquire(quota)
    with pytest.raises(QuotaTimeout):
        await acquire(quota)


async def test_daily_count_in_response_headers_is_adopted() -> None:
    quota = quota_on(FakeClock())
    headers = {"x-hubspot-ratelimit-daily": "1000", "x-hubspot-ratelimit-daily-remaining": "0"}
    quota.observe("burst", headers)
    assert quota.snapshot()["daily_remaining"] == 0


async def cancel_while_waiting_for_quota(quota: LocalQuota, slot: asyncio.Semaphore) -> None:
    waiting = asyncio.create_task(
        quota.acquire("burst", caller="a", timeout_seconds=60, connection_slot=slot)
    )
    await asyncio.sleep(0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def cancel_while_waiting_for_a_slot(quota: LocalQuota, slot: asyncio.Semaphore) -> None:
    await slot.acquire()
    await cancel_while_waiting_for_quota(quota, slot)
    slot.release()


@pytest.mark.parametrize("cancel", [cancel_while_waiting_for_quota, cancel_while_waiting_for_a_slot])
async def test_cancelled_request_frees_turn_connection_slot_and_quota(
    cancel: Callable[[LocalQuota, asyncio.Semaphore], Awaitable[None]],
) -> None:
    quota = LocalQuota(burst_limit=1, burst_window_seconds=0.2)
    slot = asyncio.Semaphore(1)
    await acquire(quota)
    await cancel(quota, slot)
    assert not slot.locked()
    waited = await quota.acquire("burst", caller="b", timeout_seconds=5, connection_slot=slot)
    assert waited < 0.4
    assert slot.locked()
    assert quota.waiting("burst") == 0


async def test_quota_timeout_releases_the_connection_slot() -> None:
    quota = quota_on(FakeClock(), burst_limit=1)
    slot = asyncio.Semaphore(1)
    await acquire(quota)
    with pytest.raises(QuotaTimeout):
        await quota.acquire("burst", caller=None, timeout_seconds=1, connection_slot=slot)
    assert not slot.locked()


async def test_long_wait_for_a_connection_slot_raises_quota_timeout() -> None:
    quota = LocalQuota()
    slot = asyncio.Semaphore(1)
    await slot.acquire()
    with pytest.raises(QuotaTimeout):
        await quota.acquire("burst", caller=None, timeout_seconds=0.05, connection_slot=slot)
    slot.release()
    await quota.acquire("burst", caller=None, timeout_seconds=1, connection_slot=slot)


async def test_long_wait_behind_another_caller_raises_quota_timeout() -> None:
    quota = LocalQuota(burst_limit=1)
    await acquire(quota)
    first = asyncio.create_task(quota.acquire("burst", caller="a", timeout_seconds=60))
    await asyncio.sleep(0)
    with pytest.raises(QuotaTimeout):
        await quota.acquire("burst", caller="b", timeout_seconds=0.05)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)


@given(limit=st.integers(2, 200), used=st.integers(0, 200), later=st.floats(0, 12))
@settings(deadline=None)
async def test_expected_wait_is_close_to_the_actual_wait(limit: int, used: int, later: float) -> None:
    time = FakeClock()
    quota = quota_on(time, burst_limit=limit)
    for _ in range(min(used, limit)):
        quota.windows["burst"].reserve(time.now)
    time.now += later
    expected = quota.expected_wait("burst")
    actual = await quota.acquire("burst", caller=None, timeout_seconds=3600, is_background=True)
    assert expected == pytest.approx(actual, abs=0.001)


async def test_expected_wait_counts_the_waiting_calls() -> None:
    time = FakeClock()
    quota = quota_on(time, burst_limit=100)
    for _ in range(100):
        quota.windows["burst"].reserve(time.now)
    blocked = asyncio.Event()

    async def sleep(seconds: float) -> None:
        await blocked.wait()
        time.now += seconds

    quota._sleep = sleep
    alone = quota.expected_wait("burst")
    tasks = [asyncio.create_task(acquire(quota, caller=str(number))) for number in range(10)]
    await asyncio.sleep(0)
    assert quota.expected_wait("burst") == pytest.approx(alone + 10 * 10.25 / 100)
    blocked.set()
    await asyncio.gather(*tasks)


async def test_expected_wait_lasts_while_the_daily_limit_is_reached() -> None:
    time = FakeClock()
    quota = quota_on(time, daily_limit=1)
    assert quota.expected_wait("burst") == 0
    await acquire(quota)
    quota.on_rate_limited("daily", None)
    with pytest.raises(QuotaTimeout):
        await acquire(quota)
    assert quota.expected_wait("burst") > 60
