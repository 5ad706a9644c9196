"""IDs of associated records: who gets which, and when they are null."""

import pytest
from tests.support.callers import Caller, assert_problem, register_caller
from tests.support.records import (
    create_deal_as,
    create_ticket_as,
    list_all,
    search_all,
    seed_deals,
    seed_tickets,
)

from hubspot_emulator import Emulator

INCLUDE = {"include": "associations"}


@pytest.fixture
async def other(customer: Caller) -> Caller:
    return await register_caller(customer.client, "other@example.com")


@pytest.fixture
async def shared(customer: Caller, other: Caller, emulator: Emulator) -> dict[str, str]:
    """Return the IDs of a deal of both customers, of a deal of the other one, and of a ticket on both deals."""
    [deal] = seed_deals(emulator, customer.contact_id, 1)
    emulator.link(("deals", deal), ("contacts", other.contact_id))
    [foreign] = seed_deals(emulator, other.contact_id, 1)
    [ticket] = seed_tickets(emulator, 1, to=[("deals", deal), ("deals", foreign)])
    emulator.link(("tickets", ticket), ("contacts", other.contact_id))
    return {"deal": deal, "foreign": foreign, "ticket": ticket}


def ids(record: dict[str, object]) -> tuple[object, object]:
    return record["contact_ids"], record["deal_ids"]


async def test_create_and_update_return_associated_ids(customer: Caller, staff: Caller) -> None:
    deal = await create_deal_as(customer)
    for caller in (customer, staff):
        body = {"dealname": caller.email}
        assert (await caller.patch(f"/api/deals/{deal}", body)).json()["data"]["contact_ids"] == [
            customer.contact_id
        ]
    for caller in (customer, staff):
        created = await caller.post(
            f"/api/tickets/{deal}", {"subject": "Van", "description": "Late", "hs_pipeline_stage": "1"}
        )
        assert ids(created.json()["data"]) == ([customer.contact_id], [deal])
    ticket = created.json()["data"]["id"]
    updated = await staff.patch(f"/api/tickets/{ticket}", {"subject": "Other"})
    assert ids(updated.json()["data"]) == ([customer.contact_id], [deal])
    body = {"dealname": "Fleet", "dealstage": "qualifiedtobuy", "contact_id": customer.contact_id}
    assert (await staff.post("/api/deals", body)).json()["data"]["contact_ids"] == [customer.contact_id]


async def test_customer_gets_only_own_ids(customer: Caller, other: Caller, shared: dict[str, str]) -> None:
    deal, ticket = shared["deal"], shared["ticket"]
    for params in ({}, INCLUDE):
        read = (await customer.get(f"/api/deals/{deal}", params=params)).json()["data"]
        assert read["contact_ids"] == [customer.contact_id]
        [listed] = await list_all(customer, "/api/deals", **params)
        assert listed["contact_ids"] == [customer.contact_id]
        [listed] = await list_all(customer, "/api/tickets", **params)
        assert ids(listed) == ([], [deal])
        [found] = await search_all(customer, "/api/tickets/search", query="ticket", **params)
        assert ids(found) == ([], [deal])
    read = (await customer.get(f"/api/tickets/{ticket}", params=INCLUDE)).json()["data"]
    assert ids(read) == ([], [deal])
    read = (await other.get(f"/api/tickets/{ticket}", params=INCLUDE)).json()["data"]
    assert ids(read) == ([other.contact_id], sorted([deal, shared["foreign"]], key=int))


async def test_deal_ids_of_ticket_are_null_until_included(customer: Caller, emulator: Emulator) -> None:
    deal = await create_deal_as(customer)
    ticket = await create_ticket_as(customer, deal)
    path = f"/api/tickets/{ticket}"
    assert ids((await customer.get(path)).json()["data"]) == ([customer.contact_id], None)
    assert ids((await customer.get(path, params=INCLUDE)).json()["data"]) == ([customer.contact_id], [deal])
    [alone] = seed_tickets(emulator, 1, to=[("contacts", customer.contact_id)])
    assert ids((await customer.get(f"/api/tickets/{alone}")).json()["data"]) == ([customer.contact_id], [])


async def test_staff_reads_have_all_ids(
    customer: Caller, other: Caller, staff: Caller, shared: dict[str, str]
) -> None:
    contacts = sorted([customer.contact_id, other.contact_id], key=int)
    assert (await staff.get(f"/api/deals/{shared['deal']}")).json()["data"]["contact_ids"] == contacts
    read = (await staff.get(f"/api/tickets/{shared['ticket']}")).json()["data"]
    assert ids(read) == ([other.contact_id], sorted([shared["deal"], shared["foreign"]], key=int))


@pytest.mark.parametrize("sort", [None, "-createdate"])
async def test_staff_list_has_ids_on_request(
    customer: Caller, other: Caller, staff: Caller, shared: dict[str, str], sort: str | None
) -> None:
    order = {"sort": sort} if sort else {}
    deals = {deal["id"]: deal for deal in await list_all(staff, "/api/deals", **order, **INCLUDE)}
    contacts = sorted([customer.contact_id, other.contact_id], key=int)
    assert deals[shared["deal"]]["contact_ids"] == contacts
    assert deals[shared["foreign"]]["contact_ids"] == [other.contact_id]
    [ticket] = await list_all(staff, "/api/tickets", **order, **INCLUDE)
    assert ids(ticket) == ([other.contact_id], sorted([shared["deal"], shared["foreign"]], key=int))
    assert {deal["contact_ids"] for deal in await list_all(staff, "/api/deals", **order)} == {None}


async def test_staff_search_has_ids_on_request(other: Caller, staff: Caller, shared: dict[str, str]) -> None:
    [ticket] = await search_all(staff, "/api/tickets/search", query="ticket", **INCLUDE)
    assert ids(ticket) == ([other.contact_id], sorted([shared["deal"], shared["foreign"]], key=int))
    [ticket] = await search_all(staff, "/api/tickets/search", query="ticket")
    assert ids(ticket) == (None, None)


async def test_ids_past_the_first_page_are_read_on_request(
    customer: Caller, staff: Caller, emulator: Emulator
) -> None:
    deal = await create_deal_as(customer)
    contacts = emulator.seed({"contacts": [{"email": f"p{number}@example.com"} for number in range(120)]})
    for contact in contacts["contacts"]:
        emulator.link(("deals", deal), ("contacts", contact))
    everyone = sorted([customer.contact_id, *contacts["contacts"]], key=int)
    path = f"/api/deals/{deal}"
    assert (await staff.get(path)).json()["data"]["contact_ids"] is None
    assert (await staff.get(path, params=INCLUDE)).json()["data"]["contact_ids"] == everyone
    [listed] = await list_all(staff, "/api/deals", **INCLUDE)
    assert listed["contact_ids"] == everyone


async def test_unreadable_ids_are_an_error(staff: Caller, shared: dict[str, str], emulator: Emulator) -> None:
    emulator.fail_next("POST", "/crm/associations/*", status=503, times=10)
    params = {"sort": "-createdate", **INCLUDE}
    assert_problem(await staff.get("/api/deals", params=params), 502, "hubspot_error")


async def test_unknown_include_is_refused(customer: Caller) -> None:
    response = await customer.get("/api/deals", params={"include": "tickets"})
    assert_problem(response, 400, "validation_error", fields=["include"])
