"""The properties that callers read and write, over HTTP, and those that an operator adds."""

from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from tests.support.builders import deal_body
from tests.support.callers import Caller, assert_problem
from tests.support.records import create_deal_as, list_all, search_all, seed_deals, writes

from crm_api.hubspot import PropertyOption
from crm_api.settings import Settings
from hubspot_emulator import Emulator


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
        created = await customer.post("/api/deals", deal_body(properties={"dealtype": "newbusiness"}))
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
        deal_id = await create_deal_as(customer)
        emulator.clear_requests()
        answer = await customer.patch(f"/api/deals/{deal_id}", {"properties": {"dealtype": "oldbusiness"}})
        assert_problem(answer, 400, "validation_error", fields=["properties.dealtype"])
        assert writes(emulator) == []

    async def test_each_role_writes_its_own(self, customer: Caller, staff: Caller) -> None:
        deal_id = await create_deal_as(customer)
        body = {"properties": {"hs_next_step": "call"}}
        answer = await customer.patch(f"/api/deals/{deal_id}", body)
        assert_problem(answer, 400, "validation_error", fields=["properties.hs_next_step"])
        assert (await staff.patch(f"/api/deals/{deal_id}", body)).status_code == 200
        answer = await staff.patch(f"/api/deals/{deal_id}", {"properties": {"hs_is_closed": "true"}})
        assert_problem(answer, 400, "validation_error", fields=["properties.hs_is_closed"])

    @pytest.mark.parametrize("who", ["customer", "staff"])
    async def test_they_are_filterable_where_listed(self, who: str, customer: Caller, staff: Caller) -> None:
        caller = customer if who == "customer" else staff
        deal_id = await create_deal_as(customer, properties={"dealtype": "existingbusiness"})
        await create_deal_as(customer)
        filters = [{"property": "dealtype", "operator": "EQ", "value": "existingbusiness"}]
        found = await search_all(caller, "/api/deals/search", filters=filters)
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


