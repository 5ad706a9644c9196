"""Pipelines over HTTP."""

import asyncio

import httpx
import pytest
from fastapi import FastAPI
from tests.support.builders import deal_body
from tests.support.callers import Caller, assert_problem

from crm_api.hubspot import Pipeline
from crm_api.settings import Settings
from hubspot_emulator import Emulator


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

    async def test_what_changed_is_seen_with_the_next_reading(self, customer: Caller, app: FastAPI) -> None:
        async def labels() -> list[str]:
            return [each["label"] for each in (await customer.get("/api/pipelines")).json()["data"]["deals"]]

        before = await labels()
        await app.state.hubspot.sender.request(
            "PATCH",
            "/crm/pipelines/2026-09/deals/default",
            operation="test",
            json={"label": "Renamed"},
            idempotent=True,
            response=Pipeline,
        )
        assert await labels() == before
        await app.state.hubspot.pipelines.list("deals", max_age_seconds=0)
        assert await labels() == ["Renamed"]

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
        answer = await app.state.hubspot.sender.request(
            "POST",
            "/crm/pipelines/2026-09/deals",
            operation="test",
            json=body,
            idempotent=False,
            response=Pipeline,
        )
        return str(answer.id)

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
        refused = await customer.post("/api/deals", deal_body(dealstage="closedwon"))
        assert_problem(refused, 400, "validation_error", fields=["dealstage"])
        assert emulator.records("deals") == []
        opened = (await customer.post("/api/deals", deal_body())).json()["data"]["deal"]
        moved = await customer.patch(f"/api/deals/{opened['id']}", {"dealstage": "closedwon"})
        assert_problem(moved, 400, "validation_error", fields=["dealstage"])
        by_staff = await staff.patch(f"/api/deals/{opened['id']}", {"dealstage": "closedwon"})
        assert by_staff.status_code == 200, by_staff.text

    async def test_another_pipeline_is_not_there_for_customers(
        self, customer: Caller, emulator: Emulator, other_pipeline: str
    ) -> None:
        answer = await customer.post("/api/deals", deal_body(pipeline=other_pipeline))
        assert_problem(answer, 400, "validation_error", fields=["pipeline"])
        assert emulator.records("deals") == []

    async def test_forms_offer_customers_what_they_may_choose(
        self, customer: Caller, staff: Caller, other_pipeline: str
    ) -> None:
        offered = {}
        for caller in (customer, staff):
            results = (await caller.get("/api/properties/deals")).json()["data"]["results"]
            offered[caller.email] = {
                each["name"]: [option["value"] for option in each["options"]] for each in results
            }
        assert offered[customer.email]["pipeline"] == ["default"]
        assert offered[customer.email]["dealstage"] == ["appointmentscheduled", "qualifiedtobuy"]
        assert offered[staff.email]["pipeline"] == ["default", other_pipeline]
        assert len(offered[staff.email]["dealstage"]) == 8

    async def test_what_staff_have_moved_stays_readable_and_is_moved_back_into_a_stage_of_ones_own(
        self, customer: Caller, emulator: Emulator, other_pipeline: str, app: FastAPI
    ) -> None:
        [hidden] = [
            pipeline.stages[0].id
            for pipeline in await app.state.hubspot.pipelines.list("deals", max_age_seconds=0)
            if pipeline.id == other_pipeline
        ]
        path = f"/api/deals/{(await customer.post('/api/deals', deal_body())).json()['data']['deal']['id']}"
        moved = {"pipeline": other_pipeline, "dealstage": hidden}
        emulator.edit_as_other_actor("deals", path.rpartition("/")[2], moved)
        deal = (await customer.get(path)).json()["data"]["deal"]
        assert (deal["pipeline"], deal["dealstage"]) == (other_pipeline, hidden)
        assert (await customer.patch(path, {"dealname": "Other", "dealstage": hidden})).status_code == 200
        unknown = await customer.patch(path, {"dealstage": "qualifiedtobuy"})
        assert_problem(unknown, 400, "validation_error", fields=["pipeline"])
        body = {"dealstage": "qualifiedtobuy", "pipeline": "default"}
        assert (await customer.patch(path, body)).status_code == 200


async def test_labels_longer_than_the_contract_are_cut(customer: Caller, emulator: Emulator) -> None:
    stage = {"id": "1", "label": "s" * 600, "displayOrder": -7, "metadata": {}}
    pipeline = {"id": "p", "label": "p" * 600, "displayOrder": 2**40, "stages": [stage]}
    emulator.fail_next("GET", "/crm/pipelines/*", status=200, body={"results": [pipeline]}, times=2)
    answer = await customer.get("/api/pipelines")
    assert answer.status_code == 200, answer.text
    [shown] = answer.json()["data"]["deals"]
    assert (shown["label"], shown["display_order"]) == ("p" * 500, 2**31 - 1)
    assert (shown["stages"][0]["label"], shown["stages"][0]["display_order"]) == ("s" * 500, -1)
