"""GET /api/new-crm-objects."""

from collections.abc import Sequence

import httpx
import pytest
from tests.support.builders import deal_body, ticket_body
from tests.support.callers import Caller, assert_problem
from tests.support.records import seed_deals, seed_tickets

from crm_api.hubspot.names import ObjectType
from crm_api.hubspot.wire import BatchReadResult
from crm_api.services.records import associations, customer_records
from crm_api.services.records.context import RecordContext
from hubspot_emulator import Emulator, Exchange


def seed_contacts(emulator: Emulator, contacts: int, *, deals: int = 3, tickets: int = 2) -> None:
    """Create contacts with `deals` deals each, and `tickets` tickets on each deal."""
    emulator.seed(
        {
            "contacts": [
                {
                    "email": f"p{number}@example.com",
                    "firstname": "P",
                    "deals": [
                        {
                            "dealname": f"deal {number}-{deal}",
                            "dealstage": "qualifiedtobuy",
                            "pipeline": "default",
                            "tickets": [
                                {
                                    "subject": f"ticket {number}-{deal}-{ticket}",
                                    "hs_pipeline": "0",
                                    "hs_pipeline_stage": "1",
                                }
                                for ticket in range(tickets)
                            ],
                        }
                        for deal in range(deals)
                    ],
                }
                for number in range(contacts)
            ]
        }
    )


def calls(emulator: Emulator) -> list[str]:
    return [request.path.removeprefix("/crm/").replace("2026-09/", "") for request in emulator.requests]


