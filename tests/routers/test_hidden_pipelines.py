"""Pipelines that CUSTOMER_STAGES hides from customers, and the records in them."""

import logging
from dataclasses import dataclass
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import select
from tests.hubspot_emulator.conftest import served
from tests.support.builders import ticket_body
from tests.support.callers import Caller, assert_problem, assert_same_not_found
from tests.support.records import create_deal_as, create_ticket_as, list_all, seed_deals, seed_tickets, writes

from crm_api.bootstrap import create_read_cache
from crm_api.cli.operator_context import open_records
from crm_api.hubspot import Pipeline
from crm_api.hubspot.wire import NoContent
from crm_api.models import User
from crm_api.services.accounts.export import export_user
from crm_api.services.hubspot_account.provisioning import provision
from crm_api.services.properties.categories import TICKET_CATEGORIES
from crm_api.settings import Settings
from hubspot_emulator import Emulator

MISSING_ID = "99999999"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    stages = {"deals": {"default": ["appointmentscheduled", "qualifiedtobuy"]}, "tickets": {"0": []}}
    return settings.model_copy(update={"customer_stages": stages})


@dataclass
class Records:
    """IDs of a customer's records: visible ones, and hidden ones."""

    deal: str
    ticket: str
    hidden_deal: str
    ticket_on_hidden_deal: str
    """A ticket in a visible pipeline; only the hidden deal leads to it."""
    hidden_ticket: str
    hidden_pipeline: dict[str, str]

    @property
    def hidden(self) -> set[str]:
        return {self.hidden_deal, self.ticket_on_hidden_deal, self.hidden_ticket}


async def create_pipeline(app: FastAPI, object_type: str) -> Pipeline:
    name, states = ("probability", "0.5 1.0") if object_type == "deals" else ("ticketState", "OPEN CLOSED")
    stages = [
        {"label": state, "displayOrder": position, "metadata": {name: state}}
        for position, state in enumerate(states.split())
    ]
    created: Pipeline = await app.state.hubspot.sender.request(
        "POST",
        f"/crm/pipelines/2026-09/{object_type}",
        operation="test",
        json={"label": "Inside", "displayOrder": 1, "stages": stages},
        idempotent=False,
        response=Pipeline,
    )
    return created


@pytest.fixture
async def records(app: FastAPI, customer: Caller, emulator: Emulator) -> Records:
    deals, tickets = [await create_pipeline(app, object_type) for object_type in ("deals", "tickets")]
    deal = await create_deal_as(customer)
    in_deals = {"pipeline": deals.id, "dealstage": deals.stages[0].id}
    in_tickets = {"hs_pipeline": tickets.id, "hs_pipeline_stage": tickets.stages[0].id}
    [hidden_deal] = seed_deals(emulator, customer.contact_id, 1, **in_deals)
    [on_hidden] = seed_tickets(emulator, 1, to=[("deals", hidden_deal)])
    own = [("deals", deal), ("contacts", customer.contact_id)]
    [hidden_ticket] = seed_tickets(emulator, 1, to=own, **in_tickets)
    ticket = await create_ticket_as(customer, deal)
    return Records(deal, ticket, hidden_deal, on_hidden, hidden_ticket, in_deals)


def ids_in(body: Any) -> set[str]:
    """Return all values of `id` in a response."""
    if isinstance(body, list):
        return set().union(*map(ids_in, body))
    if not isinstance(body, dict):
        return set()
    own = {body["id"]} if "id" in body else set()
    return own.union(*map(ids_in, body.values()))


