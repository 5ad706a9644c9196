"""Access rules of every operation in the OpenAPI document."""

from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from tests.support.builders import deal_body, ticket_body
from tests.support.callers import Caller, assert_problem
from tests.support.forged_tokens import forged_tokens

from crm_api.main import create_app
from crm_api.openapi.document import build_document
from crm_api.settings import Settings
from hubspot_emulator import Emulator, RecordedRequest

Policy = Literal["anyone", "user", "record", "staff"]

# anyone: no token. user: own user account or lists of own records.
# record: 404 for other customers' records and sessions.
POLICIES: dict[str, Policy] = {
    "register": "anyone",
    "verifyEmail": "anyone",
    "resendVerification": "anyone",
    "logIn": "anyone",
    "createToken": "anyone",
    "refreshToken": "anyone",
    "forgotPassword": "anyone",
    "resetPassword": "anyone",
    "getHealth": "anyone",
    "getReadiness": "anyone",
    "getMe": "user",
    "updateMe": "user",
    "deleteMe": "user",
    "exportMe": "user",
    "changePassword": "user",
    "logOut": "user",
    "listSessions": "user",
    "listPipelines": "user",
    "listProperties": "user",
    "listCrmObjects": "user",
    "listContacts": "user",
    "searchContacts": "user",
    "listDeals": "user",
    "createDeal": "user",
    "searchDeals": "user",
    "listTickets": "user",
    "searchTickets": "user",
    "searchEverything": "user",
    "endSession": "record",
    "getContact": "record",
    "updateContact": "record",
    "getDeal": "record",
    "updateDeal": "record",
    "archiveDeal": "record",
    "createTicket": "record",
    "getTicket": "record",
    "updateTicket": "record",
    "archiveTicket": "record",
    "createContact": "staff",
}
# The documentation page and its files are not part of the contract.
UNDOCUMENTED = {"/", "/docs", "/docs/assets/{name}", "/openapi.json", "/favicon.ico"}


@dataclass(frozen=True)
class Operation:
    """One operation of the document, with an example request."""

    id: str
    method: str
    path: str
    query: dict[str, Any]
    body: dict[str, Any] | None
    secured: bool

    async def ask(
        self, client: httpx.AsyncClient, record_id: str = "", *, token: str | None = None
    ) -> httpx.Response:
        path = self.path.replace("{id}", record_id).replace("{object_type}", "deals")
        headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
        return await client.request(self.method, path, params=self.query, json=self.body, headers=headers)


def document() -> dict[str, Any]:
    settings = Settings(_env_file=None, environment="development", hubspot_access_token="none")
    return build_document(create_app(settings))


def operations() -> list[Operation]:
    described = document()
    return [
        Operation(
            id=operation["operationId"],
            method=method.upper(),
            path=path,
            query={
                parameter["name"]: parameter["example"]
                if "example" in parameter
                else parameter["schema"]["examples"][0]
                for parameter in operation.get("parameters", [])
                if parameter["in"] == "query" and parameter.get("required")
            },
            body=example_body(described, operation),
            secured=bool(operation.get("security")),
        )
        for path, item in described["paths"].items()
        for method, operation in item.items()
    ]


def example_body(described: dict[str, Any], operation: dict[str, Any]) -> dict[str, Any] | None:
    """Return a valid body from the examples, with the required properties or else the first one."""
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if content is None:
        return None
    schema = content["schema"]
    reference = next(part["$ref"] for part in (schema, *schema.get("anyOf", ())) if "$ref" in part)
    model = described["components"]["schemas"][reference.rpartition("/")[2]]
    if "examples" in model or "example" in content:
        return dict(content.get("example") or model["examples"][0])
    # Only staff may change a contact's e-mail address.
    names = model.get("required") or [name for name in model["properties"] if name != "email"][:1]
    return {name: example(model["properties"][name]) for name in names}


