"""HubSpot's behaviour, tested on the emulator and, if HUBSPOT_TEST_TOKEN is set, on a real account.

Select one with `-k on_emulator` or `-k on_hubspot`. The tests write to the account, so use a test account. If
HUBSPOT_OPENAPI_DIR is set, the responses of the emulator are checked against HubSpot's published documents.
"""

import os
import uuid
from typing import Any

import httpx

CONTACTS = "/crm/objects/2026-09/contacts"
DEALS = "/crm/objects/2026-09/deals"
TICKETS = "/crm/objects/2026-09/tickets"

TOKEN_VARIABLE = "HUBSPOT_TEST_TOKEN"
TOKEN = os.environ.get(TOKEN_VARIABLE, "")


def is_emulator(hubspot: httpx.AsyncClient) -> bool:
    return hubspot.base_url.host == "emulator"


def unique_email() -> str:
    return f"fidelity-{uuid.uuid4().hex}@example.com"


async def create_contact(hubspot: httpx.AsyncClient, **properties: str) -> dict[str, Any]:
    body = {"properties": {"email": unique_email()} | properties}
    response = await hubspot.post(CONTACTS, json=body)
    assert response.status_code == 201, response.text
    record: dict[str, Any] = response.json()
    return record


async def create_deal(hubspot: httpx.AsyncClient, **properties: str) -> dict[str, Any]:
    body = {"properties": {"dealname": "Fidelity", "dealstage": "appointmentscheduled"} | properties}
    response = await hubspot.post(DEALS, json=body)
    assert response.status_code == 201, response.text
    record: dict[str, Any] = response.json()
    return record