@pytest.mark.parametrize(
    "path",
    [
        "/api/deals",
        "/api/deals?sort=dealname",
        "/api/deals/search",
        "/api/tickets",
        "/api/tickets?sort=subject",
        "/api/tickets/search",
        "/api/new-crm-objects",
        "/api/contacts/{contact}",
        "/api/search?q=deal",
        "/api/search?q=ticket",
        "/api/me/export",
    ],
)
async def test_lists_of_customer_have_no_hidden_records(
    customer: Caller, staff: Caller, records: Records, path: str
) -> None:
    path = path.format(contact=customer.contact_id)
    for caller in (customer, staff):
        response = await (caller.post(path, {}) if path.endswith("/search") else caller.get(path))
        assert response.status_code == 200, response.text
        found = ids_in(response.json()["data"])
        if caller is customer:
            assert records.hidden.isdisjoint(found)
            assert '"incomplete":true' not in response.text
            assert response.json()["data"].get("total", 1) == 1
        elif path != "/api/me/export":
            # Staff see the hidden records at the same path, so the search or list can find them.
            assert not records.hidden.isdisjoint(found)


async def test_operators_export_has_hidden_records(
    app: FastAPI, customer: Caller, records: Records, emulator: Emulator, settings: Settings
) -> None:
    async with app.state.session_factory() as database:
        user = (await database.execute(select(User).where(User.email == customer.email))).scalar_one()
    with served(emulator) as url:
        async with open_records(settings.model_copy(update={"hubspot_base_url": url}), user) as context:
            export = await export_user(context, cursor=None)
    assert {*records.hidden, records.deal, records.ticket} <= ids_in(export.model_dump())


async def test_hidden_records_are_missing_for_every_operation(
    customer: Caller, staff: Caller, records: Records, emulator: Emulator
) -> None:
    emulator.clear_requests()
    deals, tickets = [records.hidden_deal], [records.hidden_ticket, records.ticket_on_hidden_deal]
    for collection, hidden_ids in (("deals", deals), ("tickets", tickets)):
        change = {"dealname": "x"} if collection == "deals" else {"subject": "x"}
        for record_id in hidden_ids:
            path, missing = f"/api/{collection}/{record_id}", f"/api/{collection}/{MISSING_ID}"
            assert_same_not_found(await customer.get(path), await customer.get(missing))
            assert_same_not_found(await customer.patch(path, change), await customer.patch(missing, change))
            assert_same_not_found(await customer.delete(path), await customer.delete(missing))
            assert (await staff.get(path)).status_code == 200
    created = await customer.post(f"/api/tickets/{records.hidden_deal}", ticket_body())
    assert_problem(created, 404, "not_found")
    assert writes(emulator) == []


async def test_tickets_of_hidden_deal_are_not_read_for_nested_lists(
    customer: Caller, records: Records, emulator: Emulator
) -> None:
    emulator.clear_requests()
    assert (await customer.get("/api/new-crm-objects")).status_code == 200
    bodies = [str(request.body) for request in emulator.requests if "/tickets/batch/read" in request.path]
    assert any(records.ticket in body for body in bodies)
    assert not any(records.ticket_on_hidden_deal in body for body in bodies)


async def test_customer_cannot_move_record_into_hidden_pipeline(
    customer: Caller, records: Records, emulator: Emulator
) -> None:
    response = await customer.patch(f"/api/deals/{records.deal}", records.hidden_pipeline)
    assert_problem(response, 400, "validation_error", fields=["pipeline"])


async def test_pages_of_customer_list_are_full_despite_hidden_records(
    customer: Caller, records: Records, emulator: Emulator
) -> None:
    # Hidden deals are between the visible ones.
    visible = [records.deal]
    for _ in range(3):
        seed_deals(emulator, customer.contact_id, 2, **records.hidden_pipeline)
        visible += seed_deals(emulator, customer.contact_id, 1)
    response = await customer.get("/api/deals?limit=2")
    assert [deal["id"] for deal in response.json()["data"]["results"]] == visible[:2]
    assert [deal["id"] for deal in await list_all(customer, "/api/deals", limit=2)] == visible


