"""Guards shortened by responses: HubSpot's own window never exceeds its limit, and little quota is wasted."""

import heapq
from collections.abc import AsyncGenerator
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from crm_api.hubspot import LocalQuota
from crm_api.hubspot.quota.arrivals import MARGIN_SECONDS, ResponseTimes, SentCalls, ignored_responses
from crm_api.hubspot.quota.quota import Quota
from crm_api.hubspot.quota.redis import _RESERVE, RedisQuota
from crm_api.hubspot.quota.window import MIN_GUARD_SECONDS

LIMIT = 5
FASTEST = 0.05
HANDSHAKE = 0.1


def max_in_any_window(arrivals: list[float], seconds: float) -> int:
    return max(sum(1 for at in arrivals if last - seconds < at <= last) for last in arrivals)


class SimulatedHubSpot:
    """Clock whose sleeps deliver the responses that are due meanwhile, and the arrival times of the calls."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.quotas: list[Quota] = []
        self.oversleep = 0.0
        self.arrivals: list[float] = []
        self._responses: list[tuple[float, float, int]] = []

    def __call__(self) -> float:
        return self.now

    def local_quota(self) -> LocalQuota:
        return LocalQuota(search_limit=LIMIT, clock=self, sleep=self.sleep)

    async def sleep(self, seconds: float) -> None:
        until = self.now + seconds + self.oversleep
        while self._responses and self._responses[0][0] <= until:
            self.now, sent_at, quota = heapq.heappop(self._responses)
            self.quotas[quota].observe("search", {}, elapsed_seconds=self.now - sent_at)
        self.now = until

    async def search(self, *, network_delay: float, processing: float = 0.0, quota: int = 0) -> None:
        """Send a search that arrives after `network_delay` more than the fastest call."""
        await self.quotas[quota].acquire("search", caller=None, timeout_seconds=1e9)
        self.arrivals.append(self.now + network_delay)
        response_at = self.now + FASTEST + network_delay + processing
        heapq.heappush(self._responses, (response_at, self.now, quota))

    async def open_connections(self) -> None:
        """Send the first calls: each of the first window opens a connection, the others use it."""
        for number in range(4 * LIMIT):
            network_delay = HANDSHAKE if number < LIMIT else 0.0
            await self.search(network_delay=network_delay, quota=number % len(self.quotas))


def hubspot_with_one_quota() -> SimulatedHubSpot:
    hubspot = SimulatedHubSpot()
    hubspot.quotas = [hubspot.local_quota()]
    return hubspot


@settings(max_examples=200, deadline=None)
@given(
    calls=st.lists(
        st.tuples(
            st.floats(0.0, MIN_GUARD_SECONDS),
            st.one_of(st.just(0.0), st.floats(0.0, 2.0)),
            st.one_of(st.just(0.0), st.floats(0.0, 1.5)),
        ),
        max_size=50,
    )
)
async def test_arrivals_never_exceed_the_servers_search_limit(
    calls: list[tuple[float, float, float]],
) -> None:
    hubspot = hubspot_with_one_quota()
    await hubspot.open_connections()
    for network_delay, processing, pause in calls:
        await hubspot.sleep(pause)
        await hubspot.search(network_delay=network_delay, processing=processing)
    assert max_in_any_window(hubspot.arrivals, 1.0) <= LIMIT


async def test_searches_of_equal_duration_use_97_percent_of_the_quota() -> None:
    hubspot = hubspot_with_one_quota()
    await hubspot.open_connections()
    started = hubspot.now
    for _ in range(100):
        await hubspot.search(network_delay=0.0)
    assert 100 / (hubspot.now - started) >= 0.97 * LIMIT


async def test_searches_without_response_keep_the_full_guard() -> None:
    hubspot = hubspot_with_one_quota()
    await hubspot.open_connections()
    await hubspot.sleep(2.0)
    for _ in range(LIMIT):
        await hubspot.search(network_delay=0.0, processing=10.0)
    started = hubspot.now
    await hubspot.search(network_delay=0.0)
    assert hubspot.now - started == pytest.approx(1.0 + MIN_GUARD_SECONDS)


def test_first_responses_shorten_no_guard() -> None:
    times = ResponseTimes(LIMIT, 0.15)
    assert [times.unused_guard(0.05) for _ in range(ignored_responses(LIMIT))] == [0.0] * (2 * LIMIT)
    assert times.unused_guard(0.05) == pytest.approx(0.15 - MARGIN_SECONDS)


def test_slower_response_needs_the_difference_as_its_guard() -> None:
    times = ResponseTimes(1, 0.15)
    times.unused_guard(0.05), times.unused_guard(0.05)
    assert times.unused_guard(0.10) == pytest.approx(0.15 - MARGIN_SECONDS - 0.05, abs=0.001)
    assert times.unused_guard(0.30) == 0.0


def test_fastest_response_time_adapts_to_a_slower_network() -> None:
    times = ResponseTimes(1, 0.15)
    times.unused_guard(0.05)
    for _ in range(1000):
        unused = times.unused_guard(0.20)
    assert unused == pytest.approx(0.15 - MARGIN_SECONDS)


def test_response_of_an_unknown_call_is_ignored() -> None:
    sent: SentCalls[str] = SentCalls()
    sent.add("first", sent_at=10.0)
    assert sent.pop(10.5) is None
    assert sent.pop(10.001) == "first"
    assert sent.pop(10.001) is None


class SharedHubSpot(SimulatedHubSpot):
    """HubSpot with two quotas that share the limit through Redis, on the simulated clock."""

    def __init__(self, redis: Redis) -> None:
        super().__init__()
        self._redis = redis
        key = uuid4().hex
        self._clock_name = f"clock:{key}"
        script = _RESERVE.replace("redis.call('TIME')", f"{{0, redis.call('GET', '{self._clock_name}')}}")
        for _ in range(2):
            quota = RedisQuota(
                redis,
                account_key=key,
                local=self.local_quota(),
                timeout_seconds=30.0,
                clock=self,
                sleep=self.sleep,
            )
            quota._script = redis.register_script(script)
            self.quotas.append(quota)

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds)
        await self._redis.set(self._clock_name, int(self.now * 1e6))


@pytest.fixture
async def redis(valkey_url: str) -> AsyncGenerator[Redis, None]:
    redis = Redis.from_url(valkey_url)
    yield redis
    await redis.aclose()


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    calls=st.lists(
        st.tuples(
            st.integers(0, 1),
            st.floats(0.0, MIN_GUARD_SECONDS / 2),
            st.floats(0.0, MIN_GUARD_SECONDS / 2),
            st.one_of(st.just(0.0), st.floats(0.0, 1.5)),
        ),
        max_size=50,
    )
)
async def test_arrivals_of_two_processes_never_exceed_the_limit(
    redis: Redis, calls: list[tuple[int, float, float, float]]
) -> None:
    hubspot = SharedHubSpot(redis)
    await hubspot.sleep(0.0)
    await hubspot.open_connections()
    for quota, network_delay, oversleep, pause in calls:
        await hubspot.sleep(pause)
        hubspot.oversleep = oversleep
        await hubspot.search(network_delay=network_delay, quota=quota)
        hubspot.oversleep = 0.0
    assert max_in_any_window(hubspot.arrivals, 1.0) <= LIMIT


async def test_two_processes_use_94_percent_of_the_search_quota(redis: Redis) -> None:
    """A process reports its responses with its next search, and until then the other one waits for the guard."""
    hubspot = SharedHubSpot(redis)
    await hubspot.sleep(0.0)
    await hubspot.open_connections()
    started = hubspot.now
    for number in range(100):
        await hubspot.search(network_delay=0.0, quota=number % 2)
    assert 100 / (hubspot.now - started) >= 0.94 * LIMIT
