"""`GET /api/properties`, and reading and writing the properties that an operator adds."""

from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from tests.support.builders import deal_body
from tests.support.callers import Caller, assert_problem
from tests.support.records import create_deal_as, list_all, search_all, seed_deals, writes

from crm_api.hubspot import PropertyOption
from crm_api.rate_limit import RateLimits
from crm_api.settings import Settings
from hubspot_emulator import Emulator


class TestListProperties:
    async def test_list_properties_without_token_returns_401(
        self, client: httpx.AsyncClient, emulator: Emulator
    ) -> None:
        assert_problem(await client.get("/api/properties/deals"), 401, "invalid_token")
        assert emulator.requests == []

    async def test_anonymous_list_has_what_a_registration_may_set(
        self, client: httpx.AsyncClient, customer: Caller
    ) -> None:
        response = await client.get("/api/properties/contacts")
        assert response.status_code == 200, response.text
        anonymous = response.json()["data"]["results"]
        assert [item["name"] for item in anonymous] == ["firstname", "lastname", "phone"]
        results = (await customer.get("/api/properties/contacts")).json()["data"]["results"]
        assert anonymous == [item for item in results if item["writable"]]

    @pytest.mark.parametrize("authorization", ["Bearer x", "Basic eDp4", "Bearer", ""])
    async def test_contact_properties_with_invalid_token_return_401(
        self, client: httpx.AsyncClient, emulator: Emulator, authorization: str
    ) -> None:
        headers = {"Authorization": authorization}
        response = await client.get("/api/properties/contacts", headers=headers)
        assert_problem(response, 401, "invalid_token")
        assert emulator.requests == []

    async def test_anonymous_property_lists_are_limited_per_network(
        self, client: httpx.AsyncClient, app: FastAPI
    ) -> None:
        settings = app.state.settings.model_copy(update={"rate_limit_user": "2 per 1 minute"})
        app.state.rate_limits = RateLimits(settings)
        statuses = [(await client.get("/api/properties/contacts")).status_code for _ in range(3)]
        assert statuses == [200, 200, 429]

    async def test_property_list_has_types_options_and_writability(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        response = await customer.get("/api/properties/tickets")
        assert response.status_code == 200, response.text
        listed = {item["name"]: item for item in response.json()["data"]["results"]}
        assert set(listed) == {
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
        assert (listed["subject"]["required"], listed["subject"]["writable"]) == (True, True)
        assert (listed["createdate"]["type"], listed["createdate"]["writable"]) == ("datetime", False)
        assert {"value": "1", "label": "New", "pipeline": "0"} in listed["hs_pipeline_stage"]["options"]
        assert [option["value"] for option in listed["pipeline"]["options"]] == ["0"]
        # `provision` adds the options of the other two categories.
        assert {option["value"] for option in listed["category"]["options"]} == {
            "general_inquiry",
            "technical_issue",
            "billing",
            "FEATURE_REQUEST",
        }
        emulator.clear_requests()
        await customer.get("/api/properties/tickets")
        assert emulator.requests == []

    async def test_listed_writability_of_properties_depends_on_role(
        self, customer: Caller, staff: Caller
    ) -> None:
        for caller, writable in ((customer, False), (staff, True)):
            results = (await caller.get("/api/properties/contacts")).json()["data"]["results"]
            listed = {item["name"]: item["writable"] for item in results}
            assert (listed["email"], listed["lifecyclestage"], listed["firstname"]) == (
                writable,
                writable,
                True,
            )

    async def test_list_properties_of_unknown_object_type_returns_400(self, customer: Caller) -> None:
        response = await customer.get("/api/properties/companies")
        assert_problem(response, 400, "validation_error", fields=["object_type"])


class TestAddedProperties:
    """Properties added with HUBSPOT_PROPERTIES."""

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

    async def test_added_properties_are_read_and_written_in_properties(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        created = await customer.post("/api/deals", deal_body(properties={"dealtype": "newbusiness"}))
        assert created.status_code == 201, created.text
        deal = created.json()["data"]
        assert deal["properties"] == {
            "dealtype": "newbusiness",
            "hs_next_step": None,
            "hs_is_closed": deal["properties"]["hs_is_closed"],
            "hs_manual_forecast_category": None,
        }
        path = f"/api/deals/{deal['id']}"
        changed = await customer.patch(path, {"properties": {"dealtype": None}})
        assert changed.json()["data"]["properties"]["dealtype"] is None
        assert emulator.requests[-1].body == {"properties": {"dealtype": ""}}

    async def test_invalid_option_of_added_property_is_not_written(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        deal_id = await create_deal_as(customer)
        emulator.clear_requests()
        response = await customer.patch(f"/api/deals/{deal_id}", {"properties": {"dealtype": "oldbusiness"}})
        assert_problem(response, 400, "validation_error", fields=["properties.dealtype"])
        assert writes(emulator) == []

    async def test_customer_writing_property_only_for_staff_gets_400(
        self, customer: Caller, staff: Caller
    ) -> None:
        deal_id = await create_deal_as(customer)
        body = {"properties": {"hs_next_step": "call"}}
        response = await customer.patch(f"/api/deals/{deal_id}", body)
        assert_problem(response, 400, "validation_error", fields=["properties.hs_next_step"])
        assert (await staff.patch(f"/api/deals/{deal_id}", body)).status_code == 200
        response = await staff.patch(f"/api/deals/{deal_id}", {"properties": {"hs_is_closed": "true"}})
        assert_problem(response, 400, "validation_error", fields=["properties.hs_is_closed"])

    @pytest.mark.parametrize("role", ["customer", "staff"])
    async def test_added_property_is_filterable_only_if_set_as_filterable(
        self, role: str, customer: Caller, staff: Caller
    ) -> None:
        caller = customer if role == "customer" else staff
        deal_id = await create_deal_as(customer, properties={"dealtype": "existingbusiness"})
        await create_deal_as(customer)
        filters = [{"property": "dealtype", "operator": "EQ", "value": "existingbusiness"}]
        listed = await search_all(caller, "/api/deals/search", filters=filters)
        assert [deal["id"] for deal in listed] == [deal_id]
        refused = [{"property": "hs_next_step", "operator": "HAS_PROPERTY"}]
        response = await caller.post("/api/deals/search", {"filters": refused})
        assert_problem(response, 400, "validation_error", fields=["filters.0.property"])

    async def test_property_list_has_added_properties_with_options(self, customer: Caller) -> None:
        results = (await customer.get("/api/properties/deals")).json()["data"]["results"]
        listed = {item["name"]: item for item in results}
        assert (listed["dealtype"]["nested"], listed["dealtype"]["type"]) == (True, "enumeration")
        assert {option["value"] for option in listed["dealtype"]["options"]} == {
            "newbusiness",
            "existingbusiness",
        }
        assert (listed["hs_is_closed"]["type"], listed["hs_is_closed"]["writable"]) == ("bool", False)


class TestEveryType:
    """Added properties of every type."""

    TYPES = (
        ("a_bool", "bool", "booleancheckbox", "true false"),
        ("a_date", "date", "date", ""),
        ("a_datetime", "datetime", "date", ""),
        ("a_number", "number", "number", ""),
        ("a_choice", "enumeration", "select", "A B"),
        ("some_choices", "enumeration", "checkbox", "X Y Z"),
        ("a_text", "string", "textarea", ""),
    )

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        names = [name for name, *_ in self.TYPES]
        added = {"deals": {"readable": names, "writable_by_customer": names, "filterable": names}}
        return Settings(**(settings.model_dump() | {"_env_file": None, "hubspot_properties": added}))

    @pytest.fixture(autouse=True)
    async def schema(self, app: FastAPI) -> None:
        for name, type_, field_type, options in self.TYPES:
            await app.state.hubspot.properties.create(
                "deals",
                name=name,
                label=name,
                group_name="dealinformation",
                type=type_,
                field_type=field_type,
                options=[PropertyOption(label=option, value=option) for option in options.split()],
            )

    async def test_added_properties_of_every_type_are_listed(self, customer: Caller) -> None:
        results = (await customer.get("/api/properties/deals")).json()["data"]["results"]
        listed = {item["name"]: item for item in results if item["nested"]}
        assert {
            name: (item["type"], " ".join(option["value"] for option in item["options"]))
            for name, item in listed.items()
        } == {name: (type_, options) for name, type_, _, options in self.TYPES}

    @pytest.mark.parametrize(
        ("name", "sent", "read"),
        [
            ("a_bool", "true", "true"),
            ("a_date", "2026-12-31", "2026-12-31"),
            ("a_datetime", "2026-12-31T10:00:00+02:00", "2026-12-31T08:00:00.000Z"),
            ("a_datetime", "2026-12-31", "2026-12-31T00:00:00.000Z"),
            ("a_number", "1e3", "1000"),
            ("a_number", "-007.50", "-7.50"),
            ("a_number", "+.5", "0.5"),
            ("a_choice", "A", "A"),
            ("some_choices", "Y;X", "Y;X"),
            # HubSpot itself would add the option to the current value.
            ("some_choices", ";Z", "Z"),
            ("a_text", "  as it is\n", "  as it is\n"),
        ],
    )
    async def test_equal_value_of_added_property_is_not_written_again(
        self, customer: Caller, emulator: Emulator, name: str, sent: str, read: str
    ) -> None:
        path = f"/api/deals/{await create_deal_as(customer, properties={'some_choices': 'X'})}"
        emulator.clear_requests()
        for _ in range(2):
            response = await customer.patch(path, {"properties": {name: sent}})
            assert response.json()["data"]["properties"][name] == read
        assert len(writes(emulator)) == 1
        assert (await customer.get(path)).json()["data"]["properties"][name] == read

    @pytest.mark.parametrize(
        ("name", "sent"),
        [
            ("a_bool", "TRUE"),
            ("a_bool", "1"),
            ("a_date", "2026-12-31T00:00:00Z"),
            ("a_date", "20261231"),
            ("a_date", "1767225600000"),
            ("a_datetime", "2026-12-31T10:00:00"),
            ("a_datetime", "1767225600000"),
            ("a_number", "٣"),
            ("a_number", "0x10"),
            ("a_number", "1_000"),
            ("a_number", "1e999"),
            ("a_choice", "a"),
            ("a_choice", "A;B"),
            ("some_choices", "X;Q"),
            ("some_choices", "x"),
            ("some_choices", ";"),
        ],
    )
    async def test_value_invalid_for_its_property_type_returns_400(
        self, customer: Caller, emulator: Emulator, name: str, sent: str
    ) -> None:
        path = f"/api/deals/{await create_deal_as(customer)}"
        response = await customer.patch(path, {"properties": {name: sent}})
        assert_problem(response, 400, "validation_error", fields=[f"properties.{name}"])

    @pytest.mark.parametrize("role", ["customer", "staff"])
    @pytest.mark.parametrize(
        ("name", "filters"),
        [
            ("a_bool", {"operator": "EQ", "value": True}),
            ("a_date", {"operator": "EQ", "value": "2026-12-31"}),
            ("a_date", {"operator": "BETWEEN", "value": "2026-12-31", "high_value": "2027-01-01"}),
            ("a_datetime", {"operator": "EQ", "value": "2026-12-31T11:00:00+01:00"}),
            ("a_number", {"operator": "IN", "values": [7.0, 8]}),
            ("a_choice", {"operator": "EQ", "value": "A"}),
            ("some_choices", {"operator": "EQ", "value": "X;Y"}),
            ("a_text", {"operator": "IN", "values": ["HELLO"]}),
        ],
    )
    async def test_added_properties_of_every_type_are_filtered_and_sorted(
        self,
        role: str,
        customer: Caller,
        staff: Caller,
        emulator: Emulator,
        name: str,
        filters: dict[str, Any],
    ) -> None:
        values = {
            "a_bool": "true",
            "a_date": "2026-12-31",
            "a_datetime": "2026-12-31T10:00:00Z",
            "a_number": "7.00",
            "a_choice": "A",
            "some_choices": "X;Y",
            "a_text": "Hello",
        }
        caller = customer if role == "customer" else staff
        matching_id, empty_id = (
            seed_deals(emulator, customer.contact_id, 1, **properties)[0] for properties in (values, {})
        )
        body = [{"property": name} | filters]
        assert [deal["id"] for deal in await search_all(caller, "/api/deals/search", filters=body)] == [
            matching_id
        ]
        in_order = await list_all(caller, "/api/deals", sort=f"-{name}")
        assert [deal["id"] for deal in in_order] == [matching_id, empty_id]

    async def test_400_names_all_properties_that_a_rule_requires(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        path = f"/api/deals/{await create_deal_as(customer)}"
        rules = {"amount": ["a_choice", "hubspot_owner_id"], "description": ["hubspot_owner_id"]}
        emulator.switches.conditional_properties = {"deals": rules}
        response = await customer.patch(path, {"amount": 5})
        assert_problem(response, 400, "validation_error", fields=["properties.a_choice", "body"])
        response = await customer.patch(path, {"description": "x"})
        assert_problem(response, 400, "validation_error", fields=["body"])


class TestRuleForStaffField:
    """A property that the HubSpot account requires and that only staff may write."""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        added = {"deals": {"readable": ["dealtype"], "writable_by_staff": ["dealtype"]}}
        return Settings(**(settings.model_dump() | {"_env_file": None, "hubspot_properties": added}))

    async def test_rule_for_staff_property_tells_customers_to_ask(
        self, customer: Caller, staff: Caller, emulator: Emulator
    ) -> None:
        path = f"/api/deals/{await create_deal_as(customer)}"
        emulator.switches.conditional_properties = {"deals": {"amount": ["dealtype"]}}
        response = await customer.patch(path, {"amount": 5})
        problem = assert_problem(response, 400, "validation_error", fields=["properties.dealtype"])
        assert "you cannot set it; ask the company" in problem["details"][0]["message"]
        assert problem["detail"] == "The company's rules for Deal type do not allow this; ask the company."
        response = await staff.patch(path, {"amount": 5})
        problem = assert_problem(response, 400, "validation_error", fields=["properties.dealtype"])
        assert problem["details"][0]["message"] == "(Deal type) is required by a rule of this account"
        assert problem["detail"] == "The company requires Deal type; send properties.dealtype."


@pytest.mark.parametrize(
    "lists",
    [
        {"readable": [f"property_{number}" for number in range(101)]},
        {"readable": [f"property_{number}_{'x' * 80}" for number in range(70)]},
        {"readable": ["hubspot_owner_id"], "writable_by_customer": ["hubspot_owner_id"]},
        {"readable": [], "writable_by_staff": ["dealtype"]},
        {"readable": [], "filterable": ["dealtype"]},
        {"readable": ["Dealtype"]},
        {"writeable": ["dealtype"]},
    ],
)
def test_invalid_hubspot_properties_setting_raises_error(lists: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="hubspot_properties"):
        Settings(_env_file=None, environment="development", hubspot_properties={"deals": lists})
