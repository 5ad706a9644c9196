"""Deals over HTTP: listed and searched."""

from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import update
from tests.support.callers import Caller, assert_problem, registered
from tests.support.records import a_deal_of, all_found, all_pages, calls, give_deals

from crm_api.hubspot_emulator import Emulator
from crm_api.models import RecentWrite, now
from crm_api.services.users import set_role


def ids(records: list[dict[str, Any]]) -> list[str]:
    return [record["id"] for record in records]


def condition(property: str, operator: str, **values: Any) -> dict[str, Any]:  # noqa: A002 - the contract's name
    return {"property": property, "operator": operator} | values


class TestListDeals:
    async def test_anonymous(self, client: httpx.AsyncClient, emulator: Emulator) -> None:
        assert_problem(await client.get("/api/deals"), 401, "invalid_token")
        assert emulator.requests == []

    async def test_another_customers_deals_are_not_there(self, customer: Caller, stranger: Caller) -> None:
        mine = [await a_deal_of(customer) for _ in range(3)]
        theirs = await a_deal_of(stranger)
        assert ids(await all_pages(customer, "/api/deals")) == mine
        assert ids(await all_pages(stranger, "/api/deals")) == [theirs]

    async def test_a_page_costs_a_customer_two_calls(self, customer: Caller, emulator: Emulator) -> None:
        made = give_deals(emulator, customer.contact_id, 30)
        emulator.clear_requests()
        answer = await customer.get("/api/deals", params={"limit": 10})
        assert answer.json()["message"] == "Deals retrieved successfully"
        assert ids(answer.json()["data"]["results"]) == made[:10]
        assert calls(emulator) == [
            f"GET objects/contacts/{customer.contact_id}",
            "POST objects/deals/batch/read",
        ]
        assert len(emulator.requests[-1].body["inputs"]) == 10

    async def test_a_customer_with_250_deals_sees_each_once(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        made = give_deals(emulator, customer.contact_id, 250)
        assert ids(await all_pages(customer, "/api/deals", limit=100)) == made
        assert ids(await all_pages(customer, "/api/deals", limit=100, sort="-hs_object_id")) == made[::-1]

    async def test_a_record_that_goes_between_two_pages_hides_no_other(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        made = give_deals(emulator, customer.contact_id, 6, amount="5")
        params: dict[str, Any] = {"limit": 2, "sort": "amount"}
        params["cursor"] = (await customer.get("/api/deals", params=params)).json()["data"]["next_cursor"]
        emulator.archive_as_other_actor("deals", made[0])
        assert ids(await all_pages(customer, "/api/deals", **params)) == made[2:]

    async def test_staff_page_through_the_account(
        self, staff: Caller, customer: Caller, emulator: Emulator
    ) -> None:
        made = give_deals(emulator, customer.contact_id, 25)
        emulator.clear_requests()
        assert ids(await all_pages(staff, "/api/deals", limit=10)) == made
        assert calls(emulator) == ["GET objects/deals"] * 3

    @pytest.mark.parametrize("who", ["customer", "staff"])
    async def test_filters_and_sort(
        self, who: str, customer: Caller, staff: Caller, emulator: Emulator
    ) -> None:
        caller = customer if who == "customer" else staff
        won = give_deals(emulator, customer.contact_id, 12, dealstage="closedwon", amount="5")
        give_deals(emulator, customer.contact_id, 12)
        found = await all_pages(caller, "/api/deals", limit=5, dealstage="closedwon", pipeline="default")
        assert ids(found) == won
        assert await all_pages(caller, "/api/deals", limit=5, pipeline="nowhere") == []
        by_amount = await all_pages(caller, "/api/deals", limit=7, sort="-amount")
        assert ids(by_amount)[:12] == won
        assert len(set(ids(by_amount))) == 24

    async def test_a_cursor_is_for_its_list_its_filter_and_its_user(
        self, customer: Caller, stranger: Caller, emulator: Emulator
    ) -> None:
        give_deals(emulator, customer.contact_id, 5)
        cursor = (await customer.get("/api/deals", params={"limit": 2})).json()["data"]["next_cursor"]
        refused = [
            await stranger.get("/api/deals", params={"cursor": cursor}),
            await customer.get("/api/deals", params={"cursor": cursor, "pipeline": "default"}),
            await customer.get("/api/tickets", params={"cursor": cursor}),
            await customer.get("/api/deals", params={"cursor": cursor[:-1] + "x"}),
            await customer.post("/api/deals/search", {"cursor": cursor}),
        ]
        for answer in refused:
            assert_problem(answer, 400, "invalid_cursor")

    @pytest.mark.parametrize("sort", ["hs_forecast_amount", "-nothing", "properties"])
    async def test_what_is_not_filterable_cannot_be_sorted_by(self, customer: Caller, sort: str) -> None:
        answer = await customer.get("/api/deals", params={"sort": sort})
        assert_problem(answer, 400, "validation_error", fields=["sort"])

    async def test_a_customer_without_a_contact_has_none(self, customer: Caller, emulator: Emulator) -> None:
        await a_deal_of(customer)
        emulator.archive_as_other_actor("contacts", customer.contact_id)
        answer = await customer.get("/api/deals")
        assert (answer.status_code, answer.json()["data"]) == (200, {"results": [], "next_cursor": None})

    async def test_after_a_merge_the_list_is_the_survivors(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        deal_id = await a_deal_of(customer)
        other = emulator.seed({"contacts": [{"email": "other@example.com"}]})["contacts"][0]
        [theirs] = give_deals(emulator, other, 1)
        emulator.merge("contacts", other, customer.contact_id)
        found = ids(await all_pages(customer, "/api/deals"))
        assert set(found) == {deal_id, theirs}


class TestSearchDeals:
    async def test_anonymous(self, client: httpx.AsyncClient, emulator: Emulator) -> None:
        assert_problem(await client.post("/api/deals/search", json={}), 401, "invalid_token")
        assert emulator.requests == []

    async def test_another_customers_deals_are_not_found(self, customer: Caller, stranger: Caller) -> None:
        await a_deal_of(customer, dealname="Secret plan")
        assert await all_found(stranger, "/api/deals/search", query="secret") == []

    async def test_a_customers_is_fresh_and_asks_hubspot_for_no_search(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        emulator.switches.search_lag_seconds = 30.0
        deal_id = await a_deal_of(customer, dealname="Vans for Oslo")
        emulator.clear_requests()
        answer = await customer.post("/api/deals/search", {"query": "OSLO"})
        page = answer.json()["data"]
        assert (ids(page["results"]), page["total"], page["truncated"]) == ([deal_id], 1, False)
        assert not any(call.endswith("/search") for call in calls(emulator))

    @pytest.mark.parametrize("who", ["customer", "staff"])
    @pytest.mark.parametrize(
        ("filters", "found"),
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
            # HubSpot itself dates what is closed.
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
    async def test_filters(
        self,
        who: str,
        filters: list[dict[str, Any]],
        found: list[int],
        customer: Caller,
        staff: Caller,
        emulator: Emulator,
    ) -> None:
        made = [
            give_deals(emulator, customer.contact_id, 1, **properties)[0]
            for properties in (
                {"amount": "20", "dealname": "alpha", "closedate": "2026-01-01T00:00:00Z"},
                {"amount": "100.0", "dealname": "Beta Deal", "closedate": "2026-05-31T10:00:00Z"},
                {"amount": "1000", "dealstage": "closedwon", "closedate": "2026-06-01T00:00:00Z"},
                {"dealstage": "closedwon", "dealname": "gamma"},
            )
        ]
        caller = customer if who == "customer" else staff
        assert ids(await all_found(caller, "/api/deals/search", filters=filters)) == [made[n] for n in found]

    @pytest.mark.parametrize(
        ("body", "field"),
        [
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
    async def test_what_is_not_valid_is_named_and_hubspot_is_not_asked(
        self, staff: Caller, emulator: Emulator, body: dict[str, Any], field: str
    ) -> None:
        emulator.clear_requests()
        answer = await staff.post("/api/deals/search", body)
        assert_problem(answer, 400, "validation_error", fields=[field])
        assert emulator.requests == []

    async def test_staff_search_the_account_in_one_call(
        self, staff: Caller, customer: Caller, emulator: Emulator
    ) -> None:
        made = give_deals(emulator, customer.contact_id, 12)
        emulator.clear_requests()
        answer = await staff.post("/api/deals/search", {"query": "deal", "limit": 5})
        page = answer.json()["data"]
        assert answer.json()["message"] == "Deals found successfully"
        assert (ids(page["results"]), page["total"], page["truncated"]) == (made[:5], 12, False)
        assert calls(emulator) == ["POST objects/deals/search"]
        assert ids(await all_found(staff, "/api/deals/search", query="deal", limit=5)) == made

    async def test_a_search_that_hubspot_would_find_too_long_is_refused(
        self, staff: Caller, emulator: Emulator
    ) -> None:
        emulator.clear_requests()
        filters = [condition("dealname", "IN", values=["x" * 100] * 40)]
        answer = await staff.post("/api/deals/search", {"filters": filters})
        assert_problem(answer, 400, "validation_error", fields=["filters"])
        assert emulator.requests == []


class TestTenThousand:
    """HubSpot shows 10,000 results of one search."""

    @pytest.fixture(autouse=True)
    def endless(self, emulator: Emulator) -> None:
        moment = "2026-01-01T00:00:00Z"
        page = {
            "total": 10_050,
            "results": [
                {"id": str(number), "properties": {}, "createdAt": moment, "updatedAt": moment}
                for number in range(1, 101)
            ],
            "paging": {"next": {"after": "100"}},
        }
        emulator.fail_next("POST", "/crm/objects/*/deals/search", status=200, body=page, times=200)

    async def test_a_search_ends_there_and_says_so(self, staff: Caller) -> None:
        body: dict[str, Any] = {"limit": 100}
        for number in range(100):
            page = (await staff.post("/api/deals/search", body)).json()["data"]
            assert (page["truncated"], page["next_cursor"] is None) == (number == 99, number == 99)
            assert page["total"] == 10_050
            body["cursor"] = page["next_cursor"]

    async def test_a_sorted_list_does_not_look_whole(self, staff: Caller) -> None:
        params: dict[str, Any] = {"limit": 100, "sort": "amount"}
        for _ in range(100):
            page = (await staff.get("/api/deals", params=params)).json()["data"]
            params["cursor"] = page["next_cursor"]
        answer = await staff.get("/api/deals", params=params)
        assert_problem(answer, 400, "validation_error", fields=["cursor"])

    async def test_a_filtered_list_goes_on_past_the_last_id(self, staff: Caller, emulator: Emulator) -> None:
        params: dict[str, Any] = {"limit": 100, "pipeline": "default"}
        for _ in range(2):
            params["cursor"] = (await staff.get("/api/deals", params=params)).json()["data"]["next_cursor"]
        [group] = emulator.requests[-1].body["filterGroups"]
        assert {"propertyName": "hs_object_id", "operator": "GT", "value": "100"} in group["filters"]
        assert "after" not in emulator.requests[-1].body


class TestReadYourOwnWrites:
    """HubSpot's search does not show what was written until 30 seconds later."""

    @pytest.fixture(autouse=True)
    def lagging(self, emulator: Emulator) -> None:
        emulator.switches.search_lag_seconds = 30.0

    async def test_what_was_created_changed_and_archived_shows_so_exactly_once(
        self, staff: Caller, customer: Caller, emulator: Emulator
    ) -> None:
        emulator.switches.search_lag_seconds = 0.0
        old = give_deals(emulator, customer.contact_id, 6, dealstage="closedwon", amount="10")
        emulator.settle_search()
        emulator.switches.search_lag_seconds = 30.0
        created = await a_deal_of(staff, contact_id=customer.contact_id, dealstage="closedwon", amount="5")
        assert (await staff.patch(f"/api/deals/{old[0]}", {"dealstage": "closedlost"})).status_code == 200
        assert (await staff.patch(f"/api/deals/{old[1]}", {"amount": 7})).status_code == 200
        assert (await staff.delete(f"/api/deals/{old[2]}")).status_code == 204
        filters = [condition("dealstage", "EQ", value="closedwon")]
        expected = [old[1], *old[3:], created]
        for limit in (1, 2, 100):
            found = await all_found(staff, "/api/deals/search", filters=filters, limit=limit)
            assert ids(found) == expected, limit
            listed = await all_pages(staff, "/api/deals", dealstage="closedwon", limit=limit)
            assert ids(listed) == expected, limit
        assert next(deal for deal in found if deal["id"] == old[1])["amount"] == "7"
        by_amount = await all_found(
            staff, "/api/deals/search", filters=filters, limit=2, sort={"property": "amount"}
        )
        assert ids(by_amount) == [created, old[1], *old[3:]]
        assert (await staff.post("/api/deals/search", {"filters": filters})).json()["data"]["total"] == 5
        assert created in ids(await all_found(staff, "/api/deals/search", query="fleet"))

    async def test_of_very_many_writes_the_latest_are_merged_and_the_cursor_still_fits(
        self, staff: Caller, customer: Caller, app: FastAPI, emulator: Emulator
    ) -> None:
        created = [await a_deal_of(staff, contact_id=customer.contact_id) for _ in range(55)]
        page = (await staff.post("/api/deals/search", {"limit": 1})).json()["data"]
        assert len(page["next_cursor"]) <= 2048
        found = await all_found(staff, "/api/deals/search", limit=20)
        assert ids(found) == created[-50:]

    @pytest.mark.parametrize("how", ["list", "search"])
    async def test_a_short_page_of_hubspots_is_not_filled_up_with_what_belongs_further_on(
        self, how: str, staff: Caller, customer: Caller, emulator: Emulator
    ) -> None:
        created = await a_deal_of(staff, contact_id=customer.contact_id)
        moment = "2026-01-01T00:00:00Z"
        record = {"id": "7", "properties": {}, "createdAt": moment, "updatedAt": moment}
        page = {"total": 2, "results": [record], "paging": {"next": {"after": "1"}}}
        emulator.fail_next("POST", "/crm/objects/*/deals/search", status=200, body=page)
        if how == "list":
            first = await staff.get("/api/deals", params={"pipeline": "default"})
        else:
            first = await staff.post("/api/deals/search", {})
        found = first.json()["data"]
        assert ids(found["results"]) == ["7"]
        if how == "list":
            params = {"pipeline": "default", "cursor": found["next_cursor"]}
            rest = await staff.get("/api/deals", params=params)
        else:
            rest = await staff.post("/api/deals/search", {"cursor": found["next_cursor"]})
        assert ids(rest.json()["data"]["results"]) == [created]

    async def test_it_ends_after_a_minute(
        self, staff: Caller, customer: Caller, app: FastAPI, emulator: Emulator
    ) -> None:
        await a_deal_of(staff, contact_id=customer.contact_id)
        async with app.state.sessions.begin() as database:
            await database.execute(update(RecentWrite).values(at=now() - timedelta(seconds=61)))
        emulator.clear_requests()
        await staff.post("/api/deals/search", {})
        assert calls(emulator) == ["POST objects/deals/search"]

    async def test_it_costs_one_more_call(self, staff: Caller, customer: Caller, emulator: Emulator) -> None:
        await a_deal_of(staff, contact_id=customer.contact_id)
        emulator.clear_requests()
        await staff.post("/api/deals/search", {"filters": [condition("amount", "HAS_PROPERTY")]})
        assert calls(emulator) == ["POST objects/deals/batch/read", "POST objects/deals/search"]

    async def test_nobody_else_sees_it_that_way(
        self, client: httpx.AsyncClient, app: FastAPI, staff: Caller, customer: Caller
    ) -> None:
        other = await registered(client, "colleague@example.com")
        assert await set_role(app.state.sessions, other.email, "staff")
        deal_id = await a_deal_of(staff, contact_id=customer.contact_id)
        filters = [condition("hs_object_id", "EQ", value=deal_id)]
        assert ids(await all_found(staff, "/api/deals/search", filters=filters)) == [deal_id]
        assert await all_found(other, "/api/deals/search", filters=filters) == []
