"""The schema of the account, checked against what we read and write."""

import logging
from typing import Any

import pytest
from fastapi import FastAPI
from tests.support.callers import Caller

from crm_api.services.hubspot_account.provisioning import provision
from crm_api.services.hubspot_account.schema_check import check_schema, watch_schema
from crm_api.services.properties.fields import RecordFields
from crm_api.services.properties.mapping import TICKET_CATEGORIES
from hubspot_emulator import Emulator


async def test_a_provisioned_account_is_as_it_should_be(app: FastAPI) -> None:
    await provision(app.state.hubspot, TICKET_CATEGORIES)
    assert await check_schema(app.state.hubspot, RecordFields(TICKET_CATEGORIES)) == []


async def test_everything_that_is_not_is_a_line(app: FastAPI) -> None:
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
        ["tickets:", "hs_ticket_category"],
        ["tickets:", "hs_ticket_category"],
    ]


async def test_the_check_is_made_again_until_hubspot_answers(
    app: FastAPI, emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    emulator.fail_next("GET", "/crm/properties/*", status=400, times=3)
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        emulator.reset_faults()

    with caplog.at_level(logging.WARNING, logger="crm_api.services.hubspot_account.schema_check"):
        await watch_schema(app.state.hubspot, RecordFields(TICKET_CATEGORIES), sleep=sleep)
    assert slept == [1.0]
    assert "no option MEETING" in caplog.text


async def test_credentials_that_may_not_read_the_schema_are_told_once(
    app: FastAPI, emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    emulator.fail_next("GET", "/crm/properties/*", status=403, times=3)
    with caplog.at_level(logging.WARNING, logger="crm_api.services.hubspot_account.schema_check"):
        await watch_schema(app.state.hubspot, RecordFields(TICKET_CATEGORIES))
    assert "not checked" in caplog.text


async def test_a_new_option_is_known_at_once(app: FastAPI, customer: Caller, emulator: Emulator) -> None:
    body: dict[str, Any] = {
        "subject": "s",
        "description": "d",
        "hs_pipeline_stage": "1",
        "category": "meeting",
    }
    deal = (await customer.post("/api/deals", {"dealname": "d", "dealstage": "closedwon"})).json()["data"]
    path = f"/api/tickets/{deal['deal']['id']}"
    assert (await customer.post(path, body)).status_code == 400
    await provision(app.state.hubspot, TICKET_CATEGORIES)
    assert (await customer.post(path, body)).status_code == 201
