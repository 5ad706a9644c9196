"""Over random writes while HubSpot's index lags: a staff member's searches show what they wrote, exactly once."""

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


async def begin(app: FastAPI, emulator: Emulator, customer: Caller, old: list[tuple[str, str]]) -> list[str]:
    """These deals and no others, known to HubSpot's index, which lags from now on; nobody has written lately."""
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


async def write(staff: Caller, customer: Caller, live: list[str], one: Write) -> str | None:
    """Write, and keep `live` up to date; answers what was written, None where there was nothing to write to."""
    verb, place, stage, amount = one
    if verb == "create":
        live.append(
            await create_deal_as(staff, contact_id=customer.contact_id, dealstage=stage, amount=amount)
        )
        return live[-1]
    if not live:
        return None
    deal_id = live[place % len(live)]
    if verb == "change":
        answer = await staff.patch(f"/api/deals/{deal_id}", {"dealstage": stage, "amount": amount})
        assert answer.status_code == 200, answer.text
    else:
        assert (await staff.delete(f"/api/deals/{deal_id}")).status_code == 204
        live.remove(deal_id)
    return deal_id


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Each example asks more than a user may in a minute."""
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
async def test_each_match_is_found_once_with_current_values(
    app: FastAPI,
    emulator: Emulator,
    customer: Caller,
    staff: Caller,
    old: list[tuple[str, str]],
    writes: list[tuple[str, int, str, str]],
    limit: int,
    descending: bool,
) -> None:
    live = await begin(app, emulator, customer, old)
    for one in writes:
        await write(staff, customer, live, one)
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

    for found in (plain, listed, ordered):
        assert sorted(each["id"] for each in found) == sorted(truth)
        assert {each["id"]: each["amount"] for each in found} == {
            each: properties["amount"] for each, properties in truth.items()
        }
    assert [each["id"] for each in plain] == [each["id"] for each in listed] == sorted(truth, key=int)
    assert [amount_of(each) for each in ordered] == sorted(map(amount_of, ordered), reverse=descending)
    assert len({each["id"] for each in named}) == len(named)
    assert {each["id"] for each in named} == {
        each for each, properties in truth.items() if "deal" in (properties["dealname"] or "")
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
async def test_writes_between_pages_hide_and_repeat_nothing(
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
    live = await begin(app, emulator, customer, old)
    for one in before:
        await write(staff, customer, live, one)
    body: dict[str, Any] = {
        "limit": limit,
        "filters": [{"property": "dealstage", "operator": "EQ", "value": "closedwon"}],
    }
    if sort is not None:
        body["sort"] = {"property": "amount", "direction": sort}
    wanted = {
        record.id for record in emulator.records("deals") if record.properties["dealstage"] == "closedwon"
    }
    first = (await staff.post("/api/deals/search", body)).json()["data"]
    shown = [each["id"] for each in first["results"]]
    touched = {await write(staff, customer, live, one) for one in between}
    event(
        f"{len(touched)} records written to between two pages, {'a' if first['next_cursor'] else 'no'} second"
    )
    later = []
    if first["next_cursor"] is not None:
        later = await search_all(staff, "/api/deals/search", **body, cursor=first["next_cursor"])
    found = [*shown, *(each["id"] for each in later)]
    assert len(set(found)) == len(found)
    assert set(found) - touched == wanted - touched
    for each in later:
        record = emulator.record("deals", each["id"])
        assert record is not None
        assert not record.archived
        assert (each["dealstage"], each["amount"]) == ("closedwon", record.properties["amount"])
