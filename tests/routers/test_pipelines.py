"""`GET /api/pipelines`, and the pipelines and stages that customers may use."""

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
    async def test_list_pipelines_without_token_returns_401(
        self, client: httpx.AsyncClient, emulator: Emulator
    ) -> None:
        assert_problem(await client.get("/api/pipelines"), 401, "invalid_token")
        assert emulator.requests == []

    async def test_pipelines_list_stages_in_display_order(self, customer: Caller) -> None:
        response = await customer.get("/api/pipelines")
        assert response.status_code == 200
        pipelines = response.json()["data"]
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

    async def test_ten_concurrent_pipeline_lists_share_two_hubspot_calls(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        emulator.clear_requests()
        await asyncio.gather(*(customer.get("/api/pipelines") for _ in range(10)))
        assert sorted(request.path for request in emulator.requests) == [
            "/crm/pipelines/2026-09/deals",
            "/crm/pipelines/2026-09/tickets",
        ]

    async def test_pipeline_change_is_visible_after_the_cache_is_renewed(
        self, customer: Caller, app: FastAPI
    ) -> None:
        async def labels() -> list[str]:
            return [
                pipeline["label"]
                for pipeline in (await customer.get("/api/pipelines")).json()["data"]["deals"]
            ]

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

    async def test_list_pipelines_with_invalid_hubspot_json_returns_502(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        emulator.fail_next("GET", "/crm/pipelines/*", kind="invalid_json", times=50)
        assert_problem(await customer.get("/api/pipelines"), 502, "hubspot_error")


class TestCustomerStages:
    """CUSTOMER_STAGES allows customers one pipeline and two of its stages."""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(
            update={"customer_stages": {"deals": {"default": ["appointmentscheduled", "qualifiedtobuy"]}}}
        )

    @pytest.fixture
    async def other_pipeline(self, app: FastAPI) -> str:
        stage = {"label": "Only", "displayOrder": 0, "metadata": {"probability": "0.5"}}
        body = {"label": "Inside", "displayOrder": 1, "stages": [stage]}
        response = await app.state.hubspot.sender.request(
            "POST",
            "/crm/pipelines/2026-09/deals",
            operation="test",
            json=body,
            idempotent=False,
            response=Pipeline,
        )
        await app.state.hubspot.pipelines.list("deals", max_age_seconds=0)
        return str(response.id)

    async def test_pipeline_list_of_customer_has_only_allowed_pipelines(
        self, customer: Caller, staff: Caller, other_pipeline: str
    ) -> None:
        [visible] = (await customer.get("/api/pipelines")).json()["data"]["deals"]
        assert visible["id"] == "default"
        assert [stage["id"] for stage in visible["stages"] if stage["may_set"]] == [
            "appointmentscheduled",
            "qualifiedtobuy",
        ]
        all_pipelines = (await staff.get("/api/pipelines")).json()["data"]["deals"]
        assert {pipeline["id"] for pipeline in all_pipelines} == {"default", other_pipeline}
        assert all(stage["may_set"] for pipeline in all_pipelines for stage in pipeline["stages"])

    async def test_stage_outside_customer_stages_can_be_set_only_by_staff(
        self, customer: Caller, staff: Caller, emulator: Emulator
    ) -> None:
        response = await customer.post("/api/deals", deal_body(dealstage="closedwon"))
        assert_problem(response, 400, "validation_error", fields=["dealstage"])
        assert emulator.records("deals") == []
        created = (await customer.post("/api/deals", deal_body())).json()["data"]
        moved = await customer.patch(f"/api/deals/{created['id']}", {"dealstage": "closedwon"})
        assert_problem(moved, 400, "validation_error", fields=["dealstage"])
        by_staff = await staff.patch(f"/api/deals/{created['id']}", {"dealstage": "closedwon"})
        assert by_staff.status_code == 200, by_staff.text

    async def test_customer_creating_deal_in_hidden_pipeline_gets_400(
        self, customer: Caller, emulator: Emulator, other_pipeline: str
    ) -> None:
        response = await customer.post("/api/deals", deal_body(pipeline=other_pipeline))
        assert_problem(response, 400, "validation_error", fields=["pipeline"])
        assert emulator.records("deals") == []

    async def test_property_list_of_customers_has_only_allowed_stages(
        self, customer: Caller, staff: Caller, other_pipeline: str
    ) -> None:
        offered = {}
        for caller in (customer, staff):
            results = (await caller.get("/api/properties/deals")).json()["data"]["results"]
            offered[caller.email] = {
                item["name"]: [option["value"] for option in item["options"]] for item in results
            }
        assert offered[customer.email]["pipeline"] == ["default"]
        assert offered[customer.email]["dealstage"] == ["appointmentscheduled", "qualifiedtobuy"]
        assert offered[staff.email]["pipeline"] == ["default", other_pipeline]
        assert len(offered[staff.email]["dealstage"]) == 8


async def test_pipeline_and_stage_labels_are_cut_to_500_characters(
    customer: Caller, emulator: Emulator
) -> None:
    stage = {"id": "1", "label": "s" * 600, "displayOrder": -7, "metadata": {}}
    pipeline = {"id": "p", "label": "p" * 600, "displayOrder": 2**40, "stages": [stage]}
    emulator.fail_next("GET", "/crm/pipelines/*", status=200, body={"results": [pipeline]}, times=2)
    response = await customer.get("/api/pipelines")
    assert response.status_code == 200, response.text
    [pipeline_read] = response.json()["data"]["deals"]
    assert (pipeline_read["label"], pipeline_read["display_order"]) == ("p" * 500, 2**31 - 1)
    assert (pipeline_read["stages"][0]["label"], pipeline_read["stages"][0]["display_order"]) == (
        "s" * 500,
        -1,
    )
