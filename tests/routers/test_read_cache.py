"""The read cache over HTTP: its headers, who uses it, outages, and staff writes for a customer."""

import asyncio

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from tests.support.builders import deal_body, ticket_body
from tests.support.callers import Caller, assert_problem, register_caller
from tests.support.records import create_deal_as, seed_deals

from crm_api import main as main_module
from crm_api.dependencies.records import get_cached_record_context
from crm_api.main import ROUTER_MODULES
from crm_api.openapi.document import CACHED_OPERATIONS, operation_id
from crm_api.settings import Settings
from hubspot_emulator import Emulator

PAGE = "/api/new-crm-objects"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"read_cache_seconds": 10.0, "read_cache_stale_seconds": 300.0})


@pytest.fixture
async def shift(app: FastAPI) -> list[float]:
    """Return a list with one number: the seconds by which the cache's clock is ahead."""
    cache, shift = app.state.read_cache, [0.0]
    original = cache._clock
    cache._clock = cache._store._clock = lambda: original() + shift[0]
    return shift


def test_document_lists_the_operations_that_use_the_cache() -> None:
    cached = {
        operation_id(route)
        for module in ROUTER_MODULES
        for route in module.router.routes
        if isinstance(route, APIRoute)
        and any(part.call is get_cached_record_context for part in route.dependant.dependencies)
    }
    assert cached == CACHED_OPERATIONS


async def test_cached_response_states_its_age(customer: Caller, shift: list[float]) -> None:
    first = await customer.get(PAGE)
    assert "age" not in first.headers
    assert first.headers["cache-control"] == "no-store"
    shift[0] += 5
    second = await customer.get(PAGE)
    assert 5 <= int(second.headers["age"]) <= 10
    assert second.headers["cache-control"] == "private"
    assert second.json() == first.json()


