"""Staff searches and lists of deals: long requests, the limit of 10,000 results, and recent writes."""

from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import update
from tests.support.callers import Caller, assert_problem, register_caller
from tests.support.records import (
    calls,
    condition,
    create_deal_as,
    list_all,
    record_ids,
    search_all,
    seed_deals,
)

from crm_api.models import RecentWrite, now
from crm_api.services.accounts.profile import set_role
from crm_api.settings import Settings
from hubspot_emulator import Emulator, Exchange


class TestManyAddedProperties:
    """The names of the readable properties exceed the 3,000 characters that HubSpot accepts for a search."""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        names = [f"a_name_of_some_length_to_fill_the_body_{number}" for number in range(97)]
        added = {"deals": {"readable": ["dealtype", "hs_next_step", *names], "filterable": ["dealtype"]}}
        return Settings(**(settings.model_dump() | {"_env_file": None, "hubspot_properties": added}))

    async def test_search_with_many_added_properties_uses_batch_read(
        self, staff: Caller, customer: Caller, emulator: Emulator
    ) -> None:
        types = ("newbusiness", "existingbusiness", "newbusiness")
        created = [
            seed_deals(emulator, customer.contact_id, 1, dealtype=dealtype, hs_next_step="call")[0]
            for dealtype in types
        ]
        emulator.clear_requests()
        results = await search_all(
            staff, "/api/deals/search", limit=2, sort={"property": "dealtype", "direction": "descending"}
        )
        assert record_ids(results) == [created[0], created[2], created[1]]
        assert [deal["properties"]["hs_next_step"] for deal in results] == ["call"] * 3
        assert calls(emulator) == ["POST objects/deals/search", "POST objects/deals/batch/read"] * 2
        assert record_ids(await list_all(staff, "/api/deals", pipeline="default", limit=2)) == created
        everything = (await staff.get("/api/search", params={"q": "deal"})).json()["data"]
        assert (record_ids(everything["deals"]), everything["failed"]) == (created, [])

    async def test_deal_archived_before_batch_read_stays_in_search_results(
        self, staff: Caller, customer: Caller, emulator: Emulator
    ) -> None:
        created = seed_deals(emulator, customer.contact_id, 5)
        archived_id = created[1]

        def archive(exchange: Exchange) -> None:
            if exchange.request.path.endswith("/deals/search"):
                emulator.archive_as_other_actor("deals", archived_id)

        emulator.switches.search_lag_seconds = 30.0
        emulator.listeners.append(archive)
        results = record_ids(await search_all(staff, "/api/deals/search", limit=2))
        # The archived deal has the values of the search.
        assert results == created


class TestSearchLimit:
    """HubSpot returns at most 10,000 results of a search."""

    @pytest.fixture(autouse=True)
    def every_search_has_10050_results(self, emulator: Emulator) -> None:
        timestamp = "2026-01-01T00:00:00Z"
        page = {
            "total": 10_050,
            "results": [
                {"id": str(number), "properties": {}, "createdAt": timestamp, "updatedAt": timestamp}
                for number in range(1, 101)
            ],
            "paging": {"next": {"after": "100"}},
        }
        emulator.fail_next("POST", "/crm/objects/*/deals/search", status=200, body=page, times=200)

    async def test_staff_search_is_truncated_at_10000_results(self, staff: Caller) -> None:
        body: dict[str, Any] = {"limit": 100}
        for number in range(100):
            page = (await staff.post("/api/deals/search", body)).json()["data"]
            assert (page["truncated"], page["next_cursor"] is None) == (number == 99, number == 99)
            assert page["total"] == 10_050
            body["cursor"] = page["next_cursor"]

    async def test_sorted_staff_list_beyond_10000_deals_returns_400(self, staff: Caller) -> None:
        params: dict[str, Any] = {"limit": 100, "sort": "amount"}
        for _ in range(100):
            page = (await staff.get("/api/deals", params=params)).json()["data"]
            params["cursor"] = page["next_cursor"]
        response = await staff.get("/api/deals", params=params)
        assert_problem(response, 400, "validation_error", fields=["cursor"])

    async def test_filtered_staff_list_pages_by_id_of_last_deal(
        self, staff: Caller, emulator: Emulator
    ) -> None:
        params: dict[str, Any] = {"limit": 100, "pipeline": "default"}
        for _ in range(2):
            params["cursor"] = (await staff.get("/api/deals", params=params)).json()["data"]["next_cursor"]
        [group] = emulator.requests[-1].body["filterGroups"]
        assert {"propertyName": "hs_object_id", "operator": "GT", "value": "100"} in group["filters"]
        assert "after" not in emulator.requests[-1].body


