"""The documented requests of the service's first version, word for word, and the keys of their responses."""

import json
from typing import Any, Final

import httpx
import pytest
from tests.support.callers import Caller, app_client

from crm_api.errors import ERROR_TYPES
from crm_api.settings import Settings
from hubspot_emulator import Emulator

REGISTER: Final = (
    '{"email": "ada@example.com", "firstname": "Ada", "lastname": "Okoye", "password": "passworD@#1", '
    '"phone": "08123456789"}'
)
LOG_IN: Final = '{"email": "ada@example.com", "password": "passworD@#1"}'
DEAL: Final = (
    '{"dealname": "Test Deal", "dealstage": "appointmentscheduled", "amount": 1000000, '
    '"description": "This is a test deal"}'
)
TICKET: Final = (
    '{"subject": "Test Ticket", "description": "This is a test ticket", "category": "general_inquiry", '
    '"pipeline": "0", "hs_ticket_priority": "HIGH", "hs_pipeline_stage": "1"}'
)
# Documented keys, without the properties that HubSpot calculates: the service returns only listed properties.
CONTACT_KEYS: Final = {
    "id", "hs_object_id", "email", "firstname", "lastname", "phone", "createdate", "lastmodifieddate",
    "lifecyclestage",
}  # fmt: skip
DEAL_KEYS: Final = {
    "id", "hs_object_id", "dealname", "dealstage", "pipeline", "amount", "description", "createdate",
    "hs_lastmodifieddate",
}  # fmt: skip
TICKET_KEYS: Final = {
    "id", "hs_object_id", "subject", "description", "category", "pipeline", "hs_pipeline_stage", "hs_ticket_priority",
    "createdate", "hs_lastmodifieddate",
}  # fmt: skip


async def post(
    client: httpx.AsyncClient, path: str, body: str, headers: dict[str, str] | None = None
) -> httpx.Response:
    content_type = {"Content-Type": "application/json"}
    return await client.post(path, content=body, headers=content_type | (headers or {}))


def assert_record(record: dict[str, Any], keys: set[str], sent: str = "{}") -> None:
    """Assert that all documented keys are there as strings, and that the values sent come back."""
    assert keys <= record.keys(), keys - record.keys()
    assert {type(record[key]) for key in keys} == {str}, record
    for name, value in json.loads(sent).items():
        assert name == "password" or record[name] == str(value)


@pytest.fixture
async def ada(client: httpx.AsyncClient) -> dict[str, str]:
    """Register and log in with the documented requests; return the headers of the documented token."""
    assert (await post(client, "/api/register", REGISTER)).status_code == 201
    response = await post(client, "/api/login", LOG_IN)
    return {"Authorization": f"Bearer {response.json()['data']['access_token']}"}


async def test_first_version_register_and_login_work(client: httpx.AsyncClient) -> None:
    registered = (await post(client, "/api/register", REGISTER)).json()
    assert registered["message"] == "User registered successfully"
    assert_record(registered["data"]["contact"], CONTACT_KEYS, REGISTER)
    again = await post(client, "/api/register", REGISTER)
    assert (again.status_code, again.json()["error"]) == (409, "User already exists")
    logged_in = (await post(client, "/api/login", LOG_IN)).json()
    assert logged_in["message"] == "User authenticated successfully"
    assert isinstance(logged_in["data"]["access_token"], str)
    wrong = await post(client, "/api/login", LOG_IN.replace("@#1", "@#2"))
    assert (wrong.status_code, wrong.json()["error"]) == (401, "Invalid credentials")


async def test_first_version_deal_and_ticket_are_the_data(
    client: httpx.AsyncClient, ada: dict[str, str]
) -> None:
    response = await post(client, "/api/deals", DEAL, ada)
    assert (response.status_code, response.json()["message"]) == (201, "Deal created successfully")
    deal = response.json()["data"]
    assert_record(deal, DEAL_KEYS, DEAL)
    response = await post(client, f"/api/tickets/{deal['id']}", TICKET, ada)
    assert (response.status_code, response.json()["message"]) == (201, "Ticket created successfully")
    assert_record(response.json()["data"], TICKET_KEYS, TICKET)


