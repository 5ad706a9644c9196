"""Fair queue: round robin over callers, order of arrival within one, and cancellation."""

import asyncio

import pytest

from crm_api.hubspot.quota.fair_queue import FairQueue


async def take(queue: FairQueue, caller: str | None, order: list[str | None]) -> None:
    if not queue.take_free_turn():
        await queue.wait_for_turn(caller)
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
    await queue.wait_for_turn("background", is_background=True)
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
