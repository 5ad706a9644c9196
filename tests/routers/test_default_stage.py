"""Creates without a stage: the pipeline's first open stage that the caller may set."""

import pytest
from tests.support.callers import Caller, assert_problem
from tests.support.records import create_deal_as

from crm_api.settings import Settings

DEAL = {"dealname": "Fleet renewal"}
TICKET = {"subject": "Third van is late", "description": "It was due on Monday."}


async def test_create_without_stage_uses_first_open_stage(customer: Caller) -> None:
    for body in (DEAL, DEAL | {"pipeline": "default"}):
        deal = (await customer.post("/api/deals", body)).json()["data"]
        assert (deal["pipeline"], deal["dealstage"]) == ("default", "appointmentscheduled")
    ticket = (await customer.post(f"/api/tickets/{deal['id']}", TICKET)).json()["data"]
    assert (ticket["pipeline"], ticket["hs_pipeline_stage"]) == ("0", "1")
    response = await customer.post("/api/deals", DEAL | {"pipeline": "unknown"})
    assert_problem(response, 400, "validation_error", fields=["pipeline"])


class TestWithCustomerStages:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        # HubSpot's order decides, not the order of the setting.
        deals = {"default": ["contractsent", "closedwon", "qualifiedtobuy"]}
        stages = {"deals": deals, "tickets": {"0": ["4"]}}
        return settings.model_copy(update={"customer_stages": stages})

    async def test_default_stage_is_one_that_the_caller_may_set(
        self, customer: Caller, staff: Caller
    ) -> None:
        deal = (await customer.post("/api/deals", DEAL)).json()["data"]
        assert deal["dealstage"] == "qualifiedtobuy"
        body = DEAL | {"contact_id": customer.contact_id}
        assert (await staff.post("/api/deals", body)).json()["data"]["dealstage"] == "appointmentscheduled"

    async def test_stage_is_required_if_caller_may_set_no_open_stage(self, customer: Caller) -> None:
        deal_id = await create_deal_as(customer)
        response = await customer.post(f"/api/tickets/{deal_id}", TICKET)
        assert_problem(response, 400, "validation_error", fields=["hs_pipeline_stage"])
        response = await customer.post(f"/api/tickets/{deal_id}", TICKET | {"hs_pipeline_stage": "4"})
        assert response.status_code == 201
