"""Number of HubSpot calls of every operation. `docs/hubspot-calls.md` contains the same table."""

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
class Scenario:
    """A customer with two deals and a ticket on each; the schema is cached."""

    customer: Caller
    staff: Caller
    emulator: Emulator
    deal: str = ""
    ticket: str = ""
    verification_token: str = ""
    """Token of the e-mail that verifies a new address."""
    reset_token: str = ""
    """Token of the e-mail that resets the customer's password."""

    @property
    def contact(self) -> str:
        return self.customer.contact_id


SendRequest = Callable[[Scenario], Awaitable[httpx.Response]]


class Row(NamedTuple):
    """An operation, the role of the caller, the condition, and the number of HubSpot calls."""

    operation: str
    role: str
    when: str
    calls: int
    send: SendRequest
    prepare: Callable[[Scenario], Awaitable[Any]] | None = None


async def add_248_deals(scenario: Scenario) -> None:
    seed_deals(scenario.emulator, scenario.contact, 248)


async def staff_updates_deal(scenario: Scenario) -> None:
    await scenario.staff.patch(f"/api/deals/{scenario.deal}", {"amount": 1})


async def use_ticket_associated_only_with_deal(scenario: Scenario) -> None:
    [scenario.ticket] = seed_tickets(scenario.emulator, 1, to=[("deals", scenario.deal)])


async def add_599_tickets(scenario: Scenario) -> None:
    seed_tickets(scenario.emulator, 599, to=[("deals", scenario.deal)])


async def staff_updates_ticket(scenario: Scenario) -> None:
    await scenario.staff.patch(f"/api/tickets/{scenario.ticket}", {"subject": "Other"})


async def create_contact_in_hubspot(scenario: Scenario) -> None:
    scenario.emulator.seed({"contacts": [NEW_CONTACT]})


async def create_contact_with_other_values(scenario: Scenario) -> None:
    scenario.emulator.seed({"contacts": [NEW_CONTACT | {"firstname": "Somebody"}]})


def get(path: str, role: str = "customer", **params: Any) -> SendRequest:
    return lambda scenario: getattr(scenario, role).get(
        path.format(**vars(scenario), contact=scenario.contact), params=params
    )


def post(path: str, body: Any, role: str = "customer") -> SendRequest:
    return lambda scenario: getattr(scenario, role).post(path.format(**vars(scenario)), body)


def patch(path: str, body: Any, role: str = "customer") -> SendRequest:
    return lambda scenario: getattr(scenario, role).patch(
        path.format(**vars(scenario), contact=scenario.contact), body
    )


def post_anonymously(path: str, body: Any) -> SendRequest:
    return lambda scenario: scenario.customer.client.post(path, json=body)


def post_form(path: str, body: dict[str, str]) -> SendRequest:
    return lambda scenario: scenario.customer.client.post(path, data=body)


def post_verification_token(path: str) -> SendRequest:
    return lambda scenario: scenario.customer.client.post(
        path, json={"token": scenario.verification_token, "password": PASSWORD}
    )


def delete(path: str, role: str = "customer") -> SendRequest:
    return lambda scenario: getattr(scenario, role).delete(path.format(**vars(scenario)))


async def end_current_session(scenario: Scenario) -> httpx.Response:
    [session] = (await scenario.customer.get("/api/me/sessions")).json()["data"]["results"]
    return await scenario.customer.delete(f"/api/me/sessions/{session['id']}")


