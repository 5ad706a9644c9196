"""Time slices: the event loop runs between them, and requests take turns."""

import asyncio
import time
from collections import Counter
from itertools import pairwise
from types import SimpleNamespace

import pytest

from crm_api.services.properties import time_slices
from crm_api.services.properties.time_slices import MIN_SLICE_WITH_PAUSE_SECONDS, SLICE_SECONDS, TimeSlices


def compute(item: int) -> int:
    time.sleep(SLICE_SECONDS)
    return -item


async def test_time_slices_map_returns_results_in_item_order() -> None:
    assert await TimeSlices().map(compute, range(3)) == [0, -1, -2]
    assert await TimeSlices().map(compute, []) == []


async def test_event_loop_runs_other_tasks_between_time_slices() -> None:
    task = asyncio.create_task(TimeSlices().map(compute, range(10)))
    switches = 0
    while not task.done():
        await asyncio.sleep(0)
        switches += 1
    assert switches >= 10


async def test_concurrent_computations_run_in_alternating_slices() -> None:
    slices = TimeSlices()
    order: list[str] = []

    def append_slowly(name: str) -> None:
        order.append(name)
        compute(0)

    await asyncio.gather(*(slices.map(append_slowly, [name] * 3) for name in "ab"))
    assert order == ["a", "b"] * 3


async def test_no_time_slice_starts_during_a_pause() -> None:
    slices = TimeSlices()
    computations = asyncio.gather(*(slices.map(compute, range(5)) for _ in range(4)))
    iterations = 0
    while not computations.done():
        await asyncio.sleep(0)
        iterations += 1
    # Without pauses there are at most two iterations for each of the 20 slices.
    assert iterations >= 200


async def test_turns_of_several_callers_are_in_different_iterations() -> None:
    slices = TimeSlices()
    iteration, turns_by_iteration = 0, Counter[int]()

    async def compute_in_turn() -> None:
        await slices.turn()
        turns_by_iteration[iteration] += 1

    tasks = asyncio.gather(*(compute_in_turn() for _ in range(10)))
    while not tasks.done():
        await asyncio.sleep(0)
        iteration += 1
    assert turns_by_iteration.total() == 10
    assert max(turns_by_iteration.values()) == 1


async def test_turn_lasts_until_its_caller_waits() -> None:
    slices = TimeSlices()
    times: list[tuple[float, float]] = []

    async def compute_in_turn() -> None:
        await slices.turn()
        started = time.perf_counter()
        compute(0)
        compute(0)
        times.append((started, time.perf_counter()))

    await asyncio.gather(*(compute_in_turn() for _ in range(3)))
    for (started, ended), (next_started, _) in pairwise(times):
        assert next_started - ended >= 0.9 * (ended - started)


async def test_caller_that_is_cancelled_while_waiting_has_no_turn() -> None:
    slices = TimeSlices()
    await slices.map(compute, [0])
    cancelled = asyncio.create_task(slices.turn())
    waiting = asyncio.create_task(slices.turn())
    await asyncio.sleep(0)
    cancelled.cancel()
    async with asyncio.timeout(20):
        await waiting
        await slices.turn()
    assert cancelled.cancelled()


async def test_timeout_cancels_a_computation_in_time_slices() -> None:
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await TimeSlices().map(compute, range(1_000))
    assert time.monotonic() - started < 2


async def test_pause_is_as_long_as_the_slice_before_it() -> None:
    slices = TimeSlices()
    times: list[tuple[float, float]] = []

    def compute_long(_item: int) -> None:
        started = time.perf_counter()
        time.sleep(10 * SLICE_SECONDS)
        times.append((started, time.perf_counter()))

    # Each of these computations has one slice only, and pauses for the others.
    await asyncio.gather(*(slices.map(compute_long, [0]) for _ in range(3)))
    for (started, ended), (next_started, _) in pairwise(times):
        assert next_started - ended >= 0.9 * (ended - started)


@pytest.mark.parametrize(
    ("seconds", "has_pause"),
    [(MIN_SLICE_WITH_PAUSE_SECONDS * 0.9, False), (MIN_SLICE_WITH_PAUSE_SECONDS * 1.1, True)],
)
async def test_only_a_longer_time_slice_is_followed_by_a_pause(
    monkeypatch: pytest.MonkeyPatch, seconds: float, has_pause: bool
) -> None:
    now = 0.0

    def advance_clock(_item: int) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr(time_slices, "time", SimpleNamespace(perf_counter=lambda: now))
    slices = TimeSlices()
    await slices.map(advance_clock, [1])
    next_computation = asyncio.create_task(slices.map(advance_clock, [1]))
    await asyncio.sleep(0)
    assert next_computation.done() is not has_pause
    await next_computation
