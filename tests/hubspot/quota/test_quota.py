"""The quota of one process, on a clock of its own."""

import asyncio
from collections.abc import Awaitable, Callable

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.clock import FakeClock

from crm_api.hubspot import LocalQuota, QuotaTimeout
from crm_api.hubspot.quota.daily import PROBE_SECONDS

HOUR = 3600.0


def quota_on(clock: FakeClock, **limits: float) -> LocalQuota:
    return LocalQuota(clock=clock, sleep=clock.sleep, wall_clock=clock, **limits)  # type: ignore[arg-type]


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


async def test_requests_beyond_what_may_leave_at_once_wait() -> None:
    clock = FakeClock()
    quota = quota_on(clock, burst_limit=10)
    waits = [await acquire(quota) for _ in range(6)]
    assert waits[:5] == [0.0] * 5
    assert waits[5] > 0


async def test_searches_have_a_budget_of_their_own() -> None:
    clock = FakeClock()
    quota = quota_on(clock, burst_limit=1, search_limit=5)
    await acquire(quota)
    for _ in range(5):
        assert await quota.acquire("search", caller=None, timeout_seconds=10) == 0.0
    assert await quota.acquire("search", caller=None, timeout_seconds=10) == pytest.approx(1.15, abs=0.02)


async def test_a_wait_beyond_the_deadline_is_refused_at_once_with_the_time() -> None:
    clock = FakeClock()
    quota = quota_on(clock, burst_limit=1)
    await acquire(quota)
    with pytest.raises(QuotaTimeout) as refusal:
        await acquire(quota, timeout_seconds=2)
    assert refusal.value.retry_after == pytest.approx(10.25)
    assert clock.slept == []


async def test_a_quiet_caller_is_not_behind_the_flood() -> None:
    clock = FakeClock()
    quota = quota_on(clock, burst_limit=100)
    order: list[str] = []

    async def call(caller: str) -> None:
        await acquire(quota, caller=caller)
        order.append(caller)

    flood = [asyncio.create_task(call("flood")) for _ in range(400)]
    while len(order) < 60:  # noqa: ASYNC110 - until the flood waits for room
        await asyncio.sleep(0)
    asked_at, before = clock.now, len(order)
    await call("quiet")
    assert len(order) - before <= 3
    assert clock.now - asked_at < 0.7  # three gaps at most
    await asyncio.gather(*flood)


@settings(max_examples=30, deadline=None)
@given(
    pauses=st.lists(st.floats(0, 3), min_size=1, max_size=60),
    used=st.lists(st.integers(0, 8), min_size=60, max_size=60),
)
async def test_no_ten_seconds_hold_more_than_the_limit(pauses: list[float], used: list[int]) -> None:
    clock = FakeClock()
    quota = quota_on(clock, burst_limit=8)
    left: list[float] = []
    for pause, server_used in zip(pauses, used, strict=False):
        clock.now += pause
        await acquire(quota)
        left.append(clock.now)
        quota.observe("burst", rate_headers(limit=8, remaining=8 - server_used), elapsed_seconds=0.1)
    assert max(sum(1 for each in left if last - 10.1 < each <= last) for last in left) <= 8


async def test_a_limit_that_hubspot_states_lower_than_ours_is_ours_then() -> None:
    clock = FakeClock()
    quota = quota_on(clock, burst_limit=100)
    quota.observe("burst", rate_headers(limit=10, remaining=10))
    assert quota.snapshot()["burst_limit"] == 10


async def test_a_limit_that_hubspot_states_higher_than_ours_changes_nothing() -> None:
    quota = quota_on(FakeClock(), burst_limit=100)
    quota.observe("burst", rate_headers(limit=190, remaining=190))
    assert quota.snapshot()["burst_limit"] == 100


async def test_what_another_program_used_is_waited_for() -> None:
    clock = FakeClock()
    quota = quota_on(clock, burst_limit=100)
    await acquire(quota)
    quota.observe("burst", rate_headers(limit=100, remaining=0))
    assert await acquire(quota) > 0


@pytest.mark.parametrize("value", ["", "-1", "many", "1e3", "9" * 40, "٣"])
async def test_nonsense_in_the_headers_changes_nothing(value: str) -> None:
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
async def test_after_a_429_nothing_leaves_for_a_while(retry_after: float | None, wait: float) -> None:
    clock = FakeClock()
    quota = quota_on(clock)
    quota.on_rate_limited("burst", retry_after)
    assert await acquire(quota) == pytest.approx(wait)


async def test_a_search_429_does_not_stop_other_calls() -> None:
    quota = quota_on(FakeClock())
    quota.on_rate_limited("search", 5.0)
    assert await acquire(quota) == 0.0


async def test_a_token_429_stops_no_budget() -> None:
    quota = quota_on(FakeClock())
    quota.on_rate_limited("token", 5.0)
    assert await acquire(quota) == 0.0


