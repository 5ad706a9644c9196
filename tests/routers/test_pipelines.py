"""Pipelines over HTTP."""

import asyncio

import httpx
import pytest
from fastapi import FastAPI
from tests.support.builders import a_deal
from tests.support.callers import Caller, assert_problem

from crm_api.hubspot_emulator import Emulator
from crm_api.settings import Settings


class TestListPipelines:
    async def test_anonymous(self, client: httpx.AsyncClient, emulator: Emulator) -> None:
        assert_problem(await client.get("/api/pipelines"), 401, "invalid_token")
        assert emulator.requests == []

    async def test_stages_stand_in_display_order(self, customer: Caller) -> None:
        answer = await customer.get("/api/pipelines")
        assert answer.status_code == 200
        pipelines = answer.json()["data"]
        [deals], [tickets] = pipelines["deals"], pipelines["tickets"]
        assert [stage["id"] for stage in deals["stages"]] == [
            "appointmentscheduled",
            "qualifiedtobuy",
            "presentationscheduled",
            "decisionmakerboughtin",
            "contractsent",
            "closedwon",
            "closedlost",
        ]
        assert [stage["id"] for stage in deals["stages"] if stage["is_closed"]] == ["closedwon", "closedlost"]
        assert (tickets["id"], [stage["id"] for stage in tickets["stages"]]) == ("0", ["1", "2", "3", "4"])
        assert [stage["id"] for stage in tickets["stages"] if stage["is_closed"]] == ["4"]

    async def test_many_at_one_moment_are_two_calls_and_then_none(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        emulator.clear_requests()
        await asyncio.gather(*(customer.get("/api/pipelines") for _ in range(10)))
        assert sorted(request.path for request in emulator.requests) == [
            "/crm/pipelines/2026-09/deals",
            "/crm/pipelines/2026-09/tickets",
        ]

    async def test_hubspot_sending_nonsense_is_a_502(self, customer: Caller, emulator: Emulator) -> None:
        emulator.fail_next("GET", "/crm/pipelines/*", kind="invalid_json", times=50)
        assert_problem(await customer.get("/api/pipelines"), 502, "hubspot_error")


class TestCustomerStages:
    """An operator leaves customers one pipeline and two of its stages."""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(
            update={"customer_stages": {"deals": {"default": ["appointmentscheduled", "qualifiedtobuy"]}}}
        )

    @pytest.fixture
    async def other_pipeline(self, app: FastAPI) -> str:
        stage = {"label": "Only", "displayOrder": 0, "metadata": {"probability": "0.5"}}
        body = {"label": "Inside", "displayOrder": 1, "stages": [stage]}
        answer = await app.state.hubspot.request(
            "POST", "/crm/pipelines/2026-09/deals", operation="test", json=body, idempotent=False
        )
        return str(answer["id"])

    async def test_customers_see_what_they_may_use(
        self, customer: Caller, staff: Caller, other_pipeline: str
    ) -> None:
        [seen] = (await customer.get("/api/pipelines")).json()["data"]["deals"]
        assert seen["id"] == "default"
        assert [stage["id"] for stage in seen["stages"] if stage["may_set"]] == [
            "appointmentscheduled",
            "qualifiedtobuy",
        ]
        everything = (await staff.get("/api/pipelines")).json()["data"]["deals"]
        assert {pipeline["id"] for pipeline in everything} == {"default", other_pipeline}
        assert all(stage["may_set"] for pipeline in everything for stage in pipeline["stages"])

    async def test_another_stage_is_for_staff(
        self, customer: Caller, staff: Caller, emulator: Emulator
    ) -> None:
        refused = await customer.post("/api/deals", a_deal(dealstage="closedwon"))
        assert_problem(refused, 400, "validation_error", fields=["dealstage"])
        assert emulator.records("deals") == []
        opened = (await customer.post("/api/deals", a_deal())).json()["data"]["deal"]
        moved = await customer.patch(f"/api/deals/{opened['id']}", {"dealstage": "closedwon"})
        assert_problem(moved, 400, "validation_error", fields=["dealstage"])
        by_staff = await staff.patch(f"/api/deals/{opened['id']}", {"dealstage": "closedwon"})
        assert by_staff.status_code == 200, by_staff.text

    async def test_another_pipeline_is_not_there_for_customers(
        self, customer: Caller, emulator: Emulator, other_pipeline: str
    ) -> None:
        answer = await customer.post("/api/deals", a_deal(pipeline=other_pipeline))
        assert_problem(answer, 400, "validation_error", fields=["pipeline"])
        assert emulator.records("deals") == []
