"""How many calls to HubSpot every operation costs: one table, held here and shown in docs/hubspot-calls.md."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from fastapi import FastAPI
from tests.support.builders import a_deal, a_ticket
from tests.support.callers import Caller
from tests.support.records import a_deal_of, a_ticket_of, calls, give_deals, give_tickets

from crm_api.hubspot_emulator import Emulator
from crm_api.openapi import build_document

DOCUMENT = Path(__file__).parents[2] / "docs" / "hubspot-calls.md"
BY_AMOUNT = {"filters": [{"property": "amount", "operator": "HAS_PROPERTY"}]}


@dataclass
class World:
    """A customer with two deals and a ticket on each, seen by them and by staff; the schema is known."""

    customer: Caller
    staff: Caller
    emulator: Emulator
    deal: str
    ticket: str

    @property
    def contact(self) -> str:
        return self.customer.contact_id


Ask = Callable[[World], Awaitable[httpx.Response]]


class Row(NamedTuple):
    """An operation, who asks, when, and what it costs."""

    operation: str
    who: str
    when: str
    calls: int
    ask: Ask
    before: Callable[[World], Awaitable[Any]] | None = None


async def many_deals(world: World) -> None:
    give_deals(world.emulator, world.contact, 248)


async def a_write(world: World) -> None:
    await world.staff.patch(f"/api/deals/{world.deal}", {"amount": 1})


async def forgotten(world: World) -> None:
    [world.deal] = give_deals(world.emulator, world.contact, 1)


async def on_a_deal_alone(world: World) -> None:
    [world.ticket] = give_tickets(world.emulator, 1, to=[("deals", world.deal)])


def get(path: str, who: str = "customer", **params: Any) -> Ask:
    return lambda world: getattr(world, who).get(
        path.format(**vars(world), contact=world.contact), params=params
    )


def post(path: str, body: Any, who: str = "customer") -> Ask:
    return lambda world: getattr(world, who).post(path.format(**vars(world)), body)


def patch(path: str, body: Any, who: str = "customer") -> Ask:
    return lambda world: getattr(world, who).patch(path.format(**vars(world), contact=world.contact), body)


def delete(path: str, who: str = "customer") -> Ask:
    return lambda world: getattr(world, who).delete(path.format(**vars(world)))


GRACE = {"email": "grace@example.com"}
TABLE = [
    Row("listPipelines", "anyone", "known", 0, get("/api/pipelines")),
    Row("listProperties", "anyone", "known", 0, get("/api/properties/deals")),
    Row("listCrmObjects", "customer", "", 4, get("/api/new-crm-objects")),
    Row("listCrmObjects", "staff", "", 4, get("/api/new-crm-objects", "staff")),
    Row("listCrmObjects", "customer", "250 deals", 7, get("/api/new-crm-objects"), many_deals),
    Row("listContacts", "customer", "", 1, get("/api/contacts")),
    Row("listContacts", "staff", "", 1, get("/api/contacts", "staff")),
    Row("listContacts", "staff", "filtered or sorted", 1, get("/api/contacts", "staff", sort="email")),
    Row("createContact", "staff", "", 1, post("/api/contacts", GRACE, "staff")),
    Row("searchContacts", "customer", "", 1, post("/api/contacts/search", {"query": "ada"})),
    Row("searchContacts", "staff", "", 1, post("/api/contacts/search", {"query": "ada"}, "staff")),
    Row("getContact", "customer", "", 4, get("/api/contacts/{contact}")),
    Row("getContact", "staff", "", 4, get("/api/contacts/{contact}", "staff")),
    Row("updateContact", "customer", "", 2, patch("/api/contacts/{contact}", {"firstname": "Augusta"})),
    Row(
        "updateContact",
        "customer",
        "nothing differs",
        1,
        patch("/api/contacts/{contact}", {"firstname": "Ada"}),
    ),
    Row("listDeals", "customer", "a page of up to 100", 2, get("/api/deals")),
    Row(
        "listDeals",
        "customer",
        "250 deals, filtered or sorted",
        5,
        get("/api/deals", sort="amount"),
        many_deals,
    ),
    Row("listDeals", "staff", "", 1, get("/api/deals", "staff")),
    Row("listDeals", "staff", "filtered or sorted", 1, get("/api/deals", "staff", pipeline="default")),
    Row(
        "listDeals", "staff", "filtered, after a write", 2, get("/api/deals", "staff", sort="amount"), a_write
    ),
    Row("createDeal", "customer", "", 1, post("/api/deals", a_deal())),
    Row("searchDeals", "customer", "up to 100 deals", 2, post("/api/deals/search", BY_AMOUNT)),
    Row("searchDeals", "customer", "250 deals", 5, post("/api/deals/search", BY_AMOUNT), many_deals),
    Row("searchDeals", "staff", "", 1, post("/api/deals/search", BY_AMOUNT, "staff")),
    Row("searchDeals", "staff", "after a write", 2, post("/api/deals/search", BY_AMOUNT, "staff"), a_write),
    Row("getDeal", "customer", "", 2, get("/api/deals/{deal}")),
    Row("getDeal", "staff", "", 2, get("/api/deals/{deal}", "staff")),
    Row("updateDeal", "customer", "", 2, patch("/api/deals/{deal}", {"dealstage": "closedwon"})),
    Row("updateDeal", "customer", "nothing differs", 1, patch("/api/deals/{deal}", {})),
    Row("archiveDeal", "customer", "", 2, delete("/api/deals/{deal}")),
    Row("listTickets", "customer", "", 3, get("/api/tickets")),
    Row("listTickets", "staff", "", 1, get("/api/tickets", "staff")),
    Row(
        "createTicket",
        "customer",
        "on a deal seen in the last 10 s",
        1,
        post("/api/tickets/{deal}", a_ticket()),
    ),
    Row("createTicket", "customer", "", 2, post("/api/tickets/{deal}", a_ticket()), forgotten),
    Row("createTicket", "staff", "", 2, post("/api/tickets/{deal}", a_ticket(), "staff")),
    Row("searchTickets", "customer", "", 3, post("/api/tickets/search", {"query": "van"})),
    Row("searchTickets", "staff", "", 1, post("/api/tickets/search", {"query": "van"}, "staff")),
    Row("getTicket", "customer", "", 1, get("/api/tickets/{ticket}")),
    Row(
        "getTicket",
        "customer",
        "not linked with the contact",
        2,
        get("/api/tickets/{ticket}"),
        on_a_deal_alone,
    ),
    Row("getTicket", "staff", "", 1, get("/api/tickets/{ticket}", "staff")),
    Row("updateTicket", "customer", "", 2, patch("/api/tickets/{ticket}", {"subject": "Other"})),
    Row("archiveTicket", "customer", "", 2, delete("/api/tickets/{ticket}")),
    Row("searchEverything", "customer", "", 4, get("/api/search", q="van")),
    Row("searchEverything", "staff", "", 3, get("/api/search", "staff", q="van")),
]


@pytest.fixture
async def world(customer: Caller, staff: Caller, emulator: Emulator) -> World:
    deal_id = await a_deal_of(customer)
    ticket_id = await a_ticket_of(customer, deal_id)
    await a_ticket_of(customer, await a_deal_of(customer))
    await customer.get("/api/properties/contacts")
    return World(customer, staff, emulator, deal_id, ticket_id)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.operation}-{row.who}-{row.when}")
async def test_it_costs_what_the_table_says(row: Row, world: World) -> None:
    if row.before is not None:
        await row.before(world)
    world.emulator.clear_requests()
    answer = await row.ask(world)
    assert answer.status_code < 300, answer.text
    assert len(world.emulator.requests) == row.calls, calls(world.emulator)


def test_the_table_names_every_operation_on_records(app_document: dict[str, Any]) -> None:
    operations = {
        operation["operationId"]
        for path in app_document["paths"].values()
        for operation in path.values()
        if operation["tags"][0] not in {"Account", "Operations"}
    }
    assert {row.operation for row in TABLE} == operations


def test_the_document_shows_the_table() -> None:
    rows = [f"| `{row.operation}` | {row.who} | {row.when or 'always'} | {row.calls} |" for row in TABLE]
    assert "\n".join(rows) in DOCUMENT.read_text(encoding="utf-8"), "\n".join(rows)


@pytest.fixture
def app_document(app: FastAPI) -> dict[str, Any]:
    return build_document(app)