class TestExpiry:
    @pytest.fixture
    def settings(self, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
        monkeypatch.setattr(main_module, "GAUGE_INTERVAL_SECONDS", 0.02)
        return settings

    async def test_expired_responses_leave_memory_without_requests(
        self, app: FastAPI, customer: Caller, shift: list[float]
    ) -> None:
        assert (await customer.get(PAGE)).status_code == 200
        assert app.state.read_cache.used_bytes > 0
        shift[0] += 301
        async with asyncio.timeout(30):
            while app.state.read_cache.used_bytes > 0:  # noqa: ASYNC110 - a background task removes them
                await asyncio.sleep(0.02)


async def test_age_is_that_of_the_oldest_part(
    customer: Caller, shift: list[float], emulator: Emulator
) -> None:
    [deal_id] = seed_deals(emulator, customer.contact_id, 1)
    await customer.get(f"/api/deals/{deal_id}")
    shift[0] += 6
    await customer.get("/api/deals")
    shift[0] += 3
    mixed = await customer.get("/api/deals", params={"limit": 1})
    assert 3 <= int(mixed.headers["age"]) < 6
    assert int((await customer.get(f"/api/deals/{deal_id}")).headers["age"]) >= 9


async def test_error_has_no_age(customer: Caller) -> None:
    for _ in range(2):
        response = await customer.get("/api/deals/999")
        assert_problem(response, 404, "not_found")
        assert "age" not in response.headers
        assert response.headers["cache-control"] == "no-store"


async def test_staff_responses_are_live(staff: Caller, emulator: Emulator) -> None:
    [deal_id] = seed_deals(emulator, staff.contact_id, 1, dealname="before")
    await staff.get(PAGE)
    emulator.edit_as_other_actor("deals", deal_id, {"dealname": "after"})
    response = await staff.get(PAGE)
    assert "age" not in response.headers
    [contact] = response.json()["data"]["data"]["contacts"]
    assert [deal["dealname"] for deal in contact["deals"]] == ["after"]


async def test_repeated_page_makes_no_hubspot_call(customer: Caller, emulator: Emulator) -> None:
    await create_deal_as(customer)
    first = await customer.get(PAGE)
    emulator.clear_requests()
    assert (await customer.get(PAGE)).json() == first.json()
    assert emulator.requests == []


async def test_staff_write_for_a_contact_is_visible_at_once(customer: Caller, staff: Caller) -> None:
    await customer.get(PAGE)
    deal_id = await create_deal_as(staff, contact_id=customer.contact_id, dealname="from staff")
    contact = (await customer.get(PAGE)).json()["data"]["data"]["contacts"][0]
    assert [deal["dealname"] for deal in contact["deals"]] == ["from staff"]
    await staff.post(f"/api/tickets/{deal_id}", ticket_body(subject="from staff"))
    contact = (await customer.get(PAGE)).json()["data"]["data"]["contacts"][0]
    assert [ticket["subject"] for ticket in contact["deals"][0]["tickets"]] == ["from staff"]
    await staff.patch(f"/api/contacts/{customer.contact_id}", {"lastname": "Hopper"})
    contact = (await customer.get(PAGE)).json()["data"]["data"]["contacts"][0]
    assert contact["lastname"] == "Hopper"


async def test_staff_change_of_a_shared_record_is_visible_at_once(
    customer: Caller, staff: Caller, client: httpx.AsyncClient, emulator: Emulator
) -> None:
    second = await register_caller(client, "second@example.com")
    deal_id = await create_deal_as(customer, dealname="before")
    emulator.link(("deals", deal_id), ("contacts", second.contact_id))
    ticket_id = (await staff.post(f"/api/tickets/{deal_id}", ticket_body())).json()["data"]["id"]

    async def assert_seen(deals: list[str], tickets: list[str]) -> None:
        for caller in (customer, second):
            [contact] = (await caller.get(PAGE)).json()["data"]["data"]["contacts"]
            assert [deal["dealname"] for deal in contact["deals"]] == deals
            found = (await caller.get("/api/tickets")).json()["data"]["results"]
            assert [ticket["subject"] for ticket in found] == tickets

    await assert_seen(["before"], [ticket_body()["subject"]])
    await staff.patch(f"/api/deals/{deal_id}", {"dealname": "after"})
    await assert_seen(["after"], [ticket_body()["subject"]])
    await staff.patch(f"/api/tickets/{ticket_id}", {"subject": "after"})
    await assert_seen(["after"], ["after"])
    await staff.delete(f"/api/tickets/{ticket_id}")
    await assert_seen(["after"], [])
    await staff.delete(f"/api/deals/{deal_id}")
    await assert_seen([], [])


async def test_update_without_a_difference_shows_in_the_next_read(
    customer: Caller, emulator: Emulator
) -> None:
    deal_id = await create_deal_as(customer, dealname="before")
    for path in ("/api/deals", f"/api/deals/{deal_id}"):
        await customer.get(path)
    emulator.edit_as_other_actor("deals", deal_id, {"dealname": "after"})
    updated = await customer.patch(f"/api/deals/{deal_id}", {"dealname": "after"})
    assert updated.json()["data"]["dealname"] == "after"
    assert (await customer.get(f"/api/deals/{deal_id}")).json()["data"]["dealname"] == "after"
    [deal] = (await customer.get("/api/deals")).json()["data"]["results"]
    assert deal["dealname"] == "after"


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
async def test_read_after_a_412_returns_the_current_etag(
    customer: Caller, emulator: Emulator, method: str
) -> None:
    deal_id = await create_deal_as(customer, dealname="before")
    path = f"/api/deals/{deal_id}"
    etag = (await customer.get(path)).headers["etag"]
    emulator.edit_as_other_actor("deals", deal_id, {"dealname": "after"})

    async def write(etag: str) -> httpx.Response:
        if method == "DELETE":
            return await customer.delete(path, headers={"If-Match": etag})
        return await customer.patch(path, {"amount": "5"}, headers={"If-Match": etag})

    assert_problem(await write(etag), 412, "precondition_failed")
    read = await customer.get(path, headers={"If-None-Match": etag})
    assert (read.status_code, read.json()["data"]["dealname"]) == (200, "after")
    assert (await write(read.headers["etag"])).is_success


async def test_customers_read_while_hubspot_is_down(
    customer: Caller, app: FastAPI, client: httpx.AsyncClient, shift: list[float], emulator: Emulator
) -> None:
    deal_id = await create_deal_as(customer)
    paths = (PAGE, "/api/deals", f"/api/deals/{deal_id}", "/api/search?q=fleet")
    before = [(await customer.get(path)).json() for path in paths]
    shift[0] += 60
    emulator.fail_next("*", "/crm/*", status=503, times=10_000)
    for _ in range(5):
        for path, body in zip(paths, before, strict=True):
            response = await customer.get(path)
            assert (response.status_code, response.json()) == (200, body)
            assert 60 <= int(response.headers["age"]) < 300
    assert (await customer.post("/api/deals", deal_body())).status_code in (502, 503)
    readiness = (await client.get("/readyz")).json()
    assert readiness["status"] == "degraded"
    shift[0] += 240
    assert (await customer.get(PAGE)).status_code in (502, 503)
    emulator.reset_faults()
    for breaker in app.state.hubspot.sender.circuits._breakers.values():
        breaker._changed_at -= 60  # the circuit breakers try again
    assert (await customer.get(PAGE)).status_code == 200
    assert (await customer.post("/api/deals", deal_body())).status_code == 201
    assert (await client.get("/readyz")).json()["status"] == "ready"


async def test_failed_writes_in_an_outage_keep_cached_reads(
    customer: Caller, shift: list[float], emulator: Emulator
) -> None:
    deal_id = await create_deal_as(customer)
    before = (await customer.get(PAGE)).json()
    shift[0] += 60
    emulator.fail_next("*", "/crm/*", status=503, times=10_000)
    for write in (
        customer.patch("/api/me", {"firstname": "Grace"}),
        customer.patch(f"/api/contacts/{customer.contact_id}", {"firstname": "Grace"}),
        customer.patch(f"/api/deals/{deal_id}", {"dealname": "after"}),
        customer.post("/api/deals", deal_body()),
        customer.post(f"/api/tickets/{deal_id}", ticket_body()),
    ):
        assert (await write).status_code in (502, 503)
        response = await customer.get(PAGE)
        assert (response.status_code, response.json()) == (200, before)


async def test_deleting_the_account_removes_cached_reads(customer: Caller, app: FastAPI) -> None:
    await customer.get(PAGE)
    assert app.state.read_cache.used_bytes > 0
    assert (await customer.delete("/api/me")).status_code == 204
    assert app.state.read_cache.used_bytes == 0
