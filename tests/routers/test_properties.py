"""The properties that callers read and write, over HTTP, and those that an operator adds."""

from typing import Any

import httpx
import pytest
from tests.support.builders import a_deal
from tests.support.callers import Caller, assert_problem
from tests.support.records import a_deal_of, all_found, writes

from crm_api.hubspot_emulator import Emulator
from crm_api.settings import Settings


class TestListProperties:
    async def test_anonymous(self, client: httpx.AsyncClient, emulator: Emulator) -> None:
        assert_problem(await client.get("/api/properties/deals"), 401, "invalid_token")
        assert emulator.requests == []

    async def test_a_front_end_can_draw_a_form(self, customer: Caller, emulator: Emulator) -> None:
        answer = await customer.get("/api/properties/tickets")
        assert answer.status_code == 200, answer.text
        found = {each["name"]: each for each in answer.json()["data"]["results"]}
        assert set(found) == {
            "hs_object_id",
            "subject",
            "description",
            "category",
            "pipeline",
            "hs_pipeline_stage",
            "hs_ticket_priority",
            "createdate",
            "hs_lastmodifieddate",
        }
        assert (found["subject"]["required"], found["subject"]["writable"]) == (True, True)
        assert (found["createdate"]["type"], found["createdate"]["writable"]) == ("datetime", False)
        assert {"value": "1", "label": "New"} in found["hs_pipeline_stage"]["options"]
        assert [option["value"] for option in found["pipeline"]["options"]] == ["0"]
        # The account has no option yet for the two that `provision` adds.
        assert {option["value"] for option in found["category"]["options"]} == {
            "general_inquiry",
            "technical_issue",
            "billing",
        }
        emulator.clear_requests()
        await customer.get("/api/properties/tickets")
        assert emulator.requests == []

    async def test_what_is_writable_is_the_roles(self, customer: Caller, staff: Caller) -> None:
        for caller, writable in ((customer, False), (staff, True)):
            results = (await caller.get("/api/properties/contacts")).json()["data"]["results"]
            found = {each["name"]: each["writable"] for each in results}
            assert (found["email"], found["lifecyclestage"], found["firstname"]) == (writable, writable, True)

    async def test_an_unknown_type_is_named(self, customer: Caller) -> None:
        answer = await customer.get("/api/properties/companies")
        assert_problem(answer, 400, "validation_error", fields=["object_type"])


class TestAddedProperties:
    """HUBSPOT_PROPERTIES adds to the lists."""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        added = {
            "deals": {
                "readable": ["dealtype", "hs_next_step", "hs_is_closed", "hs_manual_forecast_category"],
                "writable_by_customer": ["dealtype"],
                "writable_by_staff": ["dealtype", "hs_next_step"],
                "filterable": ["dealtype"],
            }
        }
        return Settings(**(settings.model_dump() | {"_env_file": None, "hubspot_properties": added}))

    async def test_they_travel_under_properties_in_and_out(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        created = await customer.post("/api/deals", a_deal(properties={"dealtype": "newbusiness"}))
        assert created.status_code == 201, created.text
        deal = created.json()["data"]["deal"]
        assert deal["properties"] == {
            "dealtype": "newbusiness",
            "hs_next_step": None,
            "hs_is_closed": deal["properties"]["hs_is_closed"],
            "hs_manual_forecast_category": None,
        }
        path = f"/api/deals/{deal['id']}"
        changed = await customer.patch(path, {"properties": {"dealtype": None}})
        assert changed.json()["data"]["deal"]["properties"]["dealtype"] is None
        assert emulator.requests[-1].body == {"properties": {"dealtype": ""}}

    async def test_values_are_checked_before_a_call_is_spent(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        deal_id = await a_deal_of(customer)
        emulator.clear_requests()
        answer = await customer.patch(f"/api/deals/{deal_id}", {"properties": {"dealtype": "oldbusiness"}})
        assert_problem(answer, 400, "validation_error", fields=["properties.dealtype"])
        assert writes(emulator) == []

    async def test_each_role_writes_its_own(self, customer: Caller, staff: Caller) -> None:
        deal_id = await a_deal_of(customer)
        body = {"properties": {"hs_next_step": "call"}}
        answer = await customer.patch(f"/api/deals/{deal_id}", body)
        assert_problem(answer, 400, "validation_error", fields=["properties.hs_next_step"])
        assert (await staff.patch(f"/api/deals/{deal_id}", body)).status_code == 200
        answer = await staff.patch(f"/api/deals/{deal_id}", {"properties": {"hs_is_closed": "true"}})
        assert_problem(answer, 400, "validation_error", fields=["properties.hs_is_closed"])

    @pytest.mark.parametrize("who", ["customer", "staff"])
    async def test_they_are_filterable_where_listed(self, who: str, customer: Caller, staff: Caller) -> None:
        caller = customer if who == "customer" else staff
        deal_id = await a_deal_of(customer, properties={"dealtype": "existingbusiness"})
        await a_deal_of(customer)
        filters = [{"property": "dealtype", "operator": "EQ", "value": "existingbusiness"}]
        found = await all_found(caller, "/api/deals/search", filters=filters)
        assert [each["id"] for each in found] == [deal_id]
        refused = [{"property": "hs_next_step", "operator": "HAS_PROPERTY"}]
        answer = await caller.post("/api/deals/search", {"filters": refused})
        assert_problem(answer, 400, "validation_error", fields=["filters.0.property"])

    async def test_they_are_listed_with_the_accounts_labels(self, customer: Caller) -> None:
        results = (await customer.get("/api/properties/deals")).json()["data"]["results"]
        found = {each["name"]: each for each in results}
        assert (found["dealtype"]["nested"], found["dealtype"]["type"]) == (True, "enumeration")
        assert {option["value"] for option in found["dealtype"]["options"]} == {
            "newbusiness",
            "existingbusiness",
        }
        assert (found["hs_is_closed"]["type"], found["hs_is_closed"]["writable"]) == ("bool", False)


@pytest.mark.parametrize(
    "lists",
    [
        {"readable": ["hubspot_owner_id"], "writable_by_customer": ["hubspot_owner_id"]},
        {"readable": [], "writable_by_staff": ["dealtype"]},
        {"readable": [], "filterable": ["dealtype"]},
        {"readable": ["Deal Type"]},
        {"writeable": ["dealtype"]},
    ],
)
def test_lists_that_cannot_be_meant_are_refused(lists: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="hubspot_properties"):
        Settings(_env_file=None, environment="development", hubspot_properties={"deals": lists})