def example(schema: dict[str, Any]) -> Any:
    if "examples" in schema:
        return schema["examples"][0]
    if "anyOf" in schema:
        return example(schema["anyOf"][0])
    return {"boolean": False, "integer": 1, "array": [], "object": {}}.get(schema.get("type", ""), "Ada")


OPERATIONS = operations()


def by_policy(*policies: Policy) -> pytest.MarkDecorator:
    selected = [operation for operation in OPERATIONS if POLICIES.get(operation.id) in policies]
    return pytest.mark.parametrize("operation", selected, ids=lambda operation: operation.id)


def writes(emulator: Emulator) -> list[RecordedRequest]:
    return [
        request
        for request in emulator.requests
        if request.method != "GET" and not request.path.endswith(("/batch/read", "/search"))
    ]


def without_id(response: httpx.Response) -> dict[str, Any]:
    body: dict[str, Any] = response.json()
    assert body.pop("request_id")
    return body


@pytest.fixture
def settings(settings: Settings) -> Settings:
    # Rate limits are tested in tests/test_rate_limit.py.
    return settings.model_copy(update={"rate_limit_enabled": False})


@dataclass(frozen=True)
class Owned:
    """A customer's records and session."""

    contact: str
    deal: str
    ticket: str
    session: str

    def id_for(self, operation: Operation) -> str:
        if operation.id == "createTicket":
            return self.deal
        if operation.id == "endSession":
            return self.session
        return {"contacts": self.contact, "deals": self.deal, "tickets": self.ticket}.get(
            operation.path.split("/")[2], ""
        )


@pytest.fixture
async def owned(customer: Caller) -> Owned:
    deal = await customer.post("/api/deals", deal_body(dealname="Only mine", description="Only for me"))
    deal_id = deal.json()["data"]["id"]
    ticket = await customer.post(f"/api/tickets/{deal_id}", ticket_body(subject="Only mine"))
    [session] = (await customer.get("/api/me/sessions")).json()["data"]["results"]
    return Owned(customer.contact_id, deal_id, ticket.json()["data"]["id"], session["id"])


def test_policies_name_exactly_the_documented_operations() -> None:
    assert {operation.id for operation in OPERATIONS} == set(POLICIES)


def test_document_requires_token_unless_policy_is_anyone() -> None:
    for operation in OPERATIONS:
        assert operation.secured == (POLICIES[operation.id] != "anyone"), operation.id


def test_exactly_operations_with_id_in_path_have_record_policy() -> None:
    for operation in OPERATIONS:
        assert ("{id}" in operation.path) == (POLICIES[operation.id] == "record"), operation.id


async def test_every_route_except_documentation_pages_is_documented(app: FastAPI) -> None:
    paths = {context.path for context in iter_route_contexts(app.routes)}
    assert paths - {operation.path for operation in OPERATIONS} <= UNDOCUMENTED


@by_policy("user", "record", "staff")
async def test_invalid_token_returns_401_without_hubspot_call(
    operation: Operation, customer: Caller, settings: Settings, owned: Owned, emulator: Emulator
) -> None:
    good = customer.tokens["access_token"]
    ended = await Caller.log_in(
        customer.client, customer.email, "a lighthouse in the fog", contact_id=customer.contact_id
    )
    assert (await ended.post("/api/logout")).status_code == 204
    tokens: dict[str, str | None] = {"none": None, "revoked": ended.tokens["access_token"]}
    tokens |= forged_tokens(settings, good)
    emulator.clear_requests()
    bodies = []
    for name, token in tokens.items():
        response = await operation.ask(customer.client, owned.id_for(operation), token=token)
        assert response.status_code == 401, name
        assert_problem(response, 401, "invalid_token")
        bodies.append(without_id(response))
    assert all(body == bodies[0] for body in bodies)
    assert emulator.requests == []
    # The valid token works, so the invalid tokens caused the 401s.
    assert (await operation.ask(customer.client, owned.id_for(operation), token=good)).status_code != 401