class TestReadYourOwnWrites:
    """HubSpot's search index lags 30 seconds behind writes."""

    @pytest.fixture(autouse=True)
    def search_index_lags(self, emulator: Emulator) -> None:
        emulator.switches.search_lag_seconds = 30.0

    async def test_own_recent_deal_writes_appear_once_in_staff_search(
        self, staff: Caller, customer: Caller, emulator: Emulator
    ) -> None:
        emulator.switches.search_lag_seconds = 0.0
        old = seed_deals(emulator, customer.contact_id, 6, dealstage="closedwon", amount="10")
        emulator.settle_search()
        emulator.switches.search_lag_seconds = 30.0
        created = await create_deal_as(
            staff, contact_id=customer.contact_id, dealstage="closedwon", amount="5"
        )
        assert (await staff.patch(f"/api/deals/{old[0]}", {"dealstage": "closedlost"})).status_code == 200
        assert (await staff.patch(f"/api/deals/{old[1]}", {"amount": 7})).status_code == 200
        assert (await staff.delete(f"/api/deals/{old[2]}")).status_code == 204
        filters = [condition("dealstage", "EQ", value="closedwon")]
        expected = [old[1], *old[3:], created]
        for limit in (1, 2, 100):
            results = await search_all(staff, "/api/deals/search", filters=filters, limit=limit)
            assert record_ids(results) == expected, limit
            listed = await list_all(staff, "/api/deals", dealstage="closedwon", limit=limit)
            assert record_ids(listed) == expected, limit
        assert next(deal for deal in results if deal["id"] == old[1])["amount"] == "7"
        by_amount = await search_all(
            staff, "/api/deals/search", filters=filters, limit=2, sort={"property": "amount"}
        )
        assert record_ids(by_amount) == [created, old[1], *old[3:]]
        assert (await staff.post("/api/deals/search", {"filters": filters})).json()["data"]["total"] == 5
        assert created in record_ids(await search_all(staff, "/api/deals/search", query="fleet"))

    async def test_staff_search_adds_only_the_latest_50_own_writes(
        self, staff: Caller, customer: Caller, app: FastAPI, emulator: Emulator
    ) -> None:
        created = [await create_deal_as(staff, contact_id=customer.contact_id) for _ in range(55)]
        page = (await staff.post("/api/deals/search", {"limit": 1})).json()["data"]
        assert len(page["next_cursor"]) <= 2048
        results = await search_all(staff, "/api/deals/search", limit=20)
        assert record_ids(results) == created[-50:]

    @pytest.mark.parametrize("operation", ["list", "search"])
    async def test_recent_deal_is_on_page_2_if_hubspots_page_1_is_short(
        self, operation: str, staff: Caller, customer: Caller, emulator: Emulator
    ) -> None:
        created = await create_deal_as(staff, contact_id=customer.contact_id)
        timestamp = "2026-01-01T00:00:00Z"
        record = {"id": "7", "properties": {}, "createdAt": timestamp, "updatedAt": timestamp}
        page = {"total": 2, "results": [record], "paging": {"next": {"after": "1"}}}
        emulator.fail_next("POST", "/crm/objects/*/deals/search", status=200, body=page)
        if operation == "list":
            first = await staff.get("/api/deals", params={"pipeline": "default"})
        else:
            first = await staff.post("/api/deals/search", {})
        page = first.json()["data"]
        assert record_ids(page["results"]) == ["7"]
        if operation == "list":
            params = {"pipeline": "default", "cursor": page["next_cursor"]}
            remaining = await staff.get("/api/deals", params=params)
        else:
            remaining = await staff.post("/api/deals/search", {"cursor": page["next_cursor"]})
        assert record_ids(remaining.json()["data"]["results"]) == [created]

    async def test_deals_written_between_search_pages_have_current_values(
        self, staff: Caller, customer: Caller, emulator: Emulator
    ) -> None:
        emulator.switches.search_lag_seconds = 0.0
        created = seed_deals(emulator, customer.contact_id, 7, dealstage="closedwon")
        emulator.settle_search()
        emulator.switches.search_lag_seconds = 30.0
        body: dict[str, Any] = {"limit": 2, "filters": [condition("dealstage", "EQ", value="closedwon")]}
        body["cursor"] = (await staff.post("/api/deals/search", body)).json()["data"]["next_cursor"]
        assert (await staff.patch(f"/api/deals/{created[2]}", {"dealname": "renamed"})).status_code == 200
        assert (await staff.delete(f"/api/deals/{created[3]}")).status_code == 204
        assert (await staff.patch(f"/api/deals/{created[5]}", {"dealstage": "closedlost"})).status_code == 200
        results = await search_all(staff, "/api/deals/search", **body)
        assert record_ids(results) == [created[2], created[4], created[6]]
        assert results[0]["dealname"] == "renamed"

    async def test_staff_search_ignores_own_writes_older_than_a_minute(
        self, staff: Caller, customer: Caller, app: FastAPI, emulator: Emulator
    ) -> None:
        await create_deal_as(staff, contact_id=customer.contact_id)
        async with app.state.session_factory.begin() as database:
            await database.execute(update(RecentWrite).values(at=now() - timedelta(seconds=61)))
        emulator.clear_requests()
        await staff.post("/api/deals/search", {})
        assert calls(emulator) == ["POST objects/deals/search"]

    async def test_staff_search_after_own_write_makes_two_hubspot_calls(
        self, staff: Caller, customer: Caller, emulator: Emulator
    ) -> None:
        await create_deal_as(staff, contact_id=customer.contact_id)
        emulator.clear_requests()
        await staff.post("/api/deals/search", {"filters": [condition("amount", "HAS_PROPERTY")]})
        assert calls(emulator) == ["POST objects/deals/batch/read", "POST objects/deals/search"]

    async def test_staff_search_ignores_recent_writes_of_other_staff(
        self, client: httpx.AsyncClient, app: FastAPI, staff: Caller, customer: Caller
    ) -> None:
        other = await register_caller(client, "colleague@example.com")
        assert await set_role(app.state.session_factory, other.email, "staff")
        deal_id = await create_deal_as(staff, contact_id=customer.contact_id)
        filters = [condition("hs_object_id", "EQ", value=deal_id)]
        assert record_ids(await search_all(staff, "/api/deals/search", filters=filters)) == [deal_id]
        assert await search_all(other, "/api/deals/search", filters=filters) == []
