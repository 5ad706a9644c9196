"""GET /api/deals and POST /api/deals/search."""

import weakref
from collections.abc import Sequence
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from tests.support.callers import Caller, assert_problem
from tests.support.records import (
    calls,
    condition,
    create_deal_as,
    list_all,
    record_ids,
    search_all,
    seed_deals,
)

from crm_api.hubspot import CrmRecord
from crm_api.services.accounts.profile import set_role
from crm_api.services.records import customer_records
from hubspot_emulator import Emulator, Exchange


class TestListDeals:
    async def test_list_deals_without_token_returns_401(
        self, client: httpx.AsyncClient, emulator: Emulator
    ) -> None:
        assert_problem(await client.get("/api/deals"), 401, "invalid_token")
        assert emulator.requests == []

    async def test_deal_list_of_customer_has_only_own_deals(
        self, customer: Caller, other_customer: Caller
    ) -> None:
        own_ids = [await create_deal_as(customer) for _ in range(3)]
        foreign_id = await create_deal_as(other_customer)
        assert record_ids(await list_all(customer, "/api/deals")) == own_ids
        assert record_ids(await list_all(other_customer, "/api/deals")) == [foreign_id]

    @pytest.mark.parametrize(
        ("role", "params"),
        [
            ("customer", {}),
            ("customer", {"sort": "hs_object_id"}),
            ("staff", {}),
            ("staff", {"sort": "hs_object_id"}),
            ("staff", {"pipeline": "default"}),
        ],
    )
    async def test_deal_list_pages_are_shorter_if_deals_are_large(
        self,
        customer: Caller,
        staff: Caller,
        emulator: Emulator,
        monkeypatch: pytest.MonkeyPatch,
        role: str,
        params: dict[str, str],
    ) -> None:
        monkeypatch.setattr(customer_records, "MAX_RECORD_BYTES", 25_000)
        created = seed_deals(emulator, customer.contact_id, 4, description="x" * 10_000)
        created += seed_deals(emulator, customer.contact_id, 1, description="x" * 30_000)
        emulator.settle_search()
        caller = staff if role == "staff" else customer
        sizes: list[int] = []
        records: list[dict[str, Any]] = []
        cursor: dict[str, str | None] = {}
        while not sizes or cursor["cursor"]:
            page = (await caller.get("/api/deals", params=params | cursor)).json()["data"]
            sizes.append(len(page["results"]))
            records += page["results"]
            cursor = {"cursor": page["next_cursor"]}
        assert (sizes, record_ids(records)) == ([2, 2, 1], created)

    @pytest.mark.parametrize("role", ["customer", "staff"])
    async def test_deal_search_pages_are_shorter_if_deals_are_large(
        self,
        customer: Caller,
        staff: Caller,
        emulator: Emulator,
        monkeypatch: pytest.MonkeyPatch,
        role: str,
    ) -> None:
        monkeypatch.setattr(customer_records, "MAX_RECORD_BYTES", 25_000)
        created = seed_deals(emulator, customer.contact_id, 4, description="x" * 10_000)
        emulator.settle_search()
        caller = staff if role == "staff" else customer
        page = (await caller.post("/api/deals/search", {})).json()["data"]
        assert (record_ids(page["results"]), page["total"]) == (created[:2], 4)
        page = (await caller.post("/api/deals/search", {"cursor": page["next_cursor"]})).json()["data"]
        assert (record_ids(page["results"]), page["next_cursor"]) == (created[2:], None)

    @pytest.mark.parametrize(
        ("characters", "rounds"),
        [(10, [100, 180]), (5_000, [100, 100, 80])],
        ids=["small deals", "large deals"],
    )
    async def test_search_reads_own_deals_in_rounds_of_limited_size(
        self,
        customer: Caller,
        emulator: Emulator,
        monkeypatch: pytest.MonkeyPatch,
        characters: int,
        rounds: list[int],
    ) -> None:
        monkeypatch.setattr(customer_records, "MAX_RECORD_BYTES", 600_000)
        created = seed_deals(emulator, customer.contact_id, 280, description="x" * characters)
        read_records = customer_records.read_records
        sizes: list[int] = []
        in_memory: list[int] = []
        references: list[weakref.ref[CrmRecord]] = []

        async def read(context: Any, object_type: Any, ids: Sequence[str]) -> list[CrmRecord]:
            in_memory.append(sum(reference() is not None for reference in references))
            sizes.append(len(ids))
            records = await read_records(context, object_type, ids)
            references.extend(map(weakref.ref, records))
            return records

        monkeypatch.setattr(customer_records, "read_records", read)
        search = {"limit": 10, "sort": {"property": "hs_object_id", "direction": "descending"}}
        page = (await customer.post("/api/deals/search", search)).json()["data"]
        assert (record_ids(page["results"]), page["total"]) == (created[:-11:-1], 280)
        assert sizes == rounds
        # One earlier round, and the page.
        assert max(in_memory) <= 100 + 10

    @pytest.mark.parametrize("sort", ["-dealname", "description", "amount"])
    async def test_pages_over_several_rounds_have_each_deal_once(
        self, customer: Caller, emulator: Emulator, monkeypatch: pytest.MonkeyPatch, sort: str
    ) -> None:
        monkeypatch.setattr(customer_records, "MAX_BATCH_INPUTS", 7)
        monkeypatch.setattr(customer_records, "MAX_RECORD_BYTES", 5_000)
        values = [
            {"dealname": f"deal {number % 5}", "description": "é" * 200 + str(number * 7 % 10)}
            for number in range(30)
        ]
        created = [seed_deals(emulator, customer.contact_id, 1, **properties)[0] for properties in values]

        def key(index: int) -> Any:
            name = sort.removeprefix("-")
            return values[index].get(name, "")

        expected = sorted(range(30), key=key, reverse=sort.startswith("-"))
        results = await list_all(customer, "/api/deals", limit=4, sort=sort)
        assert record_ids(results) == [created[index] for index in expected]

    async def test_merged_deal_in_two_rounds_is_found_once(
        self, customer: Caller, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        created = seed_deals(emulator, customer.contact_id, 3)
        read_records = customer_records.read_records

        async def read_survivor(context: Any, object_type: Any, ids: Sequence[str]) -> list[CrmRecord]:
            # HubSpot returns the deal into which the first one was merged.
            survivors = [created[2] if record_id == created[0] else record_id for record_id in ids]
            return await read_records(context, object_type, survivors)

        monkeypatch.setattr(customer_records, "MAX_BATCH_INPUTS", 1)
        monkeypatch.setattr(customer_records, "_MAX_CALLS_PER_ROUND", 1)
        monkeypatch.setattr(customer_records, "read_records", read_survivor)
        page = (await customer.post("/api/deals/search", {})).json()["data"]
        assert (record_ids(page["results"]), page["total"]) == (created[1:], 2)

    async def test_deal_list_page_of_a_customer_makes_two_hubspot_calls(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        created = seed_deals(emulator, customer.contact_id, 30)
        emulator.clear_requests()
        response = await customer.get("/api/deals", params={"limit": 10})
        assert response.json()["message"] == "Deals retrieved successfully"
        assert record_ids(response.json()["data"]["results"]) == created[:10]
        assert calls(emulator) == [
            f"GET objects/contacts/{customer.contact_id}",
            "POST objects/deals/batch/read",
        ]
        assert len(emulator.requests[-1].body["inputs"]) == 10

    async def test_deal_list_pages_have_each_of_250_deals_once(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        created = seed_deals(emulator, customer.contact_id, 250)
        assert record_ids(await list_all(customer, "/api/deals", limit=100)) == created
        assert (
            record_ids(await list_all(customer, "/api/deals", limit=100, sort="-hs_object_id"))
            == created[::-1]
        )

    async def test_deal_archived_between_pages_hides_no_other_deal(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        created = seed_deals(emulator, customer.contact_id, 6, amount="5")
        params: dict[str, Any] = {"limit": 2, "sort": "amount"}
        params["cursor"] = (await customer.get("/api/deals", params=params)).json()["data"]["next_cursor"]
        emulator.archive_as_other_actor("deals", created[0])
        assert record_ids(await list_all(customer, "/api/deals", **params)) == created[2:]

    @pytest.mark.parametrize("change", ["archived", "moved back", "moved on"])
    @pytest.mark.parametrize("sort", ["amount", "-amount", "description"])
    async def test_change_of_last_deal_of_a_page_hides_no_other_deal(
        self, customer: Caller, emulator: Emulator, sort: str, change: str
    ) -> None:
        created = seed_deals(emulator, customer.contact_id, 6, amount="5", description="x" * 5)
        params: dict[str, Any] = {"limit": 2, "sort": sort}
        params["cursor"] = (await customer.get("/api/deals", params=params)).json()["data"]["next_cursor"]
        if change == "archived":
            emulator.archive_as_other_actor("deals", created[1])
        else:
            smaller = (change == "moved back") != sort.startswith("-")
            values = {"amount": "1" if smaller else "9", "description": "a" if smaller else "z"}
            emulator.edit_as_other_actor("deals", created[1], values)
        results = record_ids(await list_all(customer, "/api/deals", **params))
        assert [record for record in results if record != created[1]] == created[2:]

    async def test_deals_are_paged_by_sort_values_too_long_for_a_cursor(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        long = "é" * 300
        created = [
            seed_deals(emulator, customer.contact_id, 1, description=f"{long}{number}")[0]
            for number in range(5)
        ]
        results = await list_all(customer, "/api/deals", limit=2, sort="-description")
        assert record_ids(results) == created[::-1]
        params: dict[str, Any] = {"limit": 2, "sort": "-description"}
        params["cursor"] = (await customer.get("/api/deals", params=params)).json()["data"]["next_cursor"]
        assert len(params["cursor"]) <= 2048
        emulator.archive_as_other_actor("deals", created[4])
        assert record_ids(await list_all(customer, "/api/deals", **params)) == created[2::-1]

    async def test_page_after_a_long_value_reads_few_deals_once(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        seed_deals(emulator, customer.contact_id, 5, description="x" * 300)
        params: dict[str, Any] = {"limit": 2, "sort": "description"}
        params["cursor"] = (await customer.get("/api/deals", params=params)).json()["data"]["next_cursor"]
        emulator.clear_requests()
        await customer.get("/api/deals", params=params)
        # With the read cache, the second page needs no call.
        assert calls(emulator).count("POST objects/deals/batch/read") <= 1

    async def test_next_page_leaves_out_last_deal_that_moved_behind(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        created = [
            seed_deals(emulator, customer.contact_id, 1, amount=str(amount))[0] for amount in range(1, 5)
        ]
        params: dict[str, Any] = {"limit": 2, "sort": "amount"}
        params["cursor"] = (await customer.get("/api/deals", params=params)).json()["data"]["next_cursor"]
        emulator.edit_as_other_actor("deals", created[1], {"amount": "9"})
        page = (await customer.get("/api/deals", params=params | {"limit": 10})).json()["data"]
        assert record_ids(page["results"]) == created[2:]

    @pytest.mark.parametrize("role", ["customer", "staff"])
    @pytest.mark.parametrize("params", [{}, {"sort": "-dealname"}, {"pipeline": "default"}])
    async def test_limit_of_deal_list_may_change_between_pages(
        self, role: str, customer: Caller, staff: Caller, emulator: Emulator, params: dict[str, Any]
    ) -> None:
        caller = customer if role == "customer" else staff
        created = seed_deals(emulator, customer.contact_id, 9)
        first = (await caller.get("/api/deals", params=params | {"limit": 2})).json()["data"]
        remaining = await list_all(caller, "/api/deals", limit=4, cursor=first["next_cursor"], **params)
        assert sorted(record_ids(first["results"] + remaining), key=int) == created

    async def test_deal_cursor_returns_400_after_a_role_change(
        self, customer: Caller, app: FastAPI, emulator: Emulator
    ) -> None:
        seed_deals(emulator, customer.contact_id, 5)
        cursor = (await customer.get("/api/deals", params={"limit": 2})).json()["data"]["next_cursor"]
        assert await set_role(app.state.session_factory, customer.email, "staff")
        response = await customer.get("/api/deals", params={"cursor": cursor})
        assert_problem(response, 400, "invalid_cursor")

    async def test_staff_list_all_deals_page_by_page(
        self, staff: Caller, customer: Caller, emulator: Emulator
    ) -> None:
        created = seed_deals(emulator, customer.contact_id, 25)
        emulator.clear_requests()
        assert record_ids(await list_all(staff, "/api/deals", limit=10)) == created
        assert calls(emulator) == ["GET objects/deals"] * 3

    @pytest.mark.parametrize("role", ["customer", "staff"])
    async def test_deal_list_is_filtered_and_sorted(
        self, role: str, customer: Caller, staff: Caller, emulator: Emulator
    ) -> None:
        caller = customer if role == "customer" else staff
        won = seed_deals(emulator, customer.contact_id, 12, dealstage="closedwon", amount="5")
        seed_deals(emulator, customer.contact_id, 12)
        results = await list_all(caller, "/api/deals", limit=5, dealstage="closedwon", pipeline="default")
        assert record_ids(results) == won
        assert await list_all(caller, "/api/deals", limit=5, pipeline="nowhere") == []
        by_amount = await list_all(caller, "/api/deals", limit=7, sort="-amount")
        assert record_ids(by_amount)[:12] == won
        assert len(set(record_ids(by_amount))) == 24

    async def test_deal_cursor_of_other_user_path_or_query_returns_400(
        self, customer: Caller, other_customer: Caller, emulator: Emulator
    ) -> None:
        seed_deals(emulator, customer.contact_id, 5)
        cursor = (await customer.get("/api/deals", params={"limit": 2})).json()["data"]["next_cursor"]
        refused = [
            await other_customer.get("/api/deals", params={"cursor": cursor}),
            await customer.get("/api/deals", params={"cursor": cursor, "pipeline": "default"}),
            await customer.get("/api/tickets", params={"cursor": cursor}),
            await customer.get("/api/deals", params={"cursor": cursor[:-1] + "x"}),
            await customer.post("/api/deals/search", {"cursor": cursor}),
        ]
        for response in refused:
            assert_problem(response, 400, "invalid_cursor")

    @pytest.mark.parametrize("sort", ["hs_forecast_amount", "-nothing", "properties"])
    async def test_deal_list_sorted_by_unsortable_field_returns_400(
        self, customer: Caller, sort: str
    ) -> None:
        response = await customer.get("/api/deals", params={"sort": sort})
        assert_problem(response, 400, "validation_error", fields=["sort"])

    async def test_deal_list_of_customer_with_lost_contact_returns_503(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        await create_deal_as(customer)
        emulator.archive_as_other_actor("contacts", customer.contact_id)
        response = await customer.get("/api/deals")
        assert_problem(response, 503, "hubspot_unavailable")

    @pytest.mark.parametrize("sort", [None, "amount"])
    @pytest.mark.parametrize("change", ["archive", "merge"])
    async def test_deal_list_is_current_after_archive_or_merge_during_read(
        self, customer: Caller, emulator: Emulator, change: str, sort: str | None
    ) -> None:
        created = seed_deals(emulator, customer.contact_id, 4)
        survivors: list[str] = []

        def interfere(exchange: Exchange) -> None:
            if "/objects/2026-09/contacts/" not in exchange.request.path or survivors:
                return
            if change == "merge":
                survivors.append(emulator.merge("deals", created[0], created[1]))
            else:
                survivors.append("none")
                emulator.archive_as_other_actor("deals", created[0])

        emulator.listeners.append(interfere)
        params = {"limit": 4} | ({"sort": sort} if sort else {})
        page = (await customer.get("/api/deals", params=params)).json()["data"]
        expected = created[1:] if change == "archive" else [*created[2:], *survivors]
        assert (record_ids(page["results"]), page["next_cursor"]) == (expected, None)

    async def test_deal_list_after_merge_has_deals_of_both_contacts(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        deal_id = await create_deal_as(customer)
        other = emulator.seed({"contacts": [{"email": "other@example.com"}]})["contacts"][0]
        [foreign_id] = seed_deals(emulator, other, 1)
        emulator.merge("contacts", other, customer.contact_id)
        results = record_ids(await list_all(customer, "/api/deals"))
        assert set(results) == {deal_id, foreign_id}


class TestSearchDeals:
    async def test_search_deals_without_token_returns_401(
        self, client: httpx.AsyncClient, emulator: Emulator
    ) -> None:
        assert_problem(await client.post("/api/deals/search", json={}), 401, "invalid_token")
        assert emulator.requests == []

    async def test_deal_search_finds_no_deals_of_another_customer(
        self, customer: Caller, other_customer: Caller
    ) -> None:
        await create_deal_as(customer, dealname="Secret plan")
        assert await search_all(other_customer, "/api/deals/search", query="secret") == []

    async def test_deal_search_of_customer_does_not_call_hubspot_search(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        emulator.switches.search_lag_seconds = 30.0
        deal_id = await create_deal_as(customer, dealname="Vans for Oslo")
        emulator.clear_requests()
        response = await customer.post("/api/deals/search", {"query": "OSLO"})
        page = response.json()["data"]
        assert (record_ids(page["results"]), page["total"], page["truncated"]) == ([deal_id], 1, False)
        assert not any(call.endswith("/search") for call in calls(emulator))

    @pytest.mark.parametrize("role", ["customer", "staff"])
    @pytest.mark.parametrize(
        ("filters", "matches"),
        [
            ([condition("amount", "EQ", value="100")], [1]),
            ([condition("amount", "EQ", value=100.0)], [1]),
            ([condition("amount", "NEQ", value="100")], [0, 2]),
            ([condition("amount", "GT", value="20")], [1, 2]),
            ([condition("amount", "LTE", value=100)], [0, 1]),
            ([condition("amount", "BETWEEN", value="20", high_value="1000")], [0, 1, 2]),
            ([condition("amount", "IN", values=["20", "1000"])], [0, 2]),
            ([condition("amount", "HAS_PROPERTY")], [0, 1, 2]),
            ([condition("amount", "NOT_HAS_PROPERTY")], [3]),
            ([condition("dealname", "EQ", value="BETA deal")], [1]),
            ([condition("dealname", "IN", values=["Beta Deal", "nothing"])], [1]),
            ([condition("dealstage", "EQ", value="closedwon")], [2, 3]),
            ([condition("dealstage", "EQ", value="CLOSEDWON")], []),
            # HubSpot sets the close date of closed deals.
            ([condition("closedate", "GTE", value="2026-06-01")], [2, 3]),
            ([condition("closedate", "LT", value="2026-06-01T00:00:00+02:00")], [0, 1]),
            (
                [
                    condition("dealstage", "EQ", value="closedwon"),
                    condition("amount", "HAS_PROPERTY"),
                ],
                [2],
            ),
        ],
    )
    async def test_deal_search_filters_select_matching_deals(
        self,
        role: str,
        filters: list[dict[str, Any]],
        matches: list[int],
        customer: Caller,
        staff: Caller,
        emulator: Emulator,
    ) -> None:
        created = [
            seed_deals(emulator, customer.contact_id, 1, **properties)[0]
            for properties in (
                {"amount": "20", "dealname": "alpha", "closedate": "2026-01-01T00:00:00Z"},
                {"amount": "100.0", "dealname": "Beta Deal", "closedate": "2026-05-31T10:00:00Z"},
                {"amount": "1000", "dealstage": "closedwon", "closedate": "2026-06-01T00:00:00Z"},
                {"dealstage": "closedwon", "dealname": "gamma"},
            )
        ]
        caller = customer if role == "customer" else staff
        assert record_ids(await search_all(caller, "/api/deals/search", filters=filters)) == [
            created[n] for n in matches
        ]

    async def test_search_filter_accepts_numbers_and_empty_values_list(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        [matching] = seed_deals(emulator, customer.contact_id, 1, amount="20")
        seed_deals(emulator, customer.contact_id, 1, amount="30")
        for changes in (
            {"operator": "EQ", "value": 20},
            {"operator": "EQ", "value": "20", "values": []},
            {"operator": "BETWEEN", "value": 19.5, "high_value": 20, "values": []},
            {"operator": "IN", "values": [20, "21"]},
        ):
            body = {"filters": [{"property": "amount"} | changes]}
            response = await customer.post("/api/deals/search", body)
            assert response.status_code == 200, response.text
            assert record_ids(response.json()["data"]["results"]) == [matching]

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"filters": [condition("amount", "IN", values=[])]}, "filters.0"),
            ({"filters": [condition("hubspot_owner_id", "EQ", value="1")]}, "filters.0.property"),
            ({"filters": [condition("hs_deal_stage_probability", "GT", value="0")]}, "filters.0.property"),
            ({"filters": [condition("amount", "EQ", value="much")]}, "filters.0.value"),
            ({"filters": [condition("amount", "IN", values=["1", "much"])]}, "filters.0.values"),
            ({"filters": [condition("amount", "BETWEEN", value="1")]}, "filters.0"),
            ({"filters": [condition("amount", "HAS_PROPERTY", value="1")]}, "filters.0"),
            ({"filters": [condition("amount", "LIKE", value="1")]}, "filters.0.operator"),
            ({"filters": [condition("closedate", "GT", value="soon")]}, "filters.0.value"),
            ({"filters": [condition("amount", "EQ", value="1")] * 6}, "filters"),
            ({"sort": {"property": "hs_forecast_amount"}}, "sort.property"),
            ({"sort": {"property": "amount", "direction": "down"}}, "sort.direction"),
            ({"limit": 0}, "limit"),
            ({"limit": 101}, "limit"),
            ({"query": ""}, "query"),
            ({"filter": []}, "filter"),
        ],
    )
    async def test_400_names_invalid_search_field_without_hubspot_call(
        self, staff: Caller, emulator: Emulator, body: dict[str, Any], field: str
    ) -> None:
        emulator.clear_requests()
        response = await staff.post("/api/deals/search", body)
        assert_problem(response, 400, "validation_error", fields=[field])
        assert emulator.requests == []

    async def test_deal_search_page_of_staff_makes_one_hubspot_call(
        self, staff: Caller, customer: Caller, emulator: Emulator
    ) -> None:
        created = seed_deals(emulator, customer.contact_id, 12)
        emulator.clear_requests()
        response = await staff.post("/api/deals/search", {"query": "deal", "limit": 5})
        page = response.json()["data"]
        assert response.json()["message"] == "Deals found successfully"
        assert (record_ids(page["results"]), page["total"], page["truncated"]) == (created[:5], 12, False)
        assert calls(emulator) == ["POST objects/deals/search"]
        assert record_ids(await search_all(staff, "/api/deals/search", query="deal", limit=5)) == created

    async def test_deal_search_longer_than_hubspot_allows_returns_400(
        self, staff: Caller, emulator: Emulator
    ) -> None:
        emulator.clear_requests()
        filters = [condition("dealname", "IN", values=["x" * 100] * 40)]
        response = await staff.post("/api/deals/search", {"filters": filters})
        assert_problem(response, 400, "validation_error", fields=["filters"])
        assert emulator.requests == []

    @pytest.mark.parametrize("text", ["é", "👩", "\N{COMBINING ACUTE ACCENT}"])
    async def test_staff_search_text_of_500_non_ascii_characters_succeeds(
        self, staff: Caller, emulator: Emulator, text: str
    ) -> None:
        for response in (
            await staff.post("/api/deals/search", {"query": text * 500}),
            await staff.get("/api/search", params={"q": text * 500}),
        ):
            assert response.status_code == 200, response.text

    @pytest.mark.parametrize("query", ["josé", "JOSÉ", "jose\N{COMBINING ACUTE ACCENT}", "é m"])
    async def test_deal_search_matches_combining_and_composed_accents(
        self, customer: Caller, emulator: Emulator, query: str
    ) -> None:
        created = [await create_deal_as(customer, dealname=name) for name in ("José Meza", "Jose\u0301 Meza")]
        await create_deal_as(customer, dealname="Jose Meza")
        assert record_ids(await search_all(customer, "/api/deals/search", query=query)) == created

    async def test_empty_page_of_hubspots_search_is_skipped(
        self, staff: Caller, customer: Caller, emulator: Emulator
    ) -> None:
        created = seed_deals(emulator, customer.contact_id, 12)
        empty = {"total": 12, "results": [], "paging": {"next": {"after": "10"}}}
        emulator.fail_next("POST", "/crm/objects/*/deals/search", status=200, body=empty)
        response = await staff.post("/api/deals/search", {"limit": 10})
        assert record_ids(response.json()["data"]["results"]) == created[10:]
        assert [request.body.get("after") for request in emulator.requests[-2:]] == [None, "10"]

    async def test_short_page_of_hubspots_search_continues_at_next_offset(
        self, staff: Caller, customer: Caller, emulator: Emulator
    ) -> None:
        created = seed_deals(emulator, customer.contact_id, 12)
        timestamp = "2026-01-01T00:00:00Z"
        record = {"id": "7", "properties": {}, "createdAt": timestamp, "updatedAt": timestamp}
        short = {"total": 12, "results": [record], "paging": {"next": {"after": "10"}}}
        emulator.fail_next("POST", "/crm/objects/*/deals/search", status=200, body=short)
        assert record_ids(await search_all(staff, "/api/deals/search", limit=10)) == ["7", *created[10:]]