async def test_moved_record_is_missing_at_once(
    customer: Caller, records: Records, emulator: Emulator
) -> None:
    emulator.edit_as_other_actor("deals", records.deal, records.hidden_pipeline)
    assert_problem(await customer.get(f"/api/deals/{records.deal}"), 404, "not_found")
    # The ticket is associated with the customer's contact, too.
    assert (await customer.get(f"/api/tickets/{records.ticket}")).status_code == 200


async def test_replayed_create_of_moved_record_returns_404(
    customer: Caller, records: Records, emulator: Emulator
) -> None:
    body = {"dealname": "d", "dealstage": "qualifiedtobuy"}
    headers = {"Idempotency-Key": "one-key-for-this-deal"}
    created = await customer.post("/api/deals", body, headers=headers)
    assert created.status_code == 201, created.text
    [deal_id] = ids_in(created.json()["data"])
    emulator.edit_as_other_actor("deals", deal_id, records.hidden_pipeline)
    assert_problem(await customer.post("/api/deals", body, headers=headers), 404, "not_found")


async def test_retry_of_lost_create_does_not_return_moved_record(
    app: FastAPI, customer: Caller, records: Records, emulator: Emulator
) -> None:
    await provision(app.state.hubspot, TICKET_CATEGORIES)
    body = {"dealname": "lost", "dealstage": "qualifiedtobuy"}
    headers = {"Idempotency-Key": "one-key-for-this-deal"}
    emulator.fail_next("POST", "/crm/objects/*/deals", kind="drop_after")
    emulator.fail_next("GET", "/crm/objects/*/deals/*", status=500, times=50)
    lost = await customer.post("/api/deals", body, headers=headers)
    assert lost.status_code == 504, lost.text
    emulator.reset_faults()
    [deal] = [deal for deal in emulator.records("deals") if deal.properties["dealname"] == "lost"]
    emulator.edit_as_other_actor("deals", deal.id, records.hidden_pipeline)
    retried = await customer.post("/api/deals", body, headers=headers)
    assert_problem(retried, 404, "not_found")
    assert deal.id not in retried.text


async def test_lost_stage_of_setting_is_logged_when_schema_changes(
    app: FastAPI, customer: Caller, emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    hubspot = app.state.hubspot
    await customer.get("/api/pipelines")
    with caplog.at_level(logging.ERROR, logger="crm_api.services.properties.pipelines"):
        await hubspot.sender.request(
            "DELETE",
            "/crm/pipelines/2026-09/deals/default/stages/qualifiedtobuy",
            operation="test",
            idempotent=True,
            response=NoContent,
        )
        assert caplog.records == []
        for _ in range(2):
            await hubspot.pipelines.list("deals", max_age_seconds=0)
            await customer.get("/api/pipelines")
    [record] = caplog.records
    assert "no deals stage qualifiedtobuy of pipeline default" in record.getMessage()


async def test_404_of_hidden_deal_is_not_decided_from_the_cache(
    app: FastAPI, settings: Settings, customer: Caller, records: Records, emulator: Emulator
) -> None:
    cached = settings.model_copy(update={"read_cache_seconds": 10.0})
    app.state.read_cache = create_read_cache(
        cached,
        app.state.hubspot,
        None,
        charge_calls=app.state.rate_limits.count_hubspot_calls,
        observer=app.state.metrics,
    )
    path = f"/api/deals/{records.hidden_deal}"
    assert_problem(await customer.get(path), 404, "not_found")
    shown = {"pipeline": "default", "dealstage": "qualifiedtobuy"}
    emulator.edit_as_other_actor("deals", records.hidden_deal, shown)
    assert (await customer.get(path)).status_code == 200


async def test_ids_of_hidden_deals_are_left_out(
    customer: Caller, records: Records, emulator: Emulator
) -> None:
    emulator.link(("tickets", records.ticket), ("deals", records.hidden_deal))
    include = {"include": "associations"}
    read = (await customer.get(f"/api/tickets/{records.ticket}", params=include)).json()["data"]
    [listed] = await list_all(customer, "/api/tickets")
    assert read["deal_ids"] == listed["deal_ids"] == [records.deal]