async def test_read_and_update_return_the_record_as_data(
    client: httpx.AsyncClient, ada: dict[str, str]
) -> None:
    deal_id = (await post(client, "/api/deals", DEAL, ada)).json()["data"]["id"]
    ticket_id = (await post(client, f"/api/tickets/{deal_id}", TICKET, ada)).json()["data"]["id"]
    contact_id = (await client.get("/api/me", headers=ada)).json()["data"]["contact_id"]
    for path, keys, changes in (
        (f"/api/deals/{deal_id}", DEAL_KEYS, {"dealname": "Other"}),
        (f"/api/tickets/{ticket_id}", TICKET_KEYS, {"subject": "Other"}),
        (f"/api/contacts/{contact_id}", CONTACT_KEYS, {"firstname": "Other"}),
    ):
        assert_record((await client.get(path, headers=ada)).json()["data"], keys)
        updated = await client.patch(path, json=changes, headers=ada)
        assert_record(updated.json()["data"], keys, json.dumps(changes))


@pytest.mark.parametrize("query", ["", "?limit=&cursor=", "?limit=null&cursor=null", "?limit=10&cursor="])
async def test_first_version_overview_accepts_blank_parameters(
    client: httpx.AsyncClient, ada: dict[str, str], query: str
) -> None:
    deal_id = (await post(client, "/api/deals", DEAL, ada)).json()["data"]["id"]
    await post(client, f"/api/tickets/{deal_id}", TICKET, ada)
    body = (await client.get(f"/api/new-crm-objects{query}", headers=ada)).json()
    assert body["message"] == "Contacts retrieved successfully"
    page = body["data"]["data"]
    assert page.keys() == {"contacts", "next_after"}
    [contact] = page["contacts"]
    assert_record(contact, CONTACT_KEYS, REGISTER)
    [deal] = contact["deals"]
    assert_record(deal, DEAL_KEYS, DEAL)
    assert deal["closedate"] is None
    [ticket] = deal["tickets"]
    assert_record(ticket, TICKET_KEYS, TICKET)


@pytest.mark.parametrize("path", ["/api/deals", "/api/tickets", "/api/contacts", "/api/me/export"])
async def test_lists_accept_blank_limit_and_cursor(
    client: httpx.AsyncClient, ada: dict[str, str], path: str
) -> None:
    for value in ("", "null"):
        # The export has no limit.
        limit = {} if path == "/api/me/export" else {"limit": value}
        response = await client.get(path, params=limit | {"cursor": value}, headers=ada)
        assert response.status_code == 200, response.text
    invalid = await client.get(path, params={"cursor": "none"}, headers=ada)
    assert (invalid.status_code, invalid.json()["code"]) == (400, "invalid_cursor")


async def test_overview_limit_above_100_is_served_as_100(staff: Caller, emulator: Emulator) -> None:
    emulator.seed({"contacts": [{"email": f"p{number}@example.com"} for number in range(120)]})
    for limit in ("101", "500"):
        page = (await staff.get(f"/api/new-crm-objects?limit={limit}")).json()["data"]["data"]
        assert (len(page["contacts"]), page["next_after"] is None) == (100, False)


async def test_new_user_role_staff_lists_all_contacts(settings: Settings, emulator: Emulator) -> None:
    emulator.seed({"contacts": [{"email": "p@example.com"}]})
    async with app_client(settings.model_copy(update={"new_user_role": "staff"}), emulator) as client:
        await post(client, "/api/register", REGISTER)
        token = (await post(client, "/api/login", LOG_IN)).json()["data"]["access_token"]
        response = await client.get("/api/new-crm-objects", headers={"Authorization": f"Bearer {token}"})
    emails = {contact["email"] for contact in response.json()["data"]["data"]["contacts"]}
    assert {"ada@example.com", "p@example.com"} <= emails


async def test_errors_have_the_first_version_texts(client: httpx.AsyncClient, ada: dict[str, str]) -> None:
    deal_id = (await post(client, "/api/deals", DEAL, ada)).json()["data"]["id"]
    for response, status, error in (
        (await post(client, "/api/deals", '{"amount": 1}', ada), 400, "Validation error"),
        (await post(client, "/api/deals", DEAL, {"Authorization": "Bearer x"}), 401, "Invalid token"),
        (await client.get(f"/api/deals/{deal_id}9", headers=ada), 404, "Resource not found"),
    ):
        assert (response.status_code, response.json()["error"]) == (status, error)
    assert ERROR_TYPES["internal_server_error"].title == "Internal server error"


async def test_rate_limit_error_has_the_first_version_text(settings: Settings, emulator: Emulator) -> None:
    async with app_client(
        settings.model_copy(update={"rate_limit_failed_logins_per_account": "1 per 1 minute"}), emulator
    ) as client:
        await post(client, "/api/login", LOG_IN)
        response = await post(client, "/api/login", LOG_IN)
    assert (response.status_code, response.json()["error"]) == (429, "ratelimit exceeded 1 per 1 minute")
