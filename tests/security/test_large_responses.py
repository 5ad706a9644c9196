"""Large responses: the service parses and builds them in turns, so that the event loop serves other users."""

from typing import Any

import pytest
from fastapi import FastAPI
from tests.support.callers import Caller, app_client
from tests.support.records import calls, seed_deals, seed_tickets

from crm_api.services.properties.time_slices import TimeSlices
from crm_api.settings import Settings
from hubspot_emulator import Emulator

# Six texts of this length make a response large.
TEXT = "x" * 60_000
RECORDS = 6


class CountedSlices(TimeSlices):
    """Time slices that count the turns."""

    def __init__(self) -> None:
        super().__init__()
        self.turns = 0

    async def turn(self) -> None:
        self.turns += 1
        await super().turn()


def count_turns(app: FastAPI) -> CountedSlices:
    """Replace the time slices of the application."""
    assert app.state.hubspot.sender._turn == app.state.time_slices.turn
    slices = app.state.time_slices = CountedSlices()
    app.state.hubspot.sender._turn = slices.turn
    return slices


async def send(caller: Caller, method: str, path: str) -> dict[str, Any]:
    response = await (caller.post(path, {}) if method == "POST" else caller.get(path))
    assert response.status_code == 200, response.text
    data: dict[str, Any] = response.json()["data"]
    return data


# One turn for each large response of HubSpot, and one for the response to the caller.
REQUESTS = [
    ("GET", "/api/deals", 2),
    ("GET", "/api/deals?sort=dealname", 2),
    ("POST", "/api/deals/search", 2),
    ("GET", "/api/tickets", 2),
    ("POST", "/api/tickets/search", 2),
    ("GET", "/api/deals/{deal}", 2),
    ("GET", "/api/search?q=x", 3),
    ("GET", "/api/contacts/{contact}", 3),
    ("GET", "/api/new-crm-objects", 3),
    # The audit entries take one more.
    ("GET", "/api/me/export", 4),
]


@pytest.mark.parametrize(("method", "path", "turns"), REQUESTS)
@pytest.mark.parametrize("role", ["customer", "staff"])
async def test_large_response_waits_for_its_turns(
    customer: Caller,
    staff: Caller,
    app: FastAPI,
    emulator: Emulator,
    method: str,
    path: str,
    turns: int,
    role: str,
) -> None:
    caller = customer if role == "customer" else staff
    deals = seed_deals(emulator, caller.contact_id, RECORDS, description=TEXT)
    seed_tickets(emulator, RECORDS, to=[("deals", deals[0])], content=TEXT)
    emulator.settle_search()
    slices = count_turns(app)
    await send(caller, method, path.format(deal=deals[0], contact=caller.contact_id))
    assert slices.turns == turns


@pytest.mark.parametrize(("method", "path", "turns"), REQUESTS)
async def test_small_response_waits_for_no_turn(
    customer: Caller, app: FastAPI, emulator: Emulator, method: str, path: str, turns: int
) -> None:
    deals = seed_deals(emulator, customer.contact_id, RECORDS)
    seed_tickets(emulator, RECORDS, to=[("deals", deals[0])])
    slices = count_turns(app)
    await send(customer, method, path.format(deal=deals[0], contact=customer.contact_id))
    assert slices.turns == (1 if path == "/api/me/export" else 0)


async def test_large_response_through_cache_waits_for_its_turns(
    customer: Caller, settings: Settings, emulator: Emulator
) -> None:
    seed_deals(emulator, customer.contact_id, RECORDS, description=TEXT)
    cached = settings.model_copy(update={"read_cache_seconds": 100})
    async with app_client(cached, emulator) as client:
        caller = Caller(client, customer.email, customer.tokens, customer.contact_id)
        slices = count_turns(client._transport.app)  # type: ignore[attr-defined]
        await send(caller, "GET", "/api/deals")
        assert slices.turns == 2
        await send(caller, "GET", "/api/deals")
        assert slices.turns == 4
    assert calls(emulator).count("POST objects/deals/batch/read") == 1


async def test_models_of_many_small_records_are_built_in_slices(
    customer: Caller, app: FastAPI, emulator: Emulator
) -> None:
    [deal_id, *_] = seed_deals(emulator, customer.contact_id, 30)
    seed_tickets(emulator, 20, to=[("deals", deal_id)])
    sizes: list[int] = []

    class CountedItems(TimeSlices):
        async def map(self, function: Any, items: Any) -> list[Any]:
            sizes.append(len(items))
            return await super().map(function, items)

    app.state.time_slices = CountedItems()
    await send(customer, "GET", "/api/new-crm-objects")
    assert sizes == [30, 20]