GRACE = {"email": "grace@example.com"}
NEW_CONTACT = {
    key: value for key, value in registration_body(email="new@example.com").items() if key != "password"
}
CUSTOMER_EMAIL = "customer@example.com"
VAN_SEARCH = {"query": "van"}
WITH_IDS = {"query": "van", "include": "associations"}
ACCOUNTS = [
    Row(
        "register",
        "anyone",
        "",
        1,
        post_anonymously("/api/register", registration_body(email="new@example.com")),
    ),
    Row(
        "register",
        "anyone",
        "the contact exists",
        2,
        post_anonymously("/api/register", registration_body(email="new@example.com")),
        create_contact_in_hubspot,
    ),
    Row(
        "register",
        "anyone",
        "the contact exists with other values",
        3,
        post_anonymously("/api/register", registration_body(email="new@example.com")),
        create_contact_with_other_values,
    ),
    Row(
        "logIn",
        "anyone",
        "",
        0,
        post_anonymously("/api/login", {"email": CUSTOMER_EMAIL, "password": PASSWORD}),
    ),
    Row(
        "createToken",
        "anyone",
        "",
        0,
        post_form("/api/token", {"grant_type": "password", "username": CUSTOMER_EMAIL, "password": PASSWORD}),
    ),
    Row(
        "refreshToken",
        "anyone",
        "",
        0,
        lambda scenario: scenario.customer.client.post(
            "/api/token/refresh", json={"refresh_token": scenario.customer.tokens["refresh_token"]}
        ),
    ),
    Row("logOut", "anyone", "", 0, post("/api/logout", {})),
    Row("getMe", "anyone", "", 0, get("/api/me")),
    Row("updateMe", "anyone", "", 2, patch("/api/me", {"firstname": "Augusta"})),
    Row("deleteMe", "anyone", "", 0, delete("/api/me")),
    Row("listSessions", "anyone", "", 0, get("/api/me/sessions")),
    Row("endSession", "anyone", "", 0, end_current_session),
    Row("exportMe", "customer", "", 4, get("/api/me/export")),
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
WITH_VERIFICATION = [
    Row(
        "register",
        "anyone",
        "with e-mail verification",
        0,
        post_anonymously("/api/register", registration_body(email="other@example.com")),
    ),
    Row("verifyEmail", "anyone", "", 1, post_verification_token("/api/email/verify")),
    Row(
        "verifyEmail",
        "anyone",
        "the contact exists",
        2,
        post_verification_token("/api/email/verify"),
        create_contact_in_hubspot,
    ),
    Row(
        "resendVerification",
        "anyone",
        "",
        0,
        post_anonymously("/api/email/verify/resend", {"email": NEW_CONTACT["email"]}),
    ),
    Row(
        "forgotPassword", "anyone", "", 0, post_anonymously("/api/password/forgot", {"email": CUSTOMER_EMAIL})
    ),
    Row(
        "resetPassword",
        "anyone",
        "",
        0,
        lambda scenario: scenario.customer.client.post(
            "/api/password/reset", json={"token": scenario.reset_token, "password": "another good password"}
        ),
    ),
]
RECORDS = [
    Row("listPipelines", "anyone", "cached", 0, get("/api/pipelines")),
    Row("listProperties", "anyone", "cached", 0, get("/api/properties/deals"), get("/api/properties/deals")),
    Row("listCrmObjects", "customer", "", 4, get("/api/new-crm-objects")),
    Row("listCrmObjects", "staff", "", 4, get("/api/new-crm-objects", "staff")),
    Row("listCrmObjects", "customer", "250 deals", 7, get("/api/new-crm-objects"), add_248_deals),
    Row(
        "listCrmObjects",
        "customer",
        "a deal with 600 tickets",
        11,
        get("/api/new-crm-objects"),
        add_599_tickets,
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
        "no value differs",
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
        add_248_deals,
    ),
    Row("listDeals", "staff", "", 1, get("/api/deals", "staff")),
    Row("listDeals", "staff", "include=associations", 1, get("/api/deals", "staff", include="associations")),
    Row(
        "listDeals",
        "staff",
        "filtered, include=associations",
        2,
        get("/api/deals", "staff", pipeline="default", include="associations"),
    ),
    Row("listDeals", "staff", "filtered or sorted", 1, get("/api/deals", "staff", pipeline="default")),
    Row(
        "listDeals",
        "staff",
        "filtered, after a write",
        2,
        get("/api/deals", "staff", sort="amount"),
        staff_updates_deal,
    ),
    Row("createDeal", "customer", "", 2, post("/api/deals", deal_body())),
    Row(
        "createDeal",
        "staff",
        "",
        1,
        lambda scenario: scenario.staff.post("/api/deals", deal_body(contact_id=scenario.contact)),
    ),
    Row("searchDeals", "customer", "up to 100 deals", 2, post("/api/deals/search", BY_AMOUNT)),
    Row("searchDeals", "customer", "250 deals", 5, post("/api/deals/search", BY_AMOUNT), add_248_deals),
    Row("searchDeals", "staff", "", 1, post("/api/deals/search", BY_AMOUNT, "staff")),
    Row(
        "searchDeals",
        "staff",
        "after a write",
        2,
        post("/api/deals/search", BY_AMOUNT, "staff"),
        staff_updates_deal,
    ),
    Row(
        "searchDeals",
        "staff",
        "include=associations",
        2,
        post("/api/deals/search", WITH_IDS | {"query": "fleet"}, "staff"),
    ),
    Row("getDeal", "customer", "", 2, get("/api/deals/{deal}")),
    Row("getDeal", "staff", "", 2, get("/api/deals/{deal}", "staff")),
    Row("getDeal", "customer", "600 tickets", 9, get("/api/deals/{deal}"), add_599_tickets),
    Row("updateDeal", "customer", "", 2, patch("/api/deals/{deal}", {"dealstage": "closedwon"})),
    Row("updateDeal", "customer", "no value differs", 1, patch("/api/deals/{deal}", {})),
    Row("updateDeal", "staff", "", 2, patch("/api/deals/{deal}", {"amount": 1}, "staff")),
    Row("archiveDeal", "customer", "", 2, delete("/api/deals/{deal}")),
    Row("archiveDeal", "staff", "", 2, delete("/api/deals/{deal}", "staff")),
    Row("listTickets", "customer", "", 3, get("/api/tickets")),
    Row("listTickets", "staff", "", 1, get("/api/tickets", "staff")),
    Row("listTickets", "staff", "filtered or sorted", 1, get("/api/tickets", "staff", sort="subject")),
    Row(
        "listTickets",
        "staff",
        "include=associations",
        1,
        get("/api/tickets", "staff", include="associations"),
    ),
    Row(
        "listTickets",
        "staff",
        "sorted, include=associations",
        3,
        get("/api/tickets", "staff", sort="subject", include="associations"),
    ),
    Row("createTicket", "customer", "", 2, post("/api/tickets/{deal}", ticket_body())),
    Row("createTicket", "staff", "", 2, post("/api/tickets/{deal}", ticket_body(), "staff")),
    Row("searchTickets", "customer", "", 3, post("/api/tickets/search", VAN_SEARCH)),
    Row("searchTickets", "staff", "", 1, post("/api/tickets/search", VAN_SEARCH, "staff")),
    Row(
        "searchTickets",
        "staff",
        "after a write",
        2,
        post("/api/tickets/search", VAN_SEARCH, "staff"),
        staff_updates_ticket,
    ),
    Row("searchTickets", "staff", "include=associations", 3, post("/api/tickets/search", WITH_IDS, "staff")),
    Row("getTicket", "customer", "", 1, get("/api/tickets/{ticket}")),
    Row(
        "getTicket",
        "customer",
        "associated only with a deal",
        2,
        get("/api/tickets/{ticket}"),
        use_ticket_associated_only_with_deal,
    ),
    Row(
        "getTicket",
        "customer",
        "include=associations",
        2,
        get("/api/tickets/{ticket}", include="associations"),
    ),
    Row("getTicket", "staff", "", 1, get("/api/tickets/{ticket}", "staff")),
    Row("updateTicket", "customer", "", 2, patch("/api/tickets/{ticket}", {"subject": "Other"})),
    Row("updateTicket", "staff", "", 2, patch("/api/tickets/{ticket}", {"subject": "Other"}, "staff")),
    Row("archiveTicket", "customer", "", 2, delete("/api/tickets/{ticket}")),
    Row("archiveTicket", "staff", "", 2, delete("/api/tickets/{ticket}", "staff")),
    Row("searchEverything", "customer", "", 4, get("/api/search", q="van")),
    Row("searchEverything", "staff", "", 3, get("/api/search", "staff", q="van")),
]


TABLE = [*ACCOUNTS[:3], *WITH_VERIFICATION, *ACCOUNTS[3:], *RECORDS]


def row_name(row: Row) -> str:
    return f"{row.operation}-{row.role}-{row.when}"


async def assert_call_count(row: Row, scenario: Scenario) -> None:
    if row.prepare is not None:
        await row.prepare(scenario)
    scenario.emulator.clear_requests()
    response = await row.send(scenario)
    assert response.status_code < 300, response.text
    assert len(scenario.emulator.requests) == row.calls, calls(scenario.emulator)


@pytest.fixture
async def scenario(customer: Caller, staff: Caller, emulator: Emulator) -> Scenario:
    deal_id = await create_deal_as(customer)
    ticket_id = await create_ticket_as(customer, deal_id)
    await create_ticket_as(customer, await create_deal_as(customer))
    await customer.get("/api/properties/contacts")
    return Scenario(customer, staff, emulator, deal_id, ticket_id)


@pytest.mark.parametrize("row", [*ACCOUNTS, *RECORDS], ids=row_name)
async def test_operation_makes_listed_number_of_hubspot_calls(row: Row, scenario: Scenario) -> None:
    await assert_call_count(row, scenario)


class TestWithEmailVerification:
    @pytest.fixture
    def settings(self, settings: Settings, mailbox: Mailbox) -> Settings:
        return with_email_verification(settings, mailbox)

    @pytest.fixture
    async def scenario(
        self, client: httpx.AsyncClient, app: FastAPI, emulator: Emulator, mailbox: Mailbox
    ) -> Scenario:
        customer = await verified_caller(app, client, mailbox, CUSTOMER_EMAIL)
        await client.post("/api/register", json=registration_body(email=NEW_CONTACT["email"]))
        await client.post("/api/password/forgot", json={"email": CUSTOMER_EMAIL})
        verification_token, reset_token = [
            token_of(await wait_for_mail(app, mailbox, to)) for to in (NEW_CONTACT["email"], CUSTOMER_EMAIL)
        ]
        return Scenario(
            customer, customer, emulator, verification_token=verification_token, reset_token=reset_token
        )

    @pytest.mark.parametrize("row", WITH_VERIFICATION, ids=row_name)
    async def test_operation_with_email_verification_makes_listed_calls(
        self, row: Row, scenario: Scenario
    ) -> None:
        await assert_call_count(row, scenario)


def test_table_of_hubspot_calls_has_every_operation(app_document: dict[str, Any]) -> None:
    operations = [
        operation["operationId"] for path in app_document["paths"].values() for operation in path.values()
    ]
    assert len(operations) > 30
    assert {row.operation for row in TABLE} == set(operations)


def test_hubspot_calls_document_contains_the_table() -> None:
    rows = [f"| `{row.operation}` | {row.role} | {row.when or 'always'} | {row.calls} |" for row in TABLE]
    assert "\n".join(rows) in DOCUMENT.read_text(encoding="utf-8"), "\n".join(rows)


@pytest.fixture
def app_document(app: FastAPI) -> dict[str, Any]:
    return build_document(app)
