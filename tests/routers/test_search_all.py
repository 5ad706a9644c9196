"""GET /api/search."""

import httpx
import pytest
from tests.support.callers import Caller, assert_problem
from tests.support.records import calls, create_deal_as, create_ticket_as, seed_deals, seed_tickets

from crm_api.services.records import customer_records
from hubspot_emulator import Emulator


class TestSearchEverything:
    async def test_search_everything_without_token_returns_401(
        self, client: httpx.AsyncClient, emulator: Emulator
    ) -> None:
        assert_problem(await client.get("/api/search", params={"q": "x"}), 401, "invalid_token")
        assert emulator.requests == []

    async def test_search_everything_of_customer_finds_only_own_records(
        self, customer: Caller, other_customer: Caller, emulator: Emulator
    ) -> None:
        emulator.switches.search_lag_seconds = 30.0
        deal_id = await create_deal_as(customer, dealname="Lovelace vans")
        ticket_id = await create_ticket_as(customer, deal_id, description="for Ms Lovelace")
        await create_deal_as(other_customer, dealname="Lovelace boats")
        emulator.clear_requests()
        response = await customer.get("/api/search", params={"q": "lovelace"})
        assert response.status_code == 200, response.text
        data = response.json()["data"]
        assert {
            object_type: [record["id"] for record in data[object_type]]
            for object_type in ("contacts", "deals", "tickets")
        } == {
            "contacts": [customer.contact_id],
            "deals": [deal_id],
            "tickets": [ticket_id],
        }
        assert data["failed"] == []
        assert len(calls(emulator)) == 4

    async def test_staff_search_everything_makes_1_call_per_object_type(
        self, staff: Caller, customer: Caller, emulator: Emulator
    ) -> None:
        created = seed_deals(emulator, customer.contact_id, 8)
        emulator.clear_requests()
        data = (await staff.get("/api/search", params={"q": "deal", "limit": 3})).json()["data"]
        assert [record["id"] for record in data["deals"]] == created[:3]
        assert sorted(calls(emulator)) == [
            "POST objects/contacts/search",
            "POST objects/deals/search",
            "POST objects/tickets/search",
        ]

    @pytest.mark.parametrize("object_type", ["contacts", "deals", "tickets"])
    async def test_search_everything_names_failed_object_type_for_staff(
        self, staff: Caller, emulator: Emulator, object_type: str
    ) -> None:
        emulator.fail_next("POST", f"/crm/objects/*/{object_type}/search", status=500, times=12)
        response = await staff.get("/api/search", params={"q": "staff"})
        assert emulator.used_faults()
        data = response.json()["data"]
        assert (response.status_code, data["failed"], data[object_type]) == (200, [object_type], [])
        assert object_type == "contacts" or data["contacts"]

    async def test_search_everything_names_failed_object_type_for_customer(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        await create_ticket_as(customer, await create_deal_as(customer, dealname="vans"))
        emulator.fail_next("POST", "/crm/objects/*/tickets/batch/read", status=500, times=12)
        data = (await customer.get("/api/search", params={"q": "van"})).json()["data"]
        assert (data["failed"], len(data["deals"])) == (["tickets"], 1)

    async def test_search_everything_returns_502_if_all_types_fail(
        self, staff: Caller, emulator: Emulator
    ) -> None:
        emulator.fail_next("POST", "/crm/objects/*/search", status=403, times=3)
        response = await staff.get("/api/search", params={"q": "x"})
        assert_problem(response, 502, "hubspot_credentials_refused")

    @pytest.mark.parametrize(
        ("params", "field"),
        [
            ({}, "q"),
            ({"q": ""}, "q"),
            ({"q": "  "}, "q"),
            ({"q": "x" * 501}, "q"),
            ({"q": "x", "limit": "21"}, "limit"),
        ],
    )
    async def test_400_of_search_everything_names_the_invalid_parameter(
        self, customer: Caller, params: dict[str, str], field: str
    ) -> None:
        response = await customer.get("/api/search", params=params)
        assert_problem(response, 400, "validation_error", fields=[field])

    @pytest.mark.parametrize("role", ["customer", "staff"])
    async def test_search_everything_is_shorter_if_records_are_large(
        self,
        customer: Caller,
        staff: Caller,
        emulator: Emulator,
        monkeypatch: pytest.MonkeyPatch,
        role: str,
    ) -> None:
        monkeypatch.setattr(customer_records, "MAX_RECORD_BYTES", 25_000)
        deals = seed_deals(emulator, customer.contact_id, 4, description="van " + "x" * 10_000)
        seed_tickets(emulator, 4, to=[("deals", deals[0])], content="van " + "x" * 10_000)
        emulator.settle_search()
        caller = staff if role == "staff" else customer
        data = (await caller.get("/api/search", params={"q": "van"})).json()["data"]
        assert (len(data["deals"]), len(data["tickets"])) == (2, 0)
