"""Check of the HubSpot account's properties against those that the service reads and writes."""

import logging
from typing import Any

import pytest
from fastapi import FastAPI
from tests.support.callers import Caller
from tests.support.emulator_transport import EmulatorTransport

from crm_api.main import create_app
from crm_api.services.hubspot_account.provisioning import provision
from crm_api.services.hubspot_account.schema_check import check_categories, check_schema, watch_schema
from crm_api.services.properties.categories import TICKET_CATEGORIES
from crm_api.services.properties.fields import RecordFields
from crm_api.services.properties.pipelines import UNRESTRICTED
from crm_api.settings import Settings
from hubspot_emulator import Emulator


async def test_schema_check_of_provisioned_account_finds_no_problem(app: FastAPI) -> None:
    await provision(app.state.hubspot, TICKET_CATEGORIES)
    assert await check_schema(app.state.hubspot, RecordFields(TICKET_CATEGORIES)) == []


async def test_schema_check_returns_one_line_for_each_problem(app: FastAPI) -> None:
    added = {
        "deals": {
            "readable": ["dealtype", "no_such_property", "hs_is_closed"],
            "writable_by_staff": ["hs_is_closed"],
        }
    }
    problems = await check_schema(app.state.hubspot, RecordFields(TICKET_CATEGORIES, added))
    assert [problem.split(" ")[:2] for problem in problems] == [
        ["deals:", "no_such_property"],
        ["deals:", "hs_is_closed"],
    ]
    [problem] = await check_categories(app.state.hubspot, RecordFields(TICKET_CATEGORIES))
    assert problem.startswith("tickets: hs_ticket_category has no option for service_request")


async def test_schema_check_is_retried_after_error(
    app: FastAPI, emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    emulator.fail_next("GET", "/crm/properties/*", status=400, times=3)
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        emulator.reset_faults()

    with caplog.at_level(logging.WARNING, logger="crm_api.services.hubspot_account.schema_check"):
        await watch_schema(app.state.hubspot, RecordFields(TICKET_CATEGORIES), UNRESTRICTED, sleep=sleep)
    assert waits == [1.0]
    assert "meeting (MEETING)" in caplog.text


async def test_schema_check_refused_with_403_is_logged_and_ends(
    app: FastAPI, emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    emulator.fail_next("GET", "/crm/properties/*", status=403, times=3)
    with caplog.at_level(logging.WARNING, logger="crm_api.services.hubspot_account.schema_check"):
        await watch_schema(app.state.hubspot, RecordFields(TICKET_CATEGORIES), UNRESTRICTED)
    assert "not checked" in caplog.text


async def test_unknown_pipeline_of_setting_is_logged_at_start(
    settings: Settings, emulator: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    stale = settings.model_copy(update={"customer_stages": {"deals": {"deleted": []}}})
    app = create_app(stale, hubspot_transport=EmulatorTransport(emulator))
    async with app.router.lifespan_context(app):
        await app.state.startup_checks
    logged = capsys.readouterr().out
    assert "setting: CUSTOMER_STAGES: the HubSpot account has no deals pipeline deleted" in logged


async def test_ticket_category_is_accepted_at_once_after_provisioning(
    app: FastAPI, customer: Caller, emulator: Emulator
) -> None:
    body: dict[str, Any] = {
        "subject": "s",
        "description": "d",
        "hs_pipeline_stage": "1",
        "category": "meeting",
    }
    deal = (await customer.post("/api/deals", {"dealname": "d", "dealstage": "closedwon"})).json()["data"]
    path = f"/api/tickets/{deal['id']}"
    assert (await customer.post(path, body)).status_code == 400
    await provision(app.state.hubspot, TICKET_CATEGORIES)
    assert (await customer.post(path, body)).status_code == 201
