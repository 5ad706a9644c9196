"""Sliding window, with simulated times."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_api.hubspot.quota.window import SlidingWindow, guard_seconds

# Share of `guard_seconds` that these tests use as network jitter.
ALLOWED_JITTER_SHARE = 0.5


def max_in_any_window(times: list[float], seconds: float) -> int:
    return max((sum(1 for at in times if last - seconds < at <= last) for last in times), default=0)


def flood(window: SlidingWindow, requests: int, start: float = 0.0) -> list[float]:
    times: list[float] = []
    now = start
    for _ in range(requests):
        now = window.next_time(now, unpaced_share=0.5)
        window.reserve(now)
        times.append(now)
    return times


@given(
    limit=st.integers(1, 40),
    window_seconds=st.sampled_from([1.0, 10.0]),
    pauses=st.lists(st.floats(0, 4), min_size=1, max_size=150),
)
def test_sliding_window_never_exceeds_the_servers_limit(
    limit: int, window_seconds: float, pauses: list[float]
) -> None:
    window = SlidingWindow(limit, window_seconds)
    now, times = 0.0, []
    for pause in pauses:
        now = window.next_time(now + pause, unpaced_share=0.5)
        window.reserve(now)
        times.append(now)
    jitter = guard_seconds(window_seconds) * ALLOWED_JITTER_SHARE
    assert max_in_any_window(times, window_seconds + jitter) <= limit


@pytest.mark.parametrize("limit", [100, 190])
def test_sliding_window_spaces_a_flood_by_less_than_250_ms(limit: int) -> None:
    times = flood(SlidingWindow(limit, 10.0), limit * 6)
    gaps = [after - before for before, after in pairwise(times)]
    assert max(gaps) < 0.25


def test_sliding_window_admits_400_calls_within_45_seconds() -> None:
    assert flood(SlidingWindow(100, 10.0), 400)[-1] < 45


def test_sliding_window_admits_half_of_the_limit_at_once() -> None:
    times = flood(SlidingWindow(100, 10.0), 51)
    assert times[49] == 0.0
    assert times[50] > 0.0


def test_one_second_window_is_not_paced() -> None:
    assert flood(SlidingWindow(5, 1.0), 6)[:5] == [0.0] * 5


def test_requests_of_other_programs_use_window_capacity() -> None:
    window = SlidingWindow(100, 10.0)
    window.reserve(0.0)
    assert window.count_others(100, now=0.1, sent_at=0.0) == 99
    # HubSpot has counted 100 requests, assumed to be spread evenly, so capacity returns gradually.
    assert 0.1 < window.next_time(0.1, unpaced_share=0.5) < 1.0


def test_requests_of_other_programs_are_counted_once() -> None:
    window = SlidingWindow(100, 10.0)
    flood(window, 30)
    assert window.count_others(40, now=0.1, sent_at=0.0) == 10
    assert window.count_others(40, now=0.1, sent_at=0.0) == 0


def test_own_requests_in_flight_are_not_counted_as_others() -> None:
    window = SlidingWindow(100, 10.0)
    flood(window, 20)
    assert window.count_others(5, now=0.5, sent_at=0.0) == 0


def test_window_admits_nothing_until_the_latest_block_ends() -> None:
    window = SlidingWindow(100, 10.0)
    window.block_until(7.0)
    window.block_until(3.0)
    assert window.next_time(1.0, unpaced_share=0.5) == 7.0


def test_reserve_removes_requests_older_than_the_window() -> None:
    window = SlidingWindow(100, 10.0)
    for number in range(10_000):
        window.reserve(number * 0.1)
    assert len(window) < 300


def test_window_with_limit_below_one_raises_value_error() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        SlidingWindow(0, 10.0)
