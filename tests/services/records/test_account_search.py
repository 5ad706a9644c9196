"""Random writes while HubSpot's index lags: staff searches return each match once, with current values."""

from typing import Any

import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, event, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from sqlalchemy import delete
from tests.support.callers import Caller
from tests.support.records import create_deal_as, list_all, search_all, seed_deals

from crm_api.models import RecentWrite
from crm_api.settings import Settings
from hubspot_emulator import Emulator

STAGES = st.sampled_from(["closedwon", "qualifiedtobuy"])
AMOUNTS = st.sampled_from(["1", "2", "3", "20"])
WRITES = st.one_of(
    st.tuples(st.just("create"), st.just(0), STAGES, AMOUNTS),
    st.tuples(st.just("change"), st.integers(0, 20), STAGES, AMOUNTS),
    st.tuples(st.just("archive"), st.integers(0, 20), STAGES, AMOUNTS),
)


Write = tuple[str, int, str, str]


async def seed_indexed_deals(
    app: FastAPI, emulator: Emulator, customer: Caller, old: list[tuple[str, str]]
) -> list[str]:
    """Seed these deals as the only ones in HubSpot's index, which lags from now on, without recent writes."""
    emulator.switches.search_lag_seconds = 0.0
    for record in emulator.records("deals"):
        emulator.archive_as_other_actor("deals", record.id)
    live = [
        seed_deals(emulator, customer.contact_id, 1, dealstage=stage, amount=amount)[0]
        for stage, amount in old
    ]
    emulator.settle_search()
    async with app.state.session_factory.begin() as database:
        await database.execute(delete(RecentWrite))
    emulator.switches.search_lag_seconds = 30.0
    return live


async def perform(staff: Caller, customer: Caller, live: list[str], write: Write) -> str | None:
    """Perform the write and update `live`. Return the deal's ID, or None if there was no deal to change."""
    verb, index, stage, amount = write
    if verb == "create":
        live.append(
            await create_deal_as(staff, contact_id=customer.contact_id, dealstage=stage, amount=amount)
        )
        return live[-1]
    if not live:
        return None
    deal_id = live[index % len(live)]
    if verb == "change":
        response = await staff.patch(f"/api/deals/{deal_id}", {"dealstage": stage, "amount": amount})
        assert response.status_code == 200, response.text
    else:
        assert (await staff.delete(f"/api/deals/{deal_id}")).status_code == 204
        live.remove(deal_id)
    return deal_id


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Disable rate limits, which every example would exceed."""
    return settings.model_copy(update={"rate_limit_enabled": False})


@examples(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    old=st.lists(st.tuples(STAGES, AMOUNTS), max_size=6),
    writes=st.lists(WRITES, max_size=6),
    limit=st.integers(1, 4),
    descending=st.booleans(),
)
async def test_staff_search_finds_each_match_once_with_current_values(
    app: FastAPI,
    emulator: Emulator,
    customer: Caller,
    staff: Caller,
    old: list[tuple[str, str]],
    writes: list[tuple[str, int, str, str]],
    limit: int,
    descending: bool,
) -> None:
    live = await seed_indexed_deals(app, emulator, customer, old)
    for write in writes:
        await perform(staff, customer, live, write)
    truth = {
        record.id: record.properties
        for record in emulator.records("deals")
        if record.properties["dealstage"] == "closedwon"
    }
    filters = [{"property": "dealstage", "operator": "EQ", "value": "closedwon"}]
    sort = {"property": "amount", "direction": "descending" if descending else "ascending"}
    path = "/api/deals/search"
    plain = await search_all(staff, path, filters=filters, limit=limit)
    listed = await list_all(staff, "/api/deals", dealstage="closedwon", limit=limit)
    ordered = await search_all(staff, path, filters=filters, sort=sort, limit=limit)
    named = await search_all(staff, path, filters=filters, query="deal", limit=limit)

    def amount_of(record: dict[str, Any]) -> float:
        return float(record["amount"])

    for results in (plain, listed, ordered):
        assert sorted(record["id"] for record in results) == sorted(truth)
        assert {record["id"]: record["amount"] for record in results} == {
            record_id: properties["amount"] for record_id, properties in truth.items()
        }
    assert [record["id"] for record in plain] == [record["id"] for record in listed] == sorted(truth, key=int)
    assert [amount_of(record) for record in ordered] == sorted(map(amount_of, ordered), reverse=descending)
    assert len({record["id"] for record in named}) == len(named)
    assert {record["id"] for record in named} == {
        record_id for record_id, properties in truth.items() if "deal" in (properties["dealname"] or "")
    }
    page = (await staff.post(path, {"filters": filters, "limit": 1})).json()["data"]
    assert page["total"] == len(truth)


@examples(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    old=st.lists(st.tuples(st.just("closedwon"), AMOUNTS), min_size=4, max_size=8),
    before=st.lists(WRITES, max_size=3),
    between=st.lists(WRITES, min_size=1, max_size=3),
    limit=st.integers(1, 2),
    sort=st.sampled_from([None, "ascending", "descending"]),
)
async def test_writes_between_pages_hide_or_repeat_no_other_deal(
    app: FastAPI,
    emulator: Emulator,
    customer: Caller,
    staff: Caller,
    old: list[tuple[str, str]],
    before: list[Write],
    between: list[Write],
    limit: int,
    sort: str | None,
) -> None:
    live = await seed_indexed_deals(app, emulator, customer, old)
    for write in before:
        await perform(staff, customer, live, write)
    body: dict[str, Any] = {
        "limit": limit,
        "filters": [{"property": "dealstage", "operator": "EQ", "value": "closedwon"}],
    }
    if sort is not None:
        body["sort"] = {"property": "amount", "direction": sort}
    expected = {
        record.id for record in emulator.records("deals") if record.properties["dealstage"] == "closedwon"
    }
    first = (await staff.post("/api/deals/search", body)).json()["data"]
    shown = [record["id"] for record in first["results"]]
    touched = {await perform(staff, customer, live, write) for write in between}
    event(
        f"{len(touched)} records written to between two pages, {'a' if first['next_cursor'] else 'no'} second"
    )
    later = []
    if first["next_cursor"] is not None:
        later = await search_all(staff, "/api/deals/search", **body, cursor=first["next_cursor"])
    results = [*shown, *(record["id"] for record in later)]
    assert len(set(results)) == len(results)
    assert set(results) - touched == expected - touched
    for deal in later:
        record = emulator.record("deals", deal["id"])
        assert record is not None
        assert not record.archived
        assert (deal["dealstage"], deal["amount"]) == ("closedwon", record.properties["amount"])
