"""Odd values in HubSpot's responses: no 500, and no record is lost."""

import json
import random
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from tests.support.builders import deal_body, ticket_body
from tests.support.callers import Caller
from tests.support.emulator_transport import EmulatorTransport
from tests.support.records import create_deal_as, create_ticket_as, list_all, search_all

from crm_api.main import create_app
from crm_api.settings import Settings
from hubspot_emulator import Emulator

ODD_VALUES: list[Any] = [
    None,
    "",
    " ",
    "x" * 70_000,
    "\ud800",
    "\x00",
    "a;b;;",
    "NaN",
    "1e400",
    "-0",
    "9999-12-31T23:59:59-14:00",
    "0001-01-01T00:00:00+14:00",
    "2026-01-01T00:00:00",
    "\N{LATIN SMALL LETTER SHARP S}\N{COMBINING ACUTE ACCENT}",
    7,
    -1.5,
    10**30,
    True,
    [],
    ["a", None],
    {},
    {"a": {"b": 1}},
]
ADDED = {
    "contacts": ["company", "hs_lead_status", "hubspot_owner_id"],
    "deals": ["dealtype", "hs_priority", "hs_is_closed"],
    "tickets": ["source_type", "closed_date"],
}
# Members by which clients identify records and definitions.
IDENTITIES = frozenset(
    {"id", "name", "hs_object_id", "paging", "total", "toObjectId", "from", "associationTypes"}
)


@dataclass
class OddTransport(httpx.AsyncBaseTransport):
    """Transport that changes the bodies of successful responses to reads."""

    inner: EmulatorTransport
    change: Callable[[str, Any], None] = field(default=lambda path, body: None)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self.inner.handle_async_request(request)
        is_read = request.method == "GET" or request.url.path.endswith(("/batch/read", "/search"))
        content = await response.aread()
        if not is_read or not response.is_success or "/associations" in request.url.path:
            return httpx.Response(response.status_code, headers=response.headers, content=content)
        body = json.loads(content)
        self.change(request.url.path, body)
        # Escapes, because an unpaired surrogate cannot be encoded.
        return httpx.Response(response.status_code, content=json.dumps(body).encode("ascii"))


def places(node: Any, owner: str = "") -> Iterator[tuple[Any, Any, str]]:
    """Yield each container, each key in it whose value may be odd, and the record or definition that has it."""
    if isinstance(node, dict):
        owner = f"{owner}/{node.get('id') or node.get('name') or node.get('value') or ''}"
    for key, value in list(node.items() if isinstance(node, dict) else enumerate(node)):
        if key in IDENTITIES or key in ("associations", "archived"):
            continue
        if key not in ("results", "properties") and isinstance(node, dict):
            yield node, key, owner
        if isinstance(value, dict | list):
            yield from places(value, owner)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    added = {
        object_type: {"readable": names, "writable_by_customer": names[:2], "filterable": names}
        for object_type, names in ADDED.items()
    }
    changes = {"_env_file": None, "hubspot_properties": added, "rate_limit_enabled": False}
    return Settings(**(settings.model_dump() | changes))


@pytest.fixture
def transport(emulator: Emulator) -> OddTransport:
    return OddTransport(EmulatorTransport(emulator))


@pytest.fixture
async def app(settings: Settings, transport: OddTransport) -> AsyncGenerator[FastAPI, None]:
    app = create_app(settings, hubspot_transport=transport)
    async with app.router.lifespan_context(app):
        await app.state.startup_checks
        yield app


def forget_definitions(app: FastAPI) -> None:
    for object_type in ("contacts", "deals", "tickets"):
        app.state.hubspot.properties._cache.invalidate(object_type)
        app.state.hubspot.pipelines._cache.invalidate(object_type)


async def assert_nothing_is_lost(caller: Caller, expected: dict[str, set[str]]) -> None:
    for object_type, ids in expected.items():
        found = {
            "list": await list_all(caller, f"/api/{object_type}", limit=2),
            "search": await search_all(caller, f"/api/{object_type}/search", limit=2),
        }
        if object_type != "contacts":
            found["sorted"] = await list_all(caller, f"/api/{object_type}", limit=1, sort="createdate")
        for name, records in found.items():
            assert sorted(record["id"] for record in records) == sorted(ids), name
        for record_id in ids:
            response = await caller.get(f"/api/{object_type}/{record_id}")
            assert response.status_code == 200, response.text
        response = await caller.get(f"/api/properties/{object_type}")
        assert response.status_code == 200, response.text
    for path in ("/api/pipelines", "/api/new-crm-objects", "/api/me/export", "/api/search?q=van"):
        response = await caller.get(path)
        assert response.status_code == 200, response.text


@pytest.mark.parametrize("area", ["properties", "pipelines", "objects"])
@examples(
    max_examples=5,
    deadline=None,
    # Shrinking would take minutes; the seed is enough to repeat a failure.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(seed=st.integers(0, 1_000_000), share=st.sampled_from([0.1, 0.4]))
async def test_odd_values_cause_no_500_and_lose_no_record(
    app: FastAPI,
    emulator: Emulator,
    transport: OddTransport,
    customer: Caller,
    staff: Caller,
    area: str,
    seed: int,
    share: float,
) -> None:
    transport.change = lambda path, body: None
    forget_definitions(app)
    for object_type in ("deals", "tickets"):
        for record in emulator.records(object_type):
            emulator.archive_as_other_actor(object_type, record.id)
    deals = [await create_deal_as(customer, amount="5", closedate="2026-12-31") for _ in range(3)]
    tickets = [await create_ticket_as(customer, deal_id) for deal_id in deals[:2]]
    expected = {"contacts": {customer.contact_id}, "deals": set(deals), "tickets": set(tickets)}
    every_contact = {record.id for record in emulator.records("contacts")}
    changed = 0

    def change(path: str, body: Any) -> None:
        nonlocal changed
        if f"/crm/{area}/" in path:
            for node, key, owner in list(places(body.get("results", body))):
                # A value is the same in each response, as in an account.
                dice = random.Random(f"{seed}{owner}/{key}")
                if dice.random() < share:
                    node[key] = dice.choice(ODD_VALUES)
                    changed += 1

    transport.change = change
    forget_definitions(app)
    for caller, ids in ((customer, expected), (staff, expected | {"contacts": every_contact})):
        await assert_nothing_is_lost(caller, ids)
    for response in (
        await customer.post("/api/deals", deal_body(properties={"dealtype": "newbusiness"})),
        await customer.post(f"/api/tickets/{deals[0]}", ticket_body(category="billing")),
        await customer.patch(f"/api/deals/{deals[0]}", {"amount": "7", "dealstage": "contractsent"}),
    ):
        assert response.status_code != 500, response.text
    assert changed
