"""The search across contacts, deals and tickets, over HTTP."""

import httpx
import pytest
from tests.support.callers import Caller, assert_problem
from tests.support.records import calls, create_deal_as, create_ticket_as, seed_deals

from hubspot_emulator import Emulator


class TestSearchEverything:
    async def test_without_token_returns_401(self, client: httpx.AsyncClient, emulator: Emulator) -> None:
        assert_problem(await client.get("/api/search", params={"q": "x"}), 401, "invalid_token")
        assert emulator.requests == []

    async def test_customer_finds_only_own_records(
        self, customer: Caller, other_customer: Caller, emulator: Emulator
    ) -> None:
        emulator.switches.search_lag_seconds = 30.0
        deal_id = await create_deal_as(customer, dealname="Lovelace vans")
        ticket_id = await create_ticket_as(customer, deal_id, description="for Ms Lovelace")
        await create_deal_as(other_customer, dealname="Lovelace boats")
        emulator.clear_requests()
        answer = await customer.get("/api/search", params={"q": "lovelace"})
        assert answer.status_code == 200, answer.text
        found = answer.json()["data"]
        assert {part: [each["id"] for each in found[part]] for part in ("contacts", "deals", "tickets")} == {
            "contacts": [customer.contact_id],
            "deals": [deal_id],
            "tickets": [ticket_id],
        }
        assert found["failed"] == []
        assert len(calls(emulator)) == 4

    async def test_staff_search_costs_one_call_per_type(
        self, staff: Caller, customer: Caller, emulator: Emulator
    ) -> None:
        made = seed_deals(emulator, customer.contact_id, 8)
        emulator.clear_requests()
        found = (await staff.get("/api/search", params={"q": "deal", "limit": 3})).json()["data"]
        assert [each["id"] for each in found["deals"]] == made[:3]
        assert sorted(calls(emulator)) == [
            "POST objects/contacts/search",
            "POST objects/deals/search",
            "POST objects/tickets/search",
        ]

    @pytest.mark.parametrize("part", ["contacts", "deals", "tickets"])
    async def test_failed_type_is_named_for_staff(self, staff: Caller, emulator: Emulator, part: str) -> None:
        emulator.fail_next("POST", f"/crm/objects/*/{part}/search", status=500, times=12)
        answer = await staff.get("/api/search", params={"q": "staff"})
        assert emulator.used_faults()
        found = answer.json()["data"]
        assert (answer.status_code, found["failed"], found[part]) == (200, [part], [])
        assert part == "contacts" or found["contacts"]

    async def test_failed_type_is_named_for_customer(self, customer: Caller, emulator: Emulator) -> None:
        await create_ticket_as(customer, await create_deal_as(customer, dealname="vans"))
        emulator.fail_next("POST", "/crm/objects/*/tickets/batch/read", status=500, times=12)
        found = (await customer.get("/api/search", params={"q": "van"})).json()["data"]
        assert (found["failed"], len(found["deals"])) == (["tickets"], 1)

    async def test_error_is_returned_if_all_types_fail(self, staff: Caller, emulator: Emulator) -> None:
        emulator.fail_next("POST", "/crm/objects/*/search", status=403, times=3)
        answer = await staff.get("/api/search", params={"q": "x"})
        assert_problem(answer, 502, "hubspot_credentials_refused")

    @pytest.mark.parametrize(
        ("params", "field"),
        [({}, "q"), ({"q": ""}, "q"), ({"q": "x" * 501}, "q"), ({"q": "x", "limit": "21"}, "limit")],
    )
    async def test_invalid_parameter_is_named(
        self, customer: Caller, params: dict[str, str], field: str
    ) -> None:
        answer = await customer.get("/api/search", params=params)
        assert_problem(answer, 400, "validation_error", fields=[field])
