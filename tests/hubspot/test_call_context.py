"""One deadline and one caller for all that a request asks of HubSpot."""

import asyncio

from crm_api.hubspot import RequestScope, current_scope, request_scope


def test_the_time_left_runs_out() -> None:
    now = [100.0]
    scope = RequestScope(10.0, clock=lambda: now[0])
    now[0] += 4
    assert scope.remaining() == 6.0
    now[0] += 7
    assert scope.remaining() == -1.0


async def test_child_tasks_share_the_scope() -> None:
    async def child() -> RequestScope | None:
        return current_scope()

    with request_scope(5.0, caller="user:12") as scope:
        assert list(await asyncio.gather(child(), child())) == [scope, scope]
    assert scope.caller == "user:12"


async def test_requests_at_once_do_not_see_each_other_s_scope() -> None:
    async def request(caller: str) -> str | None:
        with request_scope(5.0, caller=caller):
            await asyncio.sleep(0)
            scope = current_scope()
            return None if scope is None else scope.caller

    callers = await asyncio.gather(request("user:1"), request("user:2"))
    assert list(callers) == ["user:1", "user:2"]


def test_outside_there_is_none() -> None:
    with request_scope(5.0):
        pass
    assert current_scope() is None


def test_an_inner_scope_ends_with_its_block() -> None:
    with request_scope(5.0, caller="outer"), request_scope(1.0, caller="inner"):
        pass
    with request_scope(5.0, caller="outer") as outer:
        with request_scope(1.0):
            assert current_scope() is not outer
        assert current_scope() is outer
