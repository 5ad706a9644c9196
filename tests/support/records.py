"""Records in the account, and what was asked of HubSpot."""

from typing import Any

from tests.support.builders import deal_body, ticket_body
from tests.support.callers import Caller

from hubspot_emulator import Emulator


def calls(emulator: Emulator) -> list[str]:
    """Method and path of everything that was asked, without what all paths share."""
    return [
        f"{request.method} {request.path.removeprefix('/crm/').replace('2026-09/', '')}"
        for request in emulator.requests
    ]


def writes(emulator: Emulator) -> list[str]:
    """What was asked that changes something."""
    read_paths = ("/batch/read", "/search", "/token")
    return [
        request.path
        for request in emulator.requests
        if request.method != "GET" and not request.path.endswith(read_paths)
    ]


def seed_deals(emulator: Emulator, contact_id: str, number: int, **properties: Any) -> list[str]:
    """Deals of this contact, as HubSpot's own users make them."""
    made = emulator.seed(
        {
            "deals": [
                {"dealname": f"deal {each}", "dealstage": "qualifiedtobuy", "pipeline": "default"}
                | properties
                for each in range(number)
            ]
        }
    )["deals"]
    for deal_id in made:
        emulator.link(("deals", deal_id), ("contacts", contact_id))
    return made


def seed_tickets(
    emulator: Emulator, number: int, *, to: list[tuple[str, str]], **properties: Any
) -> list[str]:
    """Tickets that hang on these records."""
    made = emulator.seed(
        {
            "tickets": [
                {"subject": f"ticket {each}", "hs_pipeline": "0", "hs_pipeline_stage": "1"} | properties
                for each in range(number)
            ]
        }
    )["tickets"]
    for ticket_id in made:
        for target in to:
            emulator.link(("tickets", ticket_id), target)
    return made


async def create_deal_as(caller: Caller, **changes: Any) -> str:
    """A deal that the caller opened."""
    answer = await caller.post("/api/deals", deal_body(**changes))
    assert answer.status_code == 201, answer.text
    return str(answer.json()["data"]["deal"]["id"])


async def create_ticket_as(caller: Caller, deal_id: str, **changes: Any) -> str:
    """A ticket that the caller raised."""
    answer = await caller.post(f"/api/tickets/{deal_id}", ticket_body(**changes))
    assert answer.status_code == 201, answer.text
    return str(answer.json()["data"]["ticket"]["id"])


async def list_all(caller: Caller, path: str, **params: Any) -> list[dict[str, Any]]:
    """Every record of a list, page after page."""
    found: list[dict[str, Any]] = []
    while True:
        answer = await caller.get(path, params=params)
        assert answer.status_code == 200, answer.text
        page = answer.json()["data"]
        found += page["results"]
        if page["next_cursor"] is None:
            return found
        params["cursor"] = page["next_cursor"]


async def search_all(caller: Caller, path: str, **body: Any) -> list[dict[str, Any]]:
    """Every record that a search finds, page after page."""
    found: list[dict[str, Any]] = []
    while True:
        answer = await caller.post(path, body)
        assert answer.status_code == 200, answer.text
        page = answer.json()["data"]
        found += page["results"]
        if page["next_cursor"] is None:
            return found
        body["cursor"] = page["next_cursor"]
