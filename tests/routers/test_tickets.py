"""Tickets over HTTP."""

from typing import Any

import httpx
import pytest
from tests.support.builders import a_deal, a_ticket
from tests.support.callers import Caller, assert_problem

from crm_api.hubspot_emulator import Emulator


async def a_deal_of(caller: Caller) -> str:
    answer = await caller.post("/api/deals", a_deal())
    assert answer.status_code == 201, answer.text
    return str(answer.json()["data"]["deal"]["id"])


class TestCreateTicket:
    async def test_anonymous(self, client: httpx.AsyncClient, emulator: Emulator) -> None:
        assert_problem(await client.post("/api/tickets/1", json=a_ticket()), 401, "invalid_token")
        assert emulator.requests == []

    async def test_anothers_deal_is_like_one_that_does_not_exist(
        self, customer: Caller, stranger: Caller, emulator: Emulator
    ) -> None:
        deal_id = await a_deal_of(customer)
        theirs = await stranger.post(f"/api/tickets/{deal_id}", a_ticket())
        nobodys = await stranger.post("/api/tickets/99999999", a_ticket())
        one, other = assert_problem(theirs, 404, "not_found"), assert_problem(nobodys, 404, "not_found")
        del one["request_id"], other["request_id"]
        assert one == other
        assert emulator.records("tickets") == []

    async def test_it_is_associated_with_the_deal_and_the_contact(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        deal_id = await a_deal_of(customer)
        answer = await customer.post(
            f"/api/tickets/{deal_id}", a_ticket(category="technical_issue", hs_ticket_priority="HIGH")
        )
        assert answer.status_code == 201, answer.text
        assert answer.json()["message"] == "Ticket created successfully"
        ticket = answer.json()["data"]["ticket"]
        assert set(ticket) == {
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

    async def test_a_ticket_of_staff_is_for_the_deals_contacts(
        self, customer: Caller, staff: Caller, emulator: Emulator
    ) -> None:
        deal_id = await a_deal_of(customer)
        answer = await staff.post(f"/api/tickets/{deal_id}", a_ticket())
        assert answer.status_code == 201
        ticket_id = answer.json()["data"]["ticket"]["id"]
        assert emulator.associations("tickets", ticket_id, "contacts") == [customer.contact_id]

    async def test_staff_get_a_404_for_no_deal(self, staff: Caller, emulator: Emulator) -> None:
        assert_problem(await staff.post("/api/tickets/99999999", a_ticket()), 404, "not_found")
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
    async def test_what_is_not_valid_is_named_and_nothing_is_written(
        self, customer: Caller, emulator: Emulator, change: dict[str, Any], field: str
    ) -> None:
        deal_id = await a_deal_of(customer)
        answer = await customer.post(f"/api/tickets/{deal_id}", a_ticket(**change))
        assert_problem(answer, 400, "validation_error", fields=[field])
        assert emulator.records("tickets") == []

    @pytest.mark.parametrize("deal_id", ["abc", "1.5", "-1", "1" * 21, "1%00"])
    async def test_an_id_that_cannot_be_one_is_named(self, customer: Caller, deal_id: str) -> None:
        answer = await customer.post(f"/api/tickets/{deal_id}", a_ticket())
        assert_problem(answer, 400, "validation_error", fields=["id"])

    async def test_it_costs_one_call_where_ownership_is_known(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        deal_id = await a_deal_of(customer)
        await customer.get("/api/pipelines")
        emulator.clear_requests()
        assert (await customer.post(f"/api/tickets/{deal_id}", a_ticket())).status_code == 201
        assert [(request.method, request.path) for request in emulator.requests] == [
            ("POST", "/crm/objects/2026-09/tickets")
        ]

    async def test_a_deal_that_is_gone_is_a_404_though_it_was_known(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        deal_id = await a_deal_of(customer)
        emulator.archive_as_other_actor("deals", deal_id)
        assert_problem(await customer.post(f"/api/tickets/{deal_id}", a_ticket()), 404, "not_found")
        assert emulator.records("tickets") == []
