"""Fair queue: priorities, round robin over callers, order of arrival within one, and cancellation."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_api.hubspot.quota.fair_queue import FairQueue, Priority


async def take(
    queue: FairQueue, caller: str | None, order: list[str | None], priority: Priority = Priority.NORMAL
) -> None:
    if not queue.take_free_turn():
        await queue.wait_for_turn(caller, priority)
    order.append(caller)
    await asyncio.sleep(0)
    queue.release()


async def start(queue: FairQueue, callers: list[str], order: list[str | None]) -> list[asyncio.Task[None]]:
    tasks = []
    for caller in callers:
        tasks.append(asyncio.create_task(take(queue, caller, order)))
        await asyncio.sleep(0)
    return tasks


async def test_one_request_waits_for_at_most_one_of_a_flooding_caller() -> None:
    queue, order = FairQueue(), list[str | None]()
    assert queue.take_free_turn()
    tasks = await start(queue, ["flood"] * 100 + ["quiet"], order)
    queue.release()
    await asyncio.gather(*tasks)
    assert order.index("quiet") <= 1
    assert len(order) == 101


async def test_new_caller_gets_its_turn_before_the_caller_just_served() -> None:
    queue, order = FairQueue(), list[str | None]()
    assert queue.take_free_turn()
    tasks = await start(queue, ["flood"] * 3, order)
    queue.release()  # grants the turn to the flood
    tasks += await start(queue, ["quiet"], order)
    await asyncio.gather(*tasks)
    assert order[:2] == ["flood", "quiet"]


async def test_callers_with_several_requests_take_turns() -> None:
    queue, order = FairQueue(), list[str | None]()
    assert queue.take_free_turn()
    tasks = await start(queue, ["a", "a", "a", "b", "b", "c"], order)
    queue.release()
    await asyncio.gather(*tasks)
    assert order == ["a", "b", "c", "a", "b", "a"]


@pytest.mark.parametrize("position", [0, 1, 2])
async def test_cancelled_waiter_is_skipped(position: int) -> None:
    queue, order = FairQueue(), list[str | None]()
    assert queue.take_free_turn()
    tasks = await start(queue, ["a", "b", "c"], order)
    tasks[position].cancel()
    await asyncio.sleep(0)
    queue.release()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert len(order) == 2
    assert len(queue) == 0
    assert queue.take_free_turn()


async def test_turn_granted_to_a_cancelled_waiter_goes_to_the_next() -> None:
    queue, order = FairQueue(), list[str | None]()
    assert queue.take_free_turn()
    tasks = await start(queue, ["a", "b"], order)
    queue.release()
    tasks[0].cancel()  # its turn is granted, but it has not run yet
    await asyncio.gather(*tasks, return_exceptions=True)
    assert order == ["b"]
    assert queue.take_free_turn()


async def take_in_background(queue: FairQueue, order: list[str | None]) -> None:
    await queue.wait_for_turn("background", Priority.BACKGROUND)
    order.append("background")
    queue.release()


async def test_background_request_waits_for_all_others() -> None:
    queue, order = FairQueue(), list[str | None]()
    assert queue.take_free_turn()
    background = [asyncio.create_task(take_in_background(queue, order)) for _ in range(2)]
    await asyncio.sleep(0)
    tasks = await start(queue, ["a", "a", "b"], order)
    assert queue.calls_ahead == 6
    queue.release()
    await asyncio.gather(*tasks, *background)
    assert order == ["a", "b", "a", "background", "background"]
    assert queue.calls_ahead == 0


@pytest.mark.parametrize("is_granted", [False, True])
async def test_cancelled_background_request_is_skipped(is_granted: bool) -> None:
    queue, order = FairQueue(), list[str | None]()
    assert queue.take_free_turn()
    first, second = (asyncio.create_task(take_in_background(queue, order)) for _ in range(2))
    await asyncio.sleep(0)
    if is_granted:
        queue.release()
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    if not is_granted:
        queue.release()
    await second
    assert order == ["background"]
    assert queue.take_free_turn()


PRIORITIES = {"w": Priority.STARTED_WRITE, "n": Priority.NORMAL, "b": Priority.BACKGROUND}


async def served_order(waiting: list[str]) -> list[str | None]:
    """Return the order in which the queue serves requests like `w:a`: a started write of caller a."""
    queue, order = FairQueue(), list[str | None]()
    assert queue.take_free_turn()
    tasks = []
    for request in waiting:
        tasks.append(asyncio.create_task(take(queue, request, order, PRIORITIES[request[0]])))
        await asyncio.sleep(0)
    queue.release()
    await asyncio.gather(*tasks)
    assert queue.calls_ahead == 0
    return order


@pytest.mark.parametrize(
    ("waiting", "expected"),
    [
        ("n:a w:b", "w:b n:a"),
        ("n:a n:b w:a", "w:a n:a n:b"),
        ("b:a n:b w:c", "w:c n:b b:a"),
        ("w:a w:b", "w:a w:b"),
    ],
)
async def test_started_write_goes_before_other_requests(waiting: str, expected: str) -> None:
    assert await served_order(waiting.split()) == expected.split()


async def test_callers_take_turns_among_started_writes() -> None:
    queue, order = FairQueue(), list[str | None]()
    assert queue.take_free_turn()
    tasks = []
    for caller in ["many", "many", "many", "one"]:
        tasks.append(asyncio.create_task(take(queue, caller, order, Priority.STARTED_WRITE)))
        await asyncio.sleep(0)
    queue.release()
    await asyncio.gather(*tasks)
    assert order == ["many", "one", "many", "many"]


@given(
    st.lists(
        st.tuples(st.sampled_from(Priority), st.sampled_from("abc"), st.booleans()), min_size=1, max_size=30
    )
)
async def test_turns_follow_priority_and_differ_by_one_per_caller(
    requests: list[tuple[Priority, str, bool]],
) -> None:
    queue = FairQueue()
    order: list[tuple[Priority, str]] = []

    async def wait(priority: Priority, caller: str) -> None:
        await queue.wait_for_turn(caller, priority)
        order.append((priority, caller))
        queue.release()

    assert queue.take_free_turn()
    tasks = [asyncio.create_task(wait(priority, caller)) for priority, caller, _ in requests]
    await asyncio.sleep(0)
    for task, (_, _, is_cancelled) in zip(tasks, requests, strict=True):
        if is_cancelled:
            task.cancel()
    await asyncio.sleep(0)
    remaining = [(priority, caller) for priority, caller, is_cancelled in requests if not is_cancelled]
    assert len(queue) == len(remaining)
    queue.release()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert sorted(order) == sorted(remaining)
    assert [priority for priority, _ in order] == sorted(priority for priority, _ in remaining)
    assert [request for request in order if request[0] is Priority.BACKGROUND] == [
        request for request in remaining if request[0] is Priority.BACKGROUND
    ]
    for priority in (Priority.STARTED_WRITE, Priority.NORMAL):
        turns = [caller for granted, caller in order if granted is priority]
        for index, caller in enumerate(turns):
            # No caller has two turns while another one of this priority waits.
            if index and turns[index - 1] == caller:
                assert set(turns[index:]) == {caller}
    assert queue.take_free_turn()
