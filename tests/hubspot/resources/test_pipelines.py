"""Pipelines: order, cache and shared reads."""

import asyncio
from typing import Any

import httpx
import pytest
from tests.hubspot.stubs import Stub, build_client, ok, refusal
from tests.support.clock import FakeClock

from crm_api.hubspot import Stage, call_context
from crm_api.hubspot.errors import HubSpotDeadlineError, HubSpotServerError


def stage(stage_id: str, order: int = 0, **members: Any) -> dict[str, Any]:
    return {
        "id": stage_id,
        "label": stage_id,
        "displayOrder": order,
        "metadata": {},
        "archived": False,
        **members,
    }


def pipelines(*ids: str) -> httpx.Response:
    rows = [
        {
            "id": item,
            "label": item,
            "displayOrder": -index,
            "stages": [stage("b", 1), stage("a", 0)],
            "archived": False,
        }
        for index, item in enumerate(ids)
    ]
    return ok({"results": rows})


async def test_pipelines_are_listed_in_display_order_without_archived() -> None:
    archived = {"id": "z", "label": "z", "displayOrder": 0, "stages": [], "archived": True}
    stages = [stage("b", 2), stage("x", 1, archived=True), stage("a", 0)]
    shown = {"id": "0", "label": "Support", "displayOrder": 1, "stages": stages, "archived": False}
    stub = Stub(ok({"results": [shown, archived]}))
    [found] = await build_client(stub).pipelines.list("tickets")
    assert stub.sent == [("GET", "/crm/pipelines/2026-09/tickets")]
    assert [item.id for item in found.stages] == ["a", "b"]
    [second, first] = [
        item.id for item in await build_client(Stub(pipelines("p", "q"))).pipelines.list("deals")
    ]
    assert (first, second) == ("p", "q")


@pytest.mark.parametrize(
    ("metadata", "closed"),
    [
        ({"probability": "1.0", "isClosed": "true"}, True),
        ({"probability": "0.2", "isClosed": "false"}, False),
        ({"ticketState": "CLOSED"}, True),
        ({"ticketState": "OPEN", "isClosed": "false"}, False),
        ({}, False),
    ],
)
def test_stage_metadata_strings_determine_is_closed(metadata: dict[str, str], closed: bool) -> None:
    assert Stage.model_validate(stage("a") | {"metadata": metadata}).is_closed is closed


async def test_pipelines_are_cached_per_object_type_within_max_age() -> None:
    clock = FakeClock()
    stub = Stub(pipelines("a"))
    api = build_client(stub, fake_clock=clock).pipelines
    await api.list("deals", max_age_seconds=300)
    clock.now += 299
    await api.list("deals", max_age_seconds=300)
    assert len(stub.requests) == 1
    await api.list("tickets", max_age_seconds=300)
    assert len(stub.requests) == 2
    await api.list("deals", max_age_seconds=0)
    assert len(stub.requests) == 3


async def test_concurrent_pipeline_reads_share_one_call() -> None:
    stub = Stub(pipelines("a"))
    client = build_client(stub)
    for age in (300.0, 0.0):
        results = await asyncio.gather(
            *(client.pipelines.list("deals", max_age_seconds=age) for _ in range(10))
        )
        assert all([item.id for item in result] == ["a"] for result in results)
    assert len(stub.requests) == 2


async def test_cached_pipelines_are_the_same_object() -> None:
    api = build_client(Stub(pipelines("a"), pipelines("b"))).pipelines
    first = await api.list("deals")
    assert await api.list("deals") is first
    [fresh] = await api.list("deals", max_age_seconds=0)
    assert fresh.id == "b"


async def test_list_many_reads_and_caches_each_object_type() -> None:
    stub = Stub(pipelines("a"))
    api = build_client(stub).pipelines
    for _ in range(2):
        deals, tickets = await api.list_many(("deals", "tickets"))
        assert [item.id for item in (*deals, *tickets)] == ["a", "a"]
    assert sorted(request.url.path.rpartition("/")[2] for request in stub.requests) == ["deals", "tickets"]


async def test_pipeline_read_errors_are_not_cached() -> None:
    stub = Stub(refusal(400), pipelines("a"))
    api = build_client(stub).pipelines
    with pytest.raises(Exception, match="400"):
        await api.list("deals")
    assert len(await api.list("deals")) == 1


async def test_pipeline_read_error_is_raised_for_every_waiting_caller() -> None:
    stub = Stub(refusal(500))
    api = build_client(stub).pipelines
    outcomes = await asyncio.gather(*(api.list("deals") for _ in range(3)), return_exceptions=True)
    assert all(isinstance(item, HubSpotServerError) for item in outcomes)
    assert len(stub.requests) == 4


async def test_cancelled_caller_does_not_cancel_a_shared_pipeline_read() -> None:
    answer = asyncio.Event()

    async def slow(_: httpx.Request) -> httpx.Response:
        await answer.wait()
        return pipelines("a")

    stub = Stub(slow)
    api = build_client(stub).pipelines
    first = asyncio.create_task(api.list("deals"))
    await stub.busy()
    second = asyncio.create_task(api.list("deals"))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    answer.set()
    assert [item.id for item in await second] == ["a"]
    assert len(stub.requests) == 1


async def test_callers_of_a_shared_pipeline_read_have_own_deadlines() -> None:
    answer = asyncio.Event()

    async def slow(_: httpx.Request) -> httpx.Response:
        await answer.wait()
        return pipelines("a")

    stub = Stub(slow)
    api = build_client(stub).pipelines
    with call_context(0.02) as context, pytest.raises(HubSpotDeadlineError):
        await api.list("deals")
    patient = asyncio.create_task(api.list("deals"))
    await asyncio.sleep(0)
    answer.set()
    assert len(await patient) == 1
    assert len(stub.requests) == 1
    assert context.calls == 1


async def test_aclose_cancels_a_running_pipeline_read() -> None:
    stub = Stub(lambda _: asyncio.Event().wait())
    client = build_client(stub)
    reading = asyncio.create_task(client.pipelines.list("deals"))
    await stub.busy()
    await client.aclose()
    outcome = await asyncio.gather(reading, return_exceptions=True)
    assert isinstance(outcome[0], asyncio.CancelledError)
    assert stub.in_flight == 0