class TestListCrmObjects:
    async def test_overview_without_token_returns_401(
        self, client: httpx.AsyncClient, emulator: Emulator
    ) -> None:
        assert_problem(await client.get("/api/new-crm-objects"), 401, "invalid_token")
        assert emulator.requests == []

    async def test_overview_of_customer_has_only_own_contact(
        self, customer: Caller, other_customer: Caller, emulator: Emulator
    ) -> None:
        for caller in (customer, other_customer):
            deal = (await caller.post("/api/deals", deal_body(dealname=f"of {caller.email}"))).json()["data"]
            assert (await caller.post(f"/api/tickets/{deal['id']}", ticket_body())).status_code == 201
        response = await customer.get("/api/new-crm-objects")
        assert response.status_code == 200
        page = response.json()["data"]["data"]
        [contact] = page["contacts"]
        assert contact["email"] == customer.email
        assert [deal["dealname"] for deal in contact["deals"]] == [f"of {customer.email}"]
        assert [ticket["subject"] for ticket in contact["deals"][0]["tickets"]] == ["Third van is late"]
        assert (contact["incomplete"], contact["deals"][0]["incomplete"], page["next_after"]) == (
            False,
            False,
            None,
        )

    async def test_overview_of_10_contacts_makes_4_hubspot_calls(
        self, staff: Caller, emulator: Emulator
    ) -> None:
        emulator.archive_as_other_actor("contacts", staff.contact_id)
        seed_contacts(emulator, 10)
        emulator.clear_requests()
        response = await staff.get("/api/new-crm-objects", params={"limit": 10})
        contacts = response.json()["data"]["data"]["contacts"]
        assert [len(contact["deals"]) for contact in contacts] == [3] * 10
        assert {len(deal["tickets"]) for contact in contacts for deal in contact["deals"]} == {2}
        assert calls(emulator)[0] == "objects/contacts"
        assert sorted(calls(emulator)[1:3]) == [
            "associations/deals/tickets/batch/read",
            "objects/deals/batch/read",
        ]
        assert calls(emulator)[3:] == ["objects/tickets/batch/read"]

    async def test_overview_of_100_contacts_makes_11_hubspot_calls(
        self, staff: Caller, emulator: Emulator
    ) -> None:
        emulator.archive_as_other_actor("contacts", staff.contact_id)
        seed_contacts(emulator, 100)
        emulator.clear_requests()
        response = await staff.get("/api/new-crm-objects", params={"limit": 100})
        contacts = response.json()["data"]["data"]["contacts"]
        assert sum(len(deal["tickets"]) for contact in contacts for deal in contact["deals"]) == 600
        assert len(emulator.requests) == 11

    async def test_overview_pages_list_each_contact_once(self, staff: Caller, emulator: Emulator) -> None:
        seed_contacts(emulator, 23, deals=0)
        seen: list[str] = []
        cursor: str | None = None
        while True:
            params = {"limit": "5"} | ({"cursor": cursor} if cursor else {})
            page = (await staff.get("/api/new-crm-objects", params=params)).json()["data"]["data"]
            seen += [contact["id"] for contact in page["contacts"]]
            cursor = page["next_after"]
            if cursor is None:
                break
        assert seen == sorted({record.id for record in emulator.records("contacts")}, key=int)

    async def test_staff_overview_returns_all_250_deals_of_a_contact(
        self, staff: Caller, emulator: Emulator
    ) -> None:
        seed_contacts(emulator, 1, deals=250, tickets=0)
        response = await staff.get("/api/new-crm-objects", params={"limit": 100})
        contact = response.json()["data"]["data"]["contacts"][-1]
        assert len(contact["deals"]) == 250
        assert contact["incomplete"] is False

    async def test_deal_merged_while_overview_is_read_is_incomplete(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        one, other, third = seed_deals(emulator, customer.contact_id, 3)
        tickets = seed_tickets(emulator, 2, to=[("deals", one)])
        survivors: list[str] = []

        def merge(exchange: Exchange) -> None:
            if not survivors:
                survivors.append(emulator.merge("deals", one, other))

        emulator.listeners.append(merge)
        page = (await customer.get("/api/new-crm-objects")).json()["data"]["data"]
        shown = {deal["id"]: deal["incomplete"] for deal in page["contacts"][0]["deals"]}
        assert len(page["contacts"][0]["deals"]) == 2
        # The tickets of the deal's old ID were read; the merged deal has a new ID.
        assert shown == {survivors[0]: True, third: False}
        again = (await customer.get("/api/new-crm-objects")).json()["data"]["data"]["contacts"][0]["deals"]
        [deal] = [deal for deal in again if deal["id"] == survivors[0]]
        assert ({ticket["id"] for ticket in deal["tickets"]}, deal["incomplete"]) == (set(tickets), False)

    @pytest.mark.parametrize("object_type", ["deals", "tickets"])
    async def test_overview_with_too_many_deals_or_tickets_is_incomplete(
        self, customer: Caller, emulator: Emulator, monkeypatch: pytest.MonkeyPatch, object_type: str
    ) -> None:
        monkeypatch.setattr(associations, "MAX_CHILDREN", 3)
        [deal_id] = seed_deals(emulator, customer.contact_id, 1)
        if object_type == "deals":
            seed_deals(emulator, customer.contact_id, 3)
        else:
            seed_tickets(emulator, 4, to=[("deals", deal_id)])
        [contact] = (await customer.get("/api/new-crm-objects")).json()["data"]["data"]["contacts"]
        nested = contact if object_type == "deals" else contact["deals"][0]
        assert (len(nested[object_type]), nested["incomplete"]) == (3, True)

    @pytest.mark.parametrize("object_type", ["deals", "tickets"])
    async def test_overview_with_too_large_deals_or_tickets_is_incomplete(
        self, customer: Caller, emulator: Emulator, monkeypatch: pytest.MonkeyPatch, object_type: str
    ) -> None:
        monkeypatch.setattr(customer_records, "MAX_RECORD_BYTES", 25_000)
        [deal_id] = seed_deals(emulator, customer.contact_id, 1)
        if object_type == "deals":
            seed_deals(emulator, customer.contact_id, 3, description="x" * 10_000)
        else:
            seed_tickets(emulator, 4, to=[("deals", deal_id)], content="x" * 10_000)
        [contact] = (await customer.get("/api/new-crm-objects")).json()["data"]["data"]["contacts"]
        nested = contact if object_type == "deals" else contact["deals"][0]
        assert (len(nested[object_type]), nested["incomplete"]) == (
            3 if object_type == "deals" else 2,
            True,
        )

    async def test_staff_overview_is_shorter_if_contacts_are_large(
        self, staff: Caller, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        emulator.seed(
            {"contacts": [{"email": f"{n}@example.com", "firstname": "x" * 10_000} for n in range(4)]}
        )
        monkeypatch.setattr(customer_records, "MAX_RECORD_BYTES", 25_000)
        sizes: list[int] = []
        cursor: dict[str, str] = {}
        while not sizes or cursor:
            page = (await staff.get("/api/new-crm-objects", params=cursor)).json()["data"]["data"]
            sizes.append(len(page["contacts"]))
            cursor = {"cursor": page["next_after"]} if page["next_after"] else {}
        assert (max(sizes), sum(sizes)) == (3, len(emulator.records("contacts")))

    async def test_overview_stops_reading_deals_at_maximum_response_size(
        self, customer: Caller, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(customer_records, "MAX_RECORD_BYTES", 25_000)
        monkeypatch.setattr(customer_records, "_IDS_PER_ROUND", 2)
        seed_deals(emulator, customer.contact_id, 20, description="x" * 10_000)
        emulator.clear_requests()
        [contact] = (await customer.get("/api/new-crm-objects")).json()["data"]["data"]["contacts"]
        assert (len(contact["deals"]), contact["incomplete"]) == (2, True)
        assert calls(emulator).count("objects/deals/batch/read") == 2

    async def test_overview_reads_many_tickets_in_one_step(
        self, customer: Caller, staff: Caller, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        steps: list[tuple[str, int]] = []
        batch_read = RecordContext.batch_read

        async def count_ids(
            context: RecordContext,
            object_type: ObjectType,
            ids: Sequence[str],
            *,
            allow_partial: bool = False,
        ) -> BatchReadResult:
            steps.append((object_type, len(ids)))
            return await batch_read(context, object_type, ids, allow_partial=allow_partial)

        monkeypatch.setattr(RecordContext, "batch_read", count_ids)
        [deal_id] = seed_deals(emulator, customer.contact_id, 1)
        seed_tickets(emulator, 600, to=[("deals", deal_id)])
        contacts = (await staff.get("/api/new-crm-objects")).json()["data"]["data"]["contacts"]
        [deal] = [deal for contact in contacts for deal in contact["deals"]]
        assert len(deal["tickets"]) == 600
        # Each step takes as long as one call, so further steps make the page slower.
        assert steps == [("deals", 1), ("tickets", 600)]

    async def test_overview_size_counts_a_ticket_once_per_deal(
        self, customer: Caller, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(customer_records, "MAX_RECORD_BYTES", 25_000)
        deals = seed_deals(emulator, customer.contact_id, 3)
        to = [("deals", deal_id) for deal_id in deals]
        seed_tickets(emulator, 1, to=to, content="x" * 10_000)
        [contact] = (await customer.get("/api/new-crm-objects")).json()["data"]["data"]["contacts"]
        shown = [(len(deal["tickets"]), deal["incomplete"]) for deal in contact["deals"]]
        assert shown == [(1, False), (1, False), (0, True)]

    @pytest.mark.parametrize("limit", ["0", "-1", "ten", "1.5", "2147483648"])
    async def test_overview_with_invalid_limit_returns_400(
        self, customer: Caller, emulator: Emulator, limit: str
    ) -> None:
        emulator.clear_requests()
        response = await customer.get("/api/new-crm-objects", params={"limit": limit})
        assert_problem(response, 400, "validation_error", fields=["limit"])
        assert emulator.requests == []

    async def test_overview_with_invalid_cursor_returns_400(
        self, staff: Caller, other_customer: Caller, emulator: Emulator
    ) -> None:
        seed_contacts(emulator, 5, deals=0)
        page = (await staff.get("/api/new-crm-objects", params={"limit": 2})).json()["data"]["data"]
        cursor = page["next_after"]
        for wrong in (cursor[:-1], "x" + cursor, cursor.replace(".", ""), "e30.c2ln"):
            response = await staff.get("/api/new-crm-objects", params={"cursor": wrong})
            assert_problem(response, 400, "invalid_cursor")
        response = await other_customer.get("/api/new-crm-objects", params={"cursor": cursor})
        assert_problem(response, 400, "invalid_cursor")

    async def test_overview_returns_502_or_503_if_hubspot_returns_502(
        self, staff: Caller, emulator: Emulator
    ) -> None:
        emulator.fail_next("GET", "/crm/objects/*", status=502, times=50)
        response = await staff.get("/api/new-crm-objects")
        assert response.status_code in (502, 503)
        assert response.json()["code"] in ("hubspot_error", "hubspot_unavailable")