class TestEveryType:
    """A property of each type that an operator can add."""

    TYPES = (
        ("a_bool", "bool", "booleancheckbox", "true false"),
        ("a_date", "date", "date", ""),
        ("a_moment", "datetime", "date", ""),
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
        for name, kind, field_type, options in self.TYPES:
            await app.state.hubspot.properties.create(
                "deals",
                name=name,
                label=name,
                group_name="dealinformation",
                type=kind,
                field_type=field_type,
                options=[PropertyOption(label=each, value=each) for each in options.split()],
            )

    async def test_each_is_listed_with_its_type_and_options(self, customer: Caller) -> None:
        results = (await customer.get("/api/properties/deals")).json()["data"]["results"]
        listed = {each["name"]: each for each in results if each["nested"]}
        assert {
            name: (each["type"], " ".join(option["value"] for option in each["options"]))
            for name, each in listed.items()
        } == {name: (kind, options) for name, kind, _, options in self.TYPES}

    @pytest.mark.parametrize(
        ("name", "sent", "read"),
        [
            ("a_bool", "true", "true"),
            ("a_date", "2026-12-31", "2026-12-31"),
            ("a_moment", "2026-12-31T10:00:00+02:00", "2026-12-31T08:00:00.000Z"),
            ("a_moment", "2026-12-31", "2026-12-31T00:00:00.000Z"),
            ("a_number", "1e3", "1000"),
            ("a_number", "-007.50", "-7.50"),
            ("a_number", "+.5", "0.5"),
            ("a_choice", "A", "A"),
            ("some_choices", "Y;X", "Y;X"),
            # HubSpot would add to what is there.
            ("some_choices", ";Z", "Z"),
            ("a_text", "  as it is\n", "  as it is\n"),
        ],
    )
    async def test_a_value_is_read_back_and_sent_once(
        self, customer: Caller, emulator: Emulator, name: str, sent: str, read: str
    ) -> None:
        path = f"/api/deals/{await create_deal_as(customer, properties={'some_choices': 'X'})}"
        emulator.clear_requests()
        for _ in range(2):
            answer = await customer.patch(path, {"properties": {name: sent}})
            assert answer.json()["data"]["deal"]["properties"][name] == read
        assert len(writes(emulator)) == 1
        assert (await customer.get(path)).json()["data"]["deal"]["properties"][name] == read

    @pytest.mark.parametrize(
        ("name", "sent"),
        [
            ("a_bool", "TRUE"),
            ("a_bool", "1"),
            ("a_date", "2026-12-31T00:00:00Z"),
            ("a_date", "20261231"),
            ("a_date", "1767225600000"),
            ("a_moment", "2026-12-31T10:00:00"),
            ("a_moment", "1767225600000"),
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
    async def test_what_is_no_value_of_its_type_is_named(
        self, customer: Caller, emulator: Emulator, name: str, sent: str
    ) -> None:
        path = f"/api/deals/{await create_deal_as(customer)}"
        answer = await customer.patch(path, {"properties": {name: sent}})
        assert_problem(answer, 400, "validation_error", fields=[f"properties.{name}"])

    @pytest.mark.parametrize("who", ["customer", "staff"])
    @pytest.mark.parametrize(
        ("name", "filters"),
        [
            ("a_bool", {"operator": "EQ", "value": True}),
            ("a_date", {"operator": "EQ", "value": "2026-12-31"}),
            ("a_date", {"operator": "BETWEEN", "value": "2026-12-31", "high_value": "2027-01-01"}),
            ("a_moment", {"operator": "EQ", "value": "2026-12-31T11:00:00+01:00"}),
            ("a_number", {"operator": "IN", "values": [7.0, 8]}),
            ("a_choice", {"operator": "EQ", "value": "A"}),
            ("some_choices", {"operator": "EQ", "value": "X;Y"}),
            ("a_text", {"operator": "IN", "values": ["HELLO"]}),
        ],
    )
    async def test_each_is_filtered_and_sorted_by_in_its_own_way(
        self,
        who: str,
        customer: Caller,
        staff: Caller,
        emulator: Emulator,
        name: str,
        filters: dict[str, Any],
    ) -> None:
        values = {
            "a_bool": "true",
            "a_date": "2026-12-31",
            "a_moment": "2026-12-31T10:00:00Z",
            "a_number": "7.00",
            "a_choice": "A",
            "some_choices": "X;Y",
            "a_text": "Hello",
        }
        caller = customer if who == "customer" else staff
        wanted, empty = (
            seed_deals(emulator, customer.contact_id, 1, **properties)[0] for properties in (values, {})
        )
        body = [{"property": name} | filters]
        assert [each["id"] for each in await search_all(caller, "/api/deals/search", filters=body)] == [
            wanted
        ]
        by_it = await list_all(caller, "/api/deals", sort=f"-{name}")
        assert [each["id"] for each in by_it] == [wanted, empty]

    async def test_a_rule_of_the_account_comes_back_on_our_name_or_is_the_operators(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        path = f"/api/deals/{await create_deal_as(customer)}"
        rules = {"amount": ["a_choice", "hubspot_owner_id"], "description": ["hubspot_owner_id"]}
        emulator.switches.conditional_properties = {"deals": rules}
        answer = await customer.patch(path, {"amount": 5})
        assert_problem(answer, 400, "validation_error", fields=["properties.a_choice"])
        assert_problem(await customer.patch(path, {"description": "x"}), 502, "hubspot_error")


class TestRulesForStaffAlone:
    """A property that the account requires and only staff may write."""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        added = {"deals": {"readable": ["dealtype"], "writable_by_staff": ["dealtype"]}}
        return Settings(**(settings.model_dump() | {"_env_file": None, "hubspot_properties": added}))

    async def test_a_customer_is_not_asked_for_what_they_may_not_write(
        self, customer: Caller, staff: Caller, emulator: Emulator
    ) -> None:
        path = f"/api/deals/{await create_deal_as(customer)}"
        emulator.switches.conditional_properties = {"deals": {"amount": ["dealtype"]}}
        assert_problem(await customer.patch(path, {"amount": 5}), 502, "hubspot_error")
        answer = await staff.patch(path, {"amount": 5})
        assert_problem(answer, 400, "validation_error", fields=["properties.dealtype"])


@pytest.mark.parametrize(
    "lists",
    [
        {"readable": [f"property_{number}" for number in range(101)]},
        {"readable": [f"property_{number}_{'x' * 80}" for number in range(70)]},
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
