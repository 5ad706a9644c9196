"""HubSpot tokens that lack a scope."""

from typing import Any

import pytest
from fastapi import FastAPI
from prometheus_client import generate_latest
from tests.support.builders import deal_body, ticket_body
from tests.support.callers import Caller, assert_problem
from tests.support.records import create_deal_as, create_ticket_as, writes

from crm_api.settings import Settings
from hubspot_emulator import Emulator

ALL = {
    f"crm.{kind}.{object_type}.{right}"
    for kind in ("objects", "schemas")
    for object_type in ("contacts", "deals", "tickets")
    for right in ("read", "write")
} | {"oauth"}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    added = {
        "deals": {
            "readable": ["hs_priority", "dealtype"],
            "writable_by_customer": ["hs_priority"],
            "writable_by_staff": ["hs_priority"],
            "filterable": ["hs_priority"],
        }
    }
    return Settings(**(settings.model_dump() | {"_env_file": None, "hubspot_properties": added}))


def metric(app: FastAPI) -> str:
    lines = generate_latest(app.state.metrics.registry).decode().splitlines()
    return next((line for line in lines if line.startswith("crm_api_hubspot_missing_scope{")), "")


async def readiness(caller: Caller) -> Any:
    return (await caller.client.get("/readyz")).json()["hubspot"]


async def test_missing_scope_is_on_readyz_until_it_is_granted(
    app: FastAPI, customer: Caller, emulator: Emulator
) -> None:
    deal_id = await create_deal_as(customer)
    emulator.switches.scopes = ALL - {"crm.objects.tickets.write"}
    assert (await readiness(customer))["state"] == "ok"
    assert metric(app) == ""
    response = await customer.post(f"/api/tickets/{deal_id}", ticket_body())
    assert_problem(response, 502, "hubspot_credentials_refused")
    # Calls that need other scopes succeed, and the missing one is still shown.
    assert (await customer.get("/api/deals")).status_code == 200
    shown = await readiness(customer)
    assert shown["state"] == "degraded"
    assert shown["problem"] == "missing scope: crm.objects.tickets.write or tickets"
    assert metric(app).endswith('{scope="crm.objects.tickets.write or tickets"} 1.0')
    emulator.switches.scopes = None
    assert (await customer.post(f"/api/tickets/{deal_id}", ticket_body())).status_code == 201
    assert (await readiness(customer))["state"] == "ok"
    assert metric(app).endswith(" 0.0")


async def test_readyz_shows_a_missing_scope_that_hubspot_does_not_name(
    customer: Caller, emulator: Emulator
) -> None:
    body = {"status": "error", "category": "MISSING_SCOPES", "message": "no"}
    emulator.fail_next("POST", "/crm/objects/*/deals", status=403, body=body)
    assert_problem(await customer.post("/api/deals", deal_body()), 502, "hubspot_credentials_refused")
    assert (await readiness(customer))["problem"] == "missing scope: the scope of deals.create"


class TestWithoutSchemas:
    """A token that may not read the property definitions, so the types of added properties are not known."""

    @pytest.fixture(autouse=True)
    def _forget_definitions(self, app: FastAPI, emulator: Emulator, customer: Caller) -> None:
        emulator.switches.scopes = {scope for scope in ALL if not scope.startswith("crm.schemas")}
        for object_type in ("deals", "tickets"):
            app.state.hubspot.properties._cache.invalidate(object_type)

    async def test_added_property_write_is_503_if_schema_is_unreadable(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        deal_id = await create_deal_as(customer)
        emulator.clear_requests()
        body = {"properties": {"hs_priority": "low"}}
        for response in (
            await customer.post("/api/deals", deal_body(**body)),
            await customer.patch(f"/api/deals/{deal_id}", body),
        ):
            problem = assert_problem(response, 503, "service_unavailable")
            assert "crm.schemas.deals.read" in problem["detail"]
            assert response.headers["Retry-After"] == "60"
        assert writes(emulator) == []

    @pytest.mark.parametrize("role", ["customer", "staff"])
    async def test_added_property_filter_is_503_if_schema_is_unreadable(
        self, customer: Caller, staff: Caller, role: str
    ) -> None:
        caller = customer if role == "customer" else staff
        condition = {"property": "hs_priority", "operator": "EQ", "value": "low"}
        search = {"filters": [condition]}
        for response in (
            await caller.post("/api/deals/search", search),
            await caller.post("/api/deals/search", {"sort": {"property": "hs_priority"}}),
            await caller.get("/api/deals", params={"sort": "hs_priority"}),
        ):
            problem = assert_problem(response, 503, "service_unavailable")
            assert "crm.schemas.deals.read" in problem["detail"]

    async def test_built_in_fields_work_without_property_definitions(self, customer: Caller) -> None:
        deal_id = await create_deal_as(customer, amount="5")
        response = await customer.patch(f"/api/deals/{deal_id}", {"amount": "7.50"})
        assert response.status_code == 200, response.text
        condition = {"property": "amount", "operator": "GT", "value": "7"}
        found = await customer.post("/api/deals/search", {"filters": [condition]})
        assert found.json()["data"]["total"] == 1
        listed = (await customer.get("/api/properties/deals")).json()["data"]["results"]
        assert "hs_priority" in [item["name"] for item in listed]

    async def test_own_option_write_is_503_if_schema_is_unreadable(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        deal_id = await create_deal_as(customer)
        path = f"/api/tickets/{await create_ticket_as(customer, deal_id, category='billing')}"
        # HubSpot would add the option to the current ones.
        problem = assert_problem(
            await customer.patch(path, {"category": ";FEATURE_REQUEST"}), 503, "service_unavailable"
        )
        assert "crm.schemas.tickets.read" in problem["detail"]
        assert (await customer.patch(path, {"category": "technical_issue"})).status_code == 200
        assert emulator.records("tickets")[0].properties["hs_ticket_category"] == "PRODUCT_ISSUE"
