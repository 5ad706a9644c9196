"""Routes for tickets."""

from typing import Any

import httpx
import pytest
from tests.support.builders import ticket_body
from tests.support.callers import Caller, assert_problem, assert_same_not_found
from tests.support.records import (
    calls,
    create_deal_as,
    create_ticket_as,
    list_all,
    search_all,
    seed_tickets,
    writes,
)

from crm_api.settings import Settings
from hubspot_emulator import Emulator


class TestCreateTicket:
    async def test_create_ticket_without_token_returns_401(
        self, client: httpx.AsyncClient, emulator: Emulator
    ) -> None:
        assert_problem(await client.post("/api/tickets/1", json=ticket_body()), 401, "invalid_token")
        assert emulator.requests == []

    async def test_create_ticket_on_another_customers_deal_returns_404(
        self, customer: Caller, other_customer: Caller, emulator: Emulator
    ) -> None:
        deal_id = await create_deal_as(customer)
        foreign_id = await other_customer.post(f"/api/tickets/{deal_id}", ticket_body())
        missing_response = await other_customer.post("/api/tickets/99999999", ticket_body())
        foreign, missing = (
            assert_problem(foreign_id, 404, "not_found"),
            assert_problem(missing_response, 404, "not_found"),
        )
        del foreign["request_id"], missing["request_id"]
        assert foreign == missing
        assert emulator.records("tickets") == []

    async def test_new_ticket_is_associated_with_deal_and_contact(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        deal_id = await create_deal_as(customer)
        response = await customer.post(
            f"/api/tickets/{deal_id}", ticket_body(category="technical_issue", hs_ticket_priority="HIGH")
        )
        assert response.status_code == 201, response.text
        assert response.json()["message"] == "Ticket created successfully"
        ticket = response.json()["data"]
        assert set(ticket) == {
            "contact_ids",
            "deal_ids",
            "id",
            "hs_object_id",
            "subject",
            "description",
            "category",
            "pipeline",
            "hs_pipeline_stage",
            "hs_ticket_priority",
            "createdate",
            "hs_lastmodifieddate",
            "properties",
        }
        assert (ticket["subject"], ticket["description"], ticket["category"], ticket["pipeline"]) == (
            "Third van is late",
            "It was due on Monday.",
            "technical_issue",
            "0",
        )
        [record] = emulator.records("tickets")
        assert record.properties["hs_ticket_category"] == "PRODUCT_ISSUE"
        assert emulator.associations("tickets", record.id, "deals") == [deal_id]
        assert emulator.associations("tickets", record.id, "contacts") == [customer.contact_id]

    async def test_ticket_created_by_staff_is_associated_with_deal_contact(
        self, customer: Caller, staff: Caller, emulator: Emulator
    ) -> None:
        deal_id = await create_deal_as(customer)
        response = await staff.post(f"/api/tickets/{deal_id}", ticket_body())
        assert response.status_code == 201
        ticket_id = response.json()["data"]["id"]
        assert emulator.associations("tickets", ticket_id, "contacts") == [customer.contact_id]

    async def test_create_ticket_on_unknown_deal_as_staff_returns_404(
        self, staff: Caller, emulator: Emulator
    ) -> None:
        assert_problem(await staff.post("/api/tickets/99999999", ticket_body()), 404, "not_found")
        assert emulator.records("tickets") == []

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"subject": ""}, "subject"),
            ({"subject": "x" * 501}, "subject"),
            ({"description": ""}, "description"),
            ({"description": "x" * 65_537}, "description"),
            ({"hs_pipeline_stage": "nowhere"}, "hs_pipeline_stage"),
            ({"hs_pipeline_stage": 1}, "hs_pipeline_stage"),
            ({"pipeline": "nowhere"}, "pipeline"),
            ({"category": "anything"}, "category"),
            ({"category": None}, "category"),
            ({"hs_ticket_priority": "high"}, "hs_ticket_priority"),
            ({"hubspot_owner_id": "1"}, "hubspot_owner_id"),
        ],
    )
    async def test_400_names_invalid_field_and_no_ticket_is_created(
        self, customer: Caller, emulator: Emulator, change: dict[str, Any], field: str
    ) -> None:
        deal_id = await create_deal_as(customer)
        response = await customer.post(f"/api/tickets/{deal_id}", ticket_body(**change))
        assert_problem(response, 400, "validation_error", fields=[field])
        assert emulator.records("tickets") == []

    @pytest.mark.parametrize("deal_id", ["abc", "1.5", "-1", "1" * 21, "1%00"])
    async def test_create_ticket_with_malformed_deal_id_returns_400(
        self, customer: Caller, deal_id: str
    ) -> None:
        response = await customer.post(f"/api/tickets/{deal_id}", ticket_body())
        assert_problem(response, 400, "validation_error", fields=["id"])

    async def test_create_ticket_on_archived_deal_returns_404(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        deal_id = await create_deal_as(customer)
        emulator.archive_as_other_actor("deals", deal_id)
        assert_problem(await customer.post(f"/api/tickets/{deal_id}", ticket_body()), 404, "not_found")
        assert emulator.records("tickets") == []


class TestListTickets:
    async def test_list_tickets_without_token_returns_401(
        self, client: httpx.AsyncClient, emulator: Emulator
    ) -> None:
        assert_problem(await client.get("/api/tickets"), 401, "invalid_token")
        assert emulator.requests == []

    async def test_ticket_list_has_tickets_of_own_contact_and_own_deals(
        self, customer: Caller, other_customer: Caller, emulator: Emulator
    ) -> None:
        deal_id = await create_deal_as(customer)
        both = await create_ticket_as(customer, deal_id)
        [on_deal] = seed_tickets(emulator, 1, to=[("deals", deal_id)])
        [direct] = seed_tickets(emulator, 1, to=[("contacts", customer.contact_id)])
        await create_ticket_as(other_customer, await create_deal_as(other_customer))
        emulator.clear_requests()
        results = await list_all(customer, "/api/tickets")
        assert [record["id"] for record in results] == sorted((both, on_deal, direct), key=int)
        assert len(calls(emulator)) == 3
        assert len(await list_all(other_customer, "/api/tickets")) == 1

    @pytest.mark.parametrize("role", ["customer", "staff"])
    async def test_ticket_list_is_filtered_and_sorted(
        self, role: str, customer: Caller, staff: Caller, emulator: Emulator
    ) -> None:
        caller = customer if role == "customer" else staff
        target = [("contacts", customer.contact_id)]
        closed = seed_tickets(emulator, 7, to=target, hs_pipeline_stage="4", hs_ticket_priority="HIGH")
        seed_tickets(emulator, 7, to=target)
        results = await list_all(caller, "/api/tickets", limit=3, hs_pipeline_stage="4", pipeline="0")
        assert [record["id"] for record in results] == closed
        sorted_tickets = await list_all(caller, "/api/tickets", limit=5, sort="hs_ticket_priority")
        assert [record["id"] for record in sorted_tickets][:7] == closed
        assert len({record["id"] for record in sorted_tickets}) == 14


class TestGetTicket:
    async def test_get_ticket_without_token_returns_401(
        self, client: httpx.AsyncClient, emulator: Emulator
    ) -> None:
        assert_problem(await client.get("/api/tickets/1"), 401, "invalid_token")
        assert emulator.requests == []

    async def test_get_ticket_of_another_customer_returns_404(
        self, customer: Caller, other_customer: Caller
    ) -> None:
        ticket_id = await create_ticket_as(customer, await create_deal_as(customer))
        assert_same_not_found(
            await other_customer.get(f"/api/tickets/{ticket_id}"),
            await other_customer.get("/api/tickets/99999999"),
        )

    async def test_customer_can_read_ticket_of_own_contact_or_own_deal(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        deal_id = await create_deal_as(customer)
        ticket_id = await create_ticket_as(customer, deal_id, category="billing")
        [on_deal] = seed_tickets(emulator, 1, to=[("deals", deal_id)])
        emulator.clear_requests()
        response = await customer.get(f"/api/tickets/{ticket_id}")
        assert response.json()["message"] == "Ticket retrieved successfully"
        assert response.json()["data"]["category"] == "billing"
        assert calls(emulator) == [f"GET objects/tickets/{ticket_id}"]
        assert (await customer.get(f"/api/tickets/{on_deal}")).status_code == 200

    async def test_staff_can_read_the_ticket_of_a_customer(self, customer: Caller, staff: Caller) -> None:
        ticket_id = await create_ticket_as(customer, await create_deal_as(customer))
        assert (await staff.get(f"/api/tickets/{ticket_id}")).status_code == 200
        assert_problem(await staff.get("/api/tickets/99999999"), 404, "not_found")


class TestUpdateTicket:
    async def test_update_ticket_without_token_returns_401(
        self, client: httpx.AsyncClient, emulator: Emulator
    ) -> None:
        assert_problem(await client.patch("/api/tickets/1", json={}), 401, "invalid_token")
        assert emulator.requests == []

    async def test_update_ticket_of_another_customer_returns_404(
        self, customer: Caller, other_customer: Caller, emulator: Emulator
    ) -> None:
        ticket_id = await create_ticket_as(customer, await create_deal_as(customer))
        emulator.clear_requests()
        assert_same_not_found(
            await other_customer.patch(f"/api/tickets/{ticket_id}", {"subject": "mine"}),
            await other_customer.patch("/api/tickets/99999999", {"subject": "mine"}),
        )
        assert writes(emulator) == []

    async def test_customer_can_update_own_ticket(self, customer: Caller, emulator: Emulator) -> None:
        ticket_id = await create_ticket_as(
            customer, await create_deal_as(customer), hs_ticket_priority="HIGH"
        )
        changes = {"description": "It came.", "category": "technical_issue", "hs_ticket_priority": None}
        response = await customer.patch(f"/api/tickets/{ticket_id}", changes | {"hs_pipeline_stage": "4"})
        assert response.status_code == 200, response.text
        ticket = response.json()["data"]
        assert (ticket["description"], ticket["category"], ticket["hs_ticket_priority"]) == (
            "It came.",
            "technical_issue",
            None,
        )
        assert emulator.requests[-1].body == {
            "properties": {
                "content": "It came.",
                "hs_ticket_category": "PRODUCT_ISSUE",
                "hs_ticket_priority": "",
                "hs_pipeline_stage": "4",
            }
        }

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"subject": None}, "subject"),
            ({"description": None}, "description"),
            ({"hs_pipeline_stage": None}, "hs_pipeline_stage"),
            ({"hs_pipeline_stage": "nowhere"}, "hs_pipeline_stage"),
            ({"category": "Billing"}, "category"),
            ({"hs_ticket_priority": "low"}, "hs_ticket_priority"),
            ({"description": " \n "}, "description"),
            ({"content": "x"}, "content"),
            ({"hubspot_owner_id": "1"}, "hubspot_owner_id"),
        ],
    )
    async def test_400_names_invalid_field_of_ticket_update_without_write(
        self, customer: Caller, emulator: Emulator, body: dict[str, Any], field: str
    ) -> None:
        ticket_id = await create_ticket_as(customer, await create_deal_as(customer))
        emulator.clear_requests()
        response = await customer.patch(f"/api/tickets/{ticket_id}", body)
        assert_problem(response, 400, "validation_error", fields=[field])
        assert writes(emulator) == []

    async def test_staff_can_update_the_ticket_of_a_customer(
        self, customer: Caller, staff: Caller, emulator: Emulator
    ) -> None:
        ticket_id = await create_ticket_as(customer, await create_deal_as(customer), category="billing")
        emulator.clear_requests()
        body = {"category": None, "hs_pipeline_stage": "4", "subject": "Third van is late"}
        response = await staff.patch(f"/api/tickets/{ticket_id}", body)
        ticket = response.json()["data"]
        assert (ticket["category"], ticket["hs_pipeline_stage"]) == (None, "4")
        # The subject is unchanged, so it is not sent.
        sent = {"properties": {"hs_ticket_category": "", "hs_pipeline_stage": "4"}}
        assert emulator.requests[-1].body == sent

    async def test_ticket_update_or_archive_with_outdated_etag_returns_412(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        path = f"/api/tickets/{await create_ticket_as(customer, await create_deal_as(customer))}"
        etag = {"If-Match": (await customer.get(path)).headers["etag"]}
        first = await customer.patch(path, {"subject": "One"}, headers=etag)
        assert first.status_code == 200
        emulator.clear_requests()
        late = await customer.patch(path, {"subject": "Two"}, headers=etag)
        assert_problem(late, 412, "precondition_failed")
        assert_problem(await customer.delete(path, headers=etag), 412, "precondition_failed")
        assert writes(emulator) == []
        current = {"If-Match": first.headers["etag"]}
        assert (await customer.delete(path, headers=current)).status_code == 204

    async def test_ticket_update_to_category_not_in_hubspot_returns_400(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        ticket_id = await create_ticket_as(customer, await create_deal_as(customer))
        emulator.clear_requests()
        response = await customer.patch(f"/api/tickets/{ticket_id}", {"category": "meeting"})
        assert_problem(response, 400, "validation_error", fields=["category"])
        assert writes(emulator) == []


class TestRequiredProperties:
    """Since version 2026-09 HubSpot enforces properties that an administrator has made required."""

    async def test_400_names_missing_ticket_field_required_by_hubspot(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        deal_id = await create_deal_as(customer)
        emulator.switches.required_properties = {"tickets": ["hs_ticket_category", "hs_ticket_priority"]}
        response = await customer.post(f"/api/tickets/{deal_id}", ticket_body(hs_ticket_priority="LOW"))
        problem = assert_problem(response, 400, "validation_error", fields=["category"])
        assert problem["details"][0]["message"] == "(Category) is required by this account"
        assert emulator.records("tickets") == []

    async def test_400_tells_to_ask_for_property_that_nobody_can_set(
        self, customer: Caller, emulator: Emulator, caplog: pytest.LogCaptureFixture
    ) -> None:
        deal_id = await create_deal_as(customer)
        emulator.switches.required_properties = {"tickets": ["source_type"]}
        response = await customer.post(f"/api/tickets/{deal_id}", ticket_body())
        problem = assert_problem(response, 400, "validation_error", fields=["body"])
        assert problem["details"][0]["message"] == (
            "lacks Source type: the company requires it, and you cannot set it; ask the company"
        )
        assert "source_type" not in response.text
        # The operator finds the property in the log.
        assert "HubSpot refuses source_type: MISSING_REQUIRED_PROPERTY" in caplog.text


class TestArchiveTicket:
    async def test_archive_ticket_without_token_returns_401(
        self, client: httpx.AsyncClient, emulator: Emulator
    ) -> None:
        assert_problem(await client.delete("/api/tickets/1"), 401, "invalid_token")
        assert emulator.requests == []

    async def test_archive_ticket_of_another_customer_returns_404(
        self, customer: Caller, other_customer: Caller, emulator: Emulator
    ) -> None:
        ticket_id = await create_ticket_as(customer, await create_deal_as(customer))
        emulator.clear_requests()
        assert_same_not_found(
            await other_customer.delete(f"/api/tickets/{ticket_id}"),
            await other_customer.delete("/api/tickets/99999999"),
        )
        assert writes(emulator) == []

    async def test_get_of_archived_ticket_returns_404_at_once(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        ticket_id = await create_ticket_as(customer, await create_deal_as(customer))
        assert (await customer.delete(f"/api/tickets/{ticket_id}")).status_code == 204
        assert emulator.records("tickets") == []
        assert_problem(await customer.get(f"/api/tickets/{ticket_id}"), 404, "not_found")

    async def test_staff_can_archive_the_ticket_of_a_customer(
        self, customer: Caller, staff: Caller, emulator: Emulator
    ) -> None:
        ticket_id = await create_ticket_as(customer, await create_deal_as(customer))
        assert (await staff.delete(f"/api/tickets/{ticket_id}")).status_code == 204
        assert emulator.records("tickets") == []


class TestCategories:
    """Ticket categories without a word of the API, and tickets with several categories."""

    async def test_each_ticket_category_is_returned_as_its_word(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        deal_id = await create_deal_as(customer)
        for wire_value, category in (
            ("PRODUCT_ISSUE", "technical_issue"),
            ("FEATURE_REQUEST", "FEATURE_REQUEST"),
            ("PRODUCT_ISSUE;FEATURE_REQUEST", "technical_issue;FEATURE_REQUEST"),
        ):
            [created_id] = seed_tickets(emulator, 1, to=[("deals", deal_id)], hs_ticket_category=wire_value)
            assert (await customer.get(f"/api/tickets/{created_id}")).json()["data"]["category"] == category

    async def test_category_filter_matches_one_of_a_tickets_categories(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        deal_id = await create_deal_as(customer)
        several = {"hs_ticket_category": "PRODUCT_ISSUE;BILLING_ISSUE"}
        [both] = seed_tickets(emulator, 1, to=[("deals", deal_id)], **several)
        [missing] = seed_tickets(emulator, 1, to=[("deals", deal_id)], hs_ticket_category="FEATURE_REQUEST")
        for filters, results in (
            ({"operator": "EQ", "value": "billing"}, [both]),
            ({"operator": "IN", "values": ["billing", "FEATURE_REQUEST"]}, [both, missing]),
            ({"operator": "NEQ", "value": "technical_issue"}, [missing]),
            ({"operator": "EQ", "value": "Billing"}, []),
        ):
            body = [{"property": "category"} | filters]
            tickets = await search_all(customer, "/api/tickets/search", filters=body)
            assert [record["id"] for record in tickets] == results


class TestConfiguredCategories:
    """The setting HUBSPOT_TICKET_CATEGORIES maps categories to options of the HubSpot account."""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"hubspot_ticket_categories": {"meeting": "FEATURE_REQUEST"}})

    async def test_configured_category_works_in_create_read_and_search(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        deal_id = await create_deal_as(customer)
        ticket_id = await create_ticket_as(customer, deal_id, category="meeting")
        [record] = emulator.records("tickets")
        assert record.properties["hs_ticket_category"] == "FEATURE_REQUEST"
        assert (await customer.get(f"/api/tickets/{ticket_id}")).json()["data"]["category"] == "meeting"
        filters = [{"property": "category", "operator": "EQ", "value": "meeting"}]
        results = await search_all(customer, "/api/tickets/search", filters=filters)
        assert [record["id"] for record in results] == [ticket_id]
        properties = (await customer.get("/api/properties/tickets")).json()["data"]["results"]
        [category] = [record for record in properties if record["name"] == "category"]
        assert "meeting" in [option["value"] for option in category["options"]]


@pytest.mark.parametrize("categories", [{"meetings": "MEETING"}, {"meeting": ""}])
def test_invalid_ticket_category_setting_raises_error(categories: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="hubspot_ticket_categories"):
        Settings(_env_file=None, environment="development", hubspot_ticket_categories=categories)


class TestSearchTickets:
    async def test_search_tickets_without_token_returns_401(
        self, client: httpx.AsyncClient, emulator: Emulator
    ) -> None:
        assert_problem(await client.post("/api/tickets/search", json={}), 401, "invalid_token")
        assert emulator.requests == []

    async def test_staff_search_shows_own_ticket_writes_not_yet_in_index(
        self, customer: Caller, staff: Caller, emulator: Emulator
    ) -> None:
        deal_id = await create_deal_as(customer)
        old = seed_tickets(emulator, 3, to=[("deals", deal_id)], content="of the van")
        emulator.switches.search_lag_seconds = 30.0
        created_id = await create_ticket_as(staff, deal_id, description="another van")
        assert (await staff.patch(f"/api/tickets/{old[0]}", {"subject": "Renamed"})).status_code == 200
        assert (await staff.delete(f"/api/tickets/{old[1]}")).status_code == 204
        for limit in (1, 2, 20):
            results = await search_all(staff, "/api/tickets/search", query="van", limit=limit)
            assert [record["id"] for record in results] == [old[0], old[2], created_id]
            assert results[0]["subject"] == "Renamed"
        everywhere = (await staff.get("/api/search", params={"q": "van"})).json()["data"]
        assert [record["id"] for record in everywhere["tickets"]] == [old[0], old[2], created_id]

    @pytest.mark.parametrize("role", ["customer", "staff"])
    async def test_ticket_search_filters_by_api_name_of_category(
        self, role: str, customer: Caller, other_customer: Caller, staff: Caller, emulator: Emulator
    ) -> None:
        caller = customer if role == "customer" else staff
        deal_id = await create_deal_as(customer)
        expected = await create_ticket_as(customer, deal_id, category="billing")
        await create_ticket_as(customer, deal_id, category="technical_issue")
        filters = [{"property": "category", "operator": "EQ", "value": "billing"}]
        results = await search_all(caller, "/api/tickets/search", filters=filters)
        assert [record["id"] for record in results] == [expected]
        assert await search_all(other_customer, "/api/tickets/search", filters=filters) == []
