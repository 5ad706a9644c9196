"""Records of the emulator, and the calls that it received."""

from typing import Any

from tests.support.builders import deal_body, ticket_body
from tests.support.callers import Caller

from hubspot_emulator import Emulator


def calls(emulator: Emulator) -> list[str]:
    """Return method and shortened path of each call that the emulator received."""
    return [
        f"{request.method} {request.path.removeprefix('/crm/').replace('2026-09/', '')}"
        for request in emulator.requests
    ]


def duplicate_email_body(email: str, *, holder_id: str) -> dict[str, str]:
    """Return the 400 that some HubSpot accounts send for the e-mail address of another contact."""
    kind = "objectTypeId=ObjectTypeId{legacyObjectType=CONTACT}"
    coordinates = f"portalId=1, {kind}, propertyName=email, value={email}"
    return {
        "status": "error",
        "category": "VALIDATION_ERROR",
        "message": f"Cannot set PropertyValueCoordinates{{{coordinates}}} on 7. {holder_id} already has that value.",
    }


def writes(emulator: Emulator) -> list[str]:
    """Return the paths of the calls that change something."""
    read_paths = ("/batch/read", "/search", "/token")
    return [
        request.path
        for request in emulator.requests
        if request.method != "GET" and not request.path.endswith(read_paths)
    ]


def seed_deals(emulator: Emulator, contact_id: str, number: int, **properties: Any) -> list[str]:
    """Create deals of this contact in the emulator, as HubSpot's own users do."""
    shared = {"dealstage": "qualifiedtobuy", "pipeline": "default"} | properties
    deals = [{"dealname": f"deal {index}"} | shared for index in range(number)]
    return _seed(emulator, "deals", deals, [("contacts", contact_id)])


def seed_tickets(
    emulator: Emulator, number: int, *, to: list[tuple[str, str]], **properties: Any
) -> list[str]:
    """Create tickets in the emulator, associated with the records `to`."""
    shared = {"hs_pipeline": "0", "hs_pipeline_stage": "1"} | properties
    tickets = [{"subject": f"ticket {index}"} | shared for index in range(number)]
    return _seed(emulator, "tickets", tickets, to)


def _seed(
    emulator: Emulator, object_type: str, records: list[dict[str, Any]], to: list[tuple[str, str]]
) -> list[str]:
    ids = emulator.seed({object_type: records})[object_type]
    for record_id in ids:
        for target in to:
            emulator.link((object_type, record_id), target)
    return ids


async def create_deal_as(caller: Caller, **changes: Any) -> str:
    """Create a deal as this caller and return its ID."""
    response = await caller.post("/api/deals", deal_body(**changes))
    assert response.status_code == 201, response.text
    return str(response.json()["data"]["id"])


async def create_ticket_as(caller: Caller, deal_id: str, **changes: Any) -> str:
    """Create a ticket as this caller and return its ID."""
    response = await caller.post(f"/api/tickets/{deal_id}", ticket_body(**changes))
    assert response.status_code == 201, response.text
    return str(response.json()["data"]["id"])


async def list_all(caller: Caller, path: str, **params: Any) -> list[dict[str, Any]]:
    """Return the records of all pages of a list."""
    records: list[dict[str, Any]] = []
    while True:
        response = await caller.get(path, params=params)
        assert response.status_code == 200, response.text
        page = response.json()["data"]
        records += page["results"]
        if page["next_cursor"] is None:
            return records
        params["cursor"] = page["next_cursor"]


async def search_all(caller: Caller, path: str, **body: Any) -> list[dict[str, Any]]:
    """Return the records of all pages of a search."""
    records: list[dict[str, Any]] = []
    while True:
        response = await caller.post(path, body)
        assert response.status_code == 200, response.text
        page = response.json()["data"]
        records += page["results"]
        if page["next_cursor"] is None:
            return records
        body["cursor"] = page["next_cursor"]


def record_ids(records: list[dict[str, Any]]) -> list[str]:
    """Return the IDs of records in a response."""
    return [record["id"] for record in records]


def condition(property: str, operator: str, **values: Any) -> dict[str, Any]:  # noqa: A002 - the API's name
    """Return one filter of a search."""
    return {"property": property, "operator": operator} | values
