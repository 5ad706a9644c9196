"""Call context: deadline and caller of one incoming request."""

import asyncio

from crm_api.hubspot import CallContext, call_context, current_call_context


def test_remaining_seconds_decrease_below_zero_with_the_clock() -> None:
    now = [100.0]
    context = CallContext(10.0, clock=lambda: now[0])
    now[0] += 4
    assert context.remaining() == 6.0
    now[0] += 7
    assert context.remaining() == -1.0


def test_calls_inside_ending_earlier_have_an_earlier_deadline() -> None:
    context = CallContext(10.0, clock=lambda: 100.0)
    with context.ending_earlier(3.0):
        assert context.remaining() == 7.0
    assert context.remaining() == 10.0


async def test_child_tasks_share_the_call_context() -> None:
    async def child() -> CallContext | None:
        return current_call_context()

    with call_context(5.0, caller="user:12") as context:
        assert list(await asyncio.gather(child(), child())) == [context, context]
    assert context.caller == "user:12"


async def test_concurrent_tasks_have_separate_call_contexts() -> None:
    async def request(caller: str) -> str | None:
        with call_context(5.0, caller=caller):
            await asyncio.sleep(0)
            context = current_call_context()
            return None if context is None else context.caller

    callers = await asyncio.gather(request("user:1"), request("user:2"))
    assert list(callers) == ["user:1", "user:2"]


def test_call_context_ends_with_its_block() -> None:
    with call_context(5.0):
        pass
    assert current_call_context() is None


def test_outer_call_context_is_restored_after_the_inner_block() -> None:
    with call_context(5.0, caller="outer"), call_context(1.0, caller="inner"):
        pass
    with call_context(5.0, caller="outer") as outer:
        with call_context(1.0):
            assert current_call_context() is not outer
        assert current_call_context() is outer