@by_policy("record")
async def test_other_customers_record_returns_same_404_as_unknown(
    operation: Operation, customer: Caller, other_customer: Caller, owned: Owned, emulator: Emulator
) -> None:
    bodies = []
    token = other_customer.tokens["access_token"]
    unknown = ["999999999999", "1", "0", "0" * 20, "9" * 20]
    if operation.id == "endSession":
        unknown = [str(uuid4()), str(UUID(int=0))]
    for record_id in (owned.id_for(operation), *unknown):
        emulator.clear_requests()
        response = await operation.ask(other_customer.client, record_id, token=token)
        assert_problem(response, 404, "not_found")
        bodies.append(without_id(response))
        assert writes(emulator) == []
    assert all(body == bodies[0] for body in bodies)
    own = await operation.ask(customer.client, owned.id_for(operation), token=customer.tokens["access_token"])
    assert own.status_code in (200, 201, 204), own.text


async def test_customer_gets_404_for_deal_moved_to_other_contact(
    customer: Caller, other_customer: Caller, emulator: Emulator
) -> None:
    deal_id = (await customer.post("/api/deals", deal_body())).json()["data"]["id"]
    assert (await customer.get(f"/api/deals/{deal_id}")).status_code == 200
    # An employee associates the deal with another contact in HubSpot.
    emulator.unlink(("contacts", customer.contact_id), ("deals", deal_id))
    emulator.link(("contacts", other_customer.contact_id), ("deals", deal_id))
    assert_problem(await customer.post(f"/api/tickets/{deal_id}", ticket_body()), 404, "not_found")
    assert_problem(await customer.get(f"/api/deals/{deal_id}"), 404, "not_found")
    assert emulator.records("tickets") == []


@by_policy("record")
async def test_malformed_record_id_makes_no_hubspot_call(
    operation: Operation, customer: Caller, owned: Owned, emulator: Emulator
) -> None:
    token = customer.tokens["access_token"]
    emulator.clear_requests()
    for record_id in (
        "..",
        "%2e%2e%2fcontacts%2f1",
        "1%3FidProperty=email",
        "1;2",
        "-1",
        "١",
        "1" * 21,
        "%00",
    ):
        if operation.id == "endSession" and record_id == "..":
            continue  # httpx itself shortens this path to that of `deleteMe`
        response = await operation.ask(customer.client, record_id, token=token)
        assert response.status_code in (400, 404, 405), (record_id, response.text)
    assert emulator.requests == []


@by_policy("staff")
async def test_staff_policy_operation_returns_403_to_customer(
    operation: Operation, customer: Caller, staff: Caller, emulator: Emulator
) -> None:
    emulator.clear_requests()
    response = await operation.ask(customer.client, token=customer.tokens["access_token"])
    assert_problem(response, 403, "forbidden")
    assert emulator.requests == []
    allowed = await operation.ask(staff.client, token=staff.tokens["access_token"])
    assert allowed.status_code in (200, 201, 204), allowed.text


@by_policy("user")
async def test_user_policy_operation_hides_other_customers_data(
    operation: Operation, customer: Caller, other_customer: Caller, owned: Owned, emulator: Emulator
) -> None:
    emulator.clear_requests()
    response = await operation.ask(other_customer.client, token=other_customer.tokens["access_token"])
    assert response.status_code in (200, 201, 204, 400), response.text
    ids = (owned.session, f'"{owned.contact}"', f'"{owned.deal}"')
    for secret in (customer.email, "Only mine", "Only for me", *ids):
        assert secret not in response.text
    for request in writes(emulator):
        for record_id in (owned.contact, owned.deal, owned.ticket):
            assert record_id not in request.path
            assert record_id not in str(request.body)
    # The first customer's user and session still exist.
    assert (await customer.get("/api/me")).status_code == 200
