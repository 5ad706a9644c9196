"""The sliding window alone, with times made up."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_api.hubspot.quota.window import SlidingWindow, guard_seconds

# Half of the guard is left to the network in these tests: the server may see two requests that much closer.
ALLOWED_JITTER_SHARE = 0.5


def most_in_any(times: list[float], seconds: float) -> int:
    return max((sum(1 for each in times if last - seconds < each <= last) for last in times), default=0)


def flood(window: SlidingWindow, requests: int, start: float = 0.0) -> list[float]:
    times: list[float] = []
    now = start
    for _ in range(requests):
        now = window.next_time(now)
        window.reserve(now)
        times.append(now)
    return times


@given(
    limit=st.integers(1, 40),
    window_seconds=st.sampled_from([1.0, 10.0]),
    pauses=st.lists(st.floats(0, 4), min_size=1, max_size=150),
)
def test_no_window_of_the_server_holds_more_than_the_limit(
    limit: int, window_seconds: float, pauses: list[float]
) -> None:
    window = SlidingWindow(limit, window_seconds)
    now, times = 0.0, []
    for pause in pauses:
        now = window.next_time(now + pause)
        window.reserve(now)
        times.append(now)
    jitter = guard_seconds(window_seconds) * ALLOWED_JITTER_SHARE
    assert most_in_any(times, window_seconds + jitter) <= limit


@pytest.mark.parametrize("limit", [100, 190])
def test_a_flood_leaves_a_gap_for_whoever_comes_next_all_the_time(limit: int) -> None:
    times = flood(SlidingWindow(limit, 10.0), limit * 6)
    gaps = [after - before for before, after in pairwise(times)]
    assert max(gaps) < 0.25


def test_400_calls_leave_well_within_60_seconds() -> None:
    assert flood(SlidingWindow(100, 10.0), 400)[-1] < 45


def test_half_of_the_window_leaves_at_once() -> None:
    times = flood(SlidingWindow(100, 10.0), 51)
    assert times[49] == 0.0
    assert times[50] > 0.0


def test_a_second_is_too_short_to_be_paced() -> None:
    assert flood(SlidingWindow(5, 1.0), 6)[:5] == [0.0] * 5


def test_what_another_program_used_is_not_used_again() -> None:
    window = SlidingWindow(100, 10.0)
    window.reserve(0.0)
    assert window.count_others(100, now=0.1, sent_at=0.0) == 99
    # The server has had 100 by now, taken to have come evenly: room appears bit by bit.
    assert 0.1 < window.next_time(0.1) < 1.0


def test_what_is_counted_once_is_not_counted_again() -> None:
    window = SlidingWindow(100, 10.0)
    flood(window, 30)
    assert window.count_others(40, now=0.1, sent_at=0.0) == 10
    assert window.count_others(40, now=0.1, sent_at=0.0) == 0


def test_requests_of_ours_on_their_way_are_not_taken_for_others() -> None:
    window = SlidingWindow(100, 10.0)
    flood(window, 20)
    assert window.count_others(5, now=0.5, sent_at=0.0) == 0


def test_nothing_leaves_while_blocked() -> None:
    window = SlidingWindow(100, 10.0)
    window.block_until(7.0)
    window.block_until(3.0)
    assert window.next_time(1.0) == 7.0


def test_old_requests_are_forgotten_also_where_somebody_else_decides_when_they_leave() -> None:
    window = SlidingWindow(100, 10.0)
    for number in range(10_000):
        window.reserve(number * 0.1)
    assert len(window) < 300


def test_a_limit_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        SlidingWindow(0, 10.0)