async def test_a_new_day_gives_a_new_allowance() -> None:
    clock = FakeClock(10 * 24 * HOUR + 20 * HOUR)
    quota = quota_on(clock, daily_limit=1)
    await acquire(quota)
    with pytest.raises(QuotaTimeout):
        await acquire(quota), await acquire(quota)  # one finds out whether the account's day has turned
    clock.now += 4 * HOUR + 1
    assert await acquire(quota) == 0.0


async def test_headers_of_another_window_are_not_compared_with_ours() -> None:
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


async def test_a_limit_that_hubspot_lowered_and_raised_again_is_ours_again() -> None:
    quota = quota_on(FakeClock(), burst_limit=100)
    quota.observe("burst", rate_headers(limit=10, remaining=10))
    quota.observe("burst", rate_headers(limit=190, remaining=190))
    assert quota.snapshot()["burst_limit"] == 100


async def test_a_count_lower_than_ours_is_not_believed() -> None:
    """Requests on their way are not counted there yet."""
    clock = FakeClock()
    quota = quota_on(clock, burst_limit=10)
    for _ in range(10):
        await acquire(quota)
    used = quota.snapshot()["burst_used"]
    quota.observe("burst", rate_headers(limit=10, remaining=10))
    quota.observe("burst", rate_headers(limit=10, remaining=99))
    assert quota.snapshot()["burst_used"] == used


async def test_where_midnight_is_unknown_one_call_finds_out_now_and_then() -> None:
    clock = FakeClock(10 * 24 * HOUR + 12 * HOUR)
    quota = quota_on(clock)
    quota.on_rate_limited("daily", None)
    with pytest.raises(QuotaTimeout) as refusal:
        await acquire(quota)
    assert 0 < refusal.value.retry_after <= PROBE_SECONDS
    clock.now += PROBE_SECONDS + 1
    await acquire(quota)
    with pytest.raises(QuotaTimeout):
        await acquire(quota)


async def test_hubspot_s_count_of_the_day_is_believed() -> None:
    quota = quota_on(FakeClock())
    headers = {"x-hubspot-ratelimit-daily": "1000", "x-hubspot-ratelimit-daily-remaining": "0"}
    quota.observe("burst", headers)
    assert quota.snapshot()["daily_remaining"] == 0


async def cancelled_while_waiting_for_room(quota: LocalQuota, slot: asyncio.Semaphore) -> None:
    waiting = asyncio.create_task(
        quota.acquire("burst", caller="a", timeout_seconds=60, connection_slot=slot)
    )
    await asyncio.sleep(0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def cancelled_while_waiting_for_a_slot(quota: LocalQuota, slot: asyncio.Semaphore) -> None:
    await slot.acquire()
    await cancelled_while_waiting_for_room(quota, slot)
    slot.release()


@pytest.mark.parametrize("give_up", [cancelled_while_waiting_for_room, cancelled_while_waiting_for_a_slot])
async def test_who_is_cancelled_leaves_turn_slot_and_room_to_others(
    give_up: Callable[[LocalQuota, asyncio.Semaphore], Awaitable[None]],
) -> None:
    quota = LocalQuota(burst_limit=1, burst_window_seconds=0.2)
    slot = asyncio.Semaphore(1)
    await acquire(quota)
    await give_up(quota, slot)
    assert not slot.locked()
    waited = await quota.acquire("burst", caller="b", timeout_seconds=5, connection_slot=slot)
    assert waited < 0.4
    assert slot.locked()
    assert quota.waiting("burst") == 0


async def test_a_refusal_gives_the_slot_back() -> None:
    quota = quota_on(FakeClock(), burst_limit=1)
    slot = asyncio.Semaphore(1)
    await acquire(quota)
    with pytest.raises(QuotaTimeout):
        await quota.acquire("burst", caller=None, timeout_seconds=1, connection_slot=slot)
    assert not slot.locked()


async def test_a_wait_for_a_slot_ends_in_time() -> None:
    quota = LocalQuota()
    slot = asyncio.Semaphore(1)
    await slot.acquire()
    with pytest.raises(QuotaTimeout):
        await quota.acquire("burst", caller=None, timeout_seconds=0.05, connection_slot=slot)
    slot.release()
    await quota.acquire("burst", caller=None, timeout_seconds=1, connection_slot=slot)


async def test_a_wait_for_the_turn_ends_in_time() -> None:
    quota = LocalQuota(burst_limit=1)
    await acquire(quota)
    first = asyncio.create_task(quota.acquire("burst", caller="a", timeout_seconds=60))
    await asyncio.sleep(0)
    with pytest.raises(QuotaTimeout):
        await quota.acquire("burst", caller="b", timeout_seconds=0.05)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
