"""How many calls to HubSpot every operation costs: one table, held here and shown in docs/hubspot-calls.md."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from fastapi import FastAPI
from tests.support.builders import PASSWORD, deal_body, registration_body, ticket_body
from tests.support.callers import Caller
from tests.support.mail import Mailbox, token_of, verified_caller, wait_for_mail, with_email_verification
from tests.support.records import calls, create_deal_as, create_ticket_as, seed_deals, seed_tickets

from crm_api.openapi.document import build_document
from crm_api.settings import Settings
from hubspot_emulator import Emulator

DOCUMENT = Path(__file__).parents[2] / "docs" / "hubspot-calls.md"
BY_AMOUNT = {"filters": [{"property": "amount", "operator": "HAS_PROPERTY"}]}


@dataclass
class World:
    """A customer with two deals and a ticket on each, seen by them and by staff; the schema is known."""

    customer: Caller
    staff: Caller
    emulator: Emulator
    deal: str = ""
    ticket: str = ""
    proof: str = ""
    """The token of a mail that proves the address of somebody new."""
    reset: str = ""
    """The token of a mail to the customer, who has forgotten their password."""

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
    seed_deals(world.emulator, world.contact, 248)


async def a_write(world: World) -> None:
    await world.staff.patch(f"/api/deals/{world.deal}", {"amount": 1})


async def on_a_deal_alone(world: World) -> None:
    [world.ticket] = seed_tickets(world.emulator, 1, to=[("deals", world.deal)])


async def many_tickets(world: World) -> None:
    seed_tickets(world.emulator, 599, to=[("deals", world.deal)])


async def a_ticket_written(world: World) -> None:
    await world.staff.patch(f"/api/tickets/{world.ticket}", {"subject": "Other"})


async def known_to_the_company(world: World) -> None:
    world.emulator.seed({"contacts": [NEW]})


async def a_contact_with_other_values(world: World) -> None:
    world.emulator.seed({"contacts": [NEW | {"firstname": "Somebody"}]})


def get(path: str, who: str = "customer", **params: Any) -> Ask:
    return lambda world: getattr(world, who).get(
        path.format(**vars(world), contact=world.contact), params=params
    )


def post(path: str, body: Any, who: str = "customer") -> Ask:
    return lambda world: getattr(world, who).post(path.format(**vars(world)), body)


def patch(path: str, body: Any, who: str = "customer") -> Ask:
    return lambda world: getattr(world, who).patch(path.format(**vars(world), contact=world.contact), body)


def anyone(path: str, body: Any) -> Ask:
    return lambda world: world.customer.client.post(path, json=body)


def form(path: str, body: dict[str, str]) -> Ask:
    return lambda world: world.customer.client.post(path, data=body)


def with_proof(path: str) -> Ask:
    return lambda world: world.customer.client.post(path, json={"token": world.proof, "password": PASSWORD})


def delete(path: str, who: str = "customer") -> Ask:
    return lambda world: getattr(world, who).delete(path.format(**vars(world)))


GRACE = {"email": "grace@example.com"}
NEW = {key: value for key, value in registration_body(email="new@example.com").items() if key != "password"}
ME = "customer@example.com"
FOUND = {"query": "van"}
ACCOUNTS = [
    Row("register", "anyone", "", 1, anyone("/api/register", registration_body(email="new@example.com"))),
    Row(
        "register",
        "anyone",
        "the contact is there",
        2,
        anyone("/api/register", registration_body(email="new@example.com")),
        known_to_the_company,
    ),
    Row(
        "register",
        "anyone",
        "the contact is there, with other values",
        3,
        anyone("/api/register", registration_body(email="new@example.com")),
        a_contact_with_other_values,
    ),
    Row("logIn", "anyone", "", 0, anyone("/api/login", {"email": ME, "password": PASSWORD})),
    Row(
        "createToken",
        "anyone",
        "",
        0,
        form("/api/token", {"grant_type": "password", "username": ME, "password": PASSWORD}),
    ),
    Row(
        "refreshToken",
        "anyone",
        "",
        0,
        lambda world: world.customer.client.post(
            "/api/token/refresh", json={"refresh_token": world.customer.tokens["refresh_token"]}
        ),
    ),
    Row("logOut", "anyone", "", 0, post("/api/logout", {})),
    Row("getMe", "anyone", "", 0, get("/api/me")),
    Row("updateMe", "anyone", "", 2, patch("/api/me", {"firstname": "Augusta"})),
    Row("deleteMe", "anyone", "", 0, delete("/api/me")),
    Row("exportMe", "customer", "", 6, get("/api/me/export")),
    Row(
        "changePassword",
        "anyone",
        "",
        0,
        post("/api/me/password", {"current_password": PASSWORD, "new_password": "another good password"}),
    ),
    Row("getHealth", "anyone", "", 0, get("/healthz")),
    Row("getReadiness", "anyone", "", 0, get("/readyz")),
]
PROVED = [
    Row(
        "register",
        "anyone",
        "addresses are proved",
        0,
        anyone("/api/register", registration_body(email="other@example.com")),
    ),
    Row("verifyEmail", "anyone", "", 1, with_proof("/api/email/verify")),
    Row(
        "verifyEmail",
        "anyone",
        "the contact is there",
        2,
        with_proof("/api/email/verify"),
        known_to_the_company,
    ),
    Row("resendVerification", "anyone", "", 0, anyone("/api/email/verify/resend", {"email": NEW["email"]})),
    Row("forgotPassword", "anyone", "", 0, anyone("/api/password/forgot", {"email": ME})),
    Row(
        "resetPassword",
        "anyone",
        "",
        0,
        lambda world: world.customer.client.post(
            "/api/password/reset", json={"token": world.reset, "password": "another good password"}
        ),
    ),
]
RECORDS = [
    Row("listPipelines", "anyone", "known", 0, get("/api/pipelines")),
    Row("listProperties", "anyone", "known", 0, get("/api/properties/deals")),
    Row("listCrmObjects", "customer", "", 4, get("/api/new-crm-objects")),
    Row("listCrmObjects", "staff", "", 4, get("/api/new-crm-objects", "staff")),
    Row("listCrmObjects", "customer", "250 deals", 7, get("/api/new-crm-objects"), many_deals),
    Row(
        "listCrmObjects",
        "customer",
        "a deal with 600 tickets",
        11,
        get("/api/new-crm-objects"),
        many_tickets,
    ),
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
    Row(
        "updateContact",
        "staff",
        "",
        2,
        patch("/api/contacts/{contact}", {"lifecyclestage": "customer"}, "staff"),
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
    Row("createDeal", "customer", "", 2, post("/api/deals", deal_body())),
    Row(
        "createDeal",
        "staff",
        "",
        1,
        lambda world: world.staff.post("/api/deals", deal_body(contact_id=world.contact)),
    ),
    Row("searchDeals", "customer", "up to 100 deals", 2, post("/api/deals/search", BY_AMOUNT)),
    Row("searchDeals", "customer", "250 deals", 5, post("/api/deals/search", BY_AMOUNT), many_deals),
    Row("searchDeals", "staff", "", 1, post("/api/deals/search", BY_AMOUNT, "staff")),
    Row("searchDeals", "staff", "after a write", 2, post("/api/deals/search", BY_AMOUNT, "staff"), a_write),
    Row("getDeal", "customer", "", 2, get("/api/deals/{deal}")),
    Row("getDeal", "staff", "", 2, get("/api/deals/{deal}", "staff")),
    Row("getDeal", "customer", "600 tickets", 9, get("/api/deals/{deal}"), many_tickets),
    Row("updateDeal", "customer", "", 2, patch("/api/deals/{deal}", {"dealstage": "closedwon"})),
    Row("updateDeal", "customer", "nothing differs", 1, patch("/api/deals/{deal}", {})),
    Row("updateDeal", "staff", "", 2, patch("/api/deals/{deal}", {"amount": 1}, "staff")),
    Row("archiveDeal", "customer", "", 2, delete("/api/deals/{deal}")),
    Row("archiveDeal", "staff", "", 2, delete("/api/deals/{deal}", "staff")),
    Row("listTickets", "customer", "", 3, get("/api/tickets")),
    Row("listTickets", "staff", "", 1, get("/api/tickets", "staff")),
    Row("listTickets", "staff", "filtered or sorted", 1, get("/api/tickets", "staff", sort="subject")),
    Row("createTicket", "customer", "", 2, post("/api/tickets/{deal}", ticket_body())),
    Row("createTicket", "staff", "", 2, post("/api/tickets/{deal}", ticket_body(), "staff")),
    Row("searchTickets", "customer", "", 3, post("/api/tickets/search", FOUND)),
    Row("searchTickets", "staff", "", 1, post("/api/tickets/search", FOUND, "staff")),
    Row(
        "searchTickets",
        "staff",
        "after a write",
        2,
        post("/api/tickets/search", FOUND, "staff"),
        a_ticket_written,
    ),
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
    Row("updateTicket", "staff", "", 2, patch("/api/tickets/{ticket}", {"subject": "Other"}, "staff")),
    Row("archiveTicket", "customer", "", 2, delete("/api/tickets/{ticket}")),
    Row("archiveTicket", "staff", "", 2, delete("/api/tickets/{ticket}", "staff")),
    Row("searchEverything", "customer", "", 4, get("/api/search", q="van")),
    Row("searchEverything", "staff", "", 3, get("/api/search", "staff", q="van")),
]


TABLE = [*ACCOUNTS[:3], *PROVED, *ACCOUNTS[3:], *RECORDS]


def named(row: Row) -> str:
    return f"{row.operation}-{row.who}-{row.when}"


async def assert_call_count(row: Row, world: World) -> None:
    if row.before is not None:
        await row.before(world)
    world.emulator.clear_requests()
    answer = await row.ask(world)
    assert answer.status_code < 300, answer.text
    assert len(world.emulator.requests) == row.calls, calls(world.emulator)


@pytest.fixture
async def world(customer: Caller, staff: Caller, emulator: Emulator) -> World:
    deal_id = await create_deal_as(customer)
    ticket_id = await create_ticket_as(customer, deal_id)
    await create_ticket_as(customer, await create_deal_as(customer))
    await customer.get("/api/properties/contacts")
    return World(customer, staff, emulator, deal_id, ticket_id)


@pytest.mark.parametrize("row", [*ACCOUNTS, *RECORDS], ids=named)
async def test_it_costs_what_the_table_says(row: Row, world: World) -> None:
    await assert_call_count(row, world)


class TestWhereAddressesAreProved:
    @pytest.fixture
    def settings(self, settings: Settings, mailbox: Mailbox) -> Settings:
        return with_email_verification(settings, mailbox)

    @pytest.fixture
    async def world(
        self, client: httpx.AsyncClient, app: FastAPI, emulator: Emulator, mailbox: Mailbox
    ) -> World:
        customer = await verified_caller(app, client, mailbox, ME)
        await client.post("/api/register", json=registration_body(email=NEW["email"]))
        await client.post("/api/password/forgot", json={"email": ME})
        proof, reset = [token_of(await wait_for_mail(app, mailbox, to)) for to in (NEW["email"], ME)]
        return World(customer, customer, emulator, proof=proof, reset=reset)

    @pytest.mark.parametrize("row", PROVED, ids=named)
    async def test_it_costs_what_the_table_says(self, row: Row, world: World) -> None:
        await assert_call_count(row, world)


def test_the_table_names_every_operation(app_document: dict[str, Any]) -> None:
    operations = [
        operation["operationId"] for path in app_document["paths"].values() for operation in path.values()
    ]
    assert len(operations) > 30
    assert {row.operation for row in TABLE} == set(operations)


def test_the_document_shows_the_table() -> None:
    rows = [f"| `{row.operation}` | {row.who} | {row.when or 'always'} | {row.calls} |" for row in TABLE]
    assert "\n".join(rows) in DOCUMENT.read_text(encoding="utf-8"), "\n".join(rows)


@pytest.fixture
def app_document(app: FastAPI) -> dict[str, Any]:
    return build_document(app)
