"""Search, by raw HTTP."""

from typing import Any

import httpx
import pytest

from hubspot_emulator import Emulator

DEALS = "/crm/objects/2026-09/deals/search"
CONTACTS = "/crm/objects/2026-09/contacts/search"


def filters(*rows: tuple[str, str, Any]) -> dict[str, Any]:
    found = []
    for name, operator, value in rows:
        members = (
            {"values": value} if isinstance(value, list) else {"value": value} if value is not None else {}
        )
        found.append({"propertyName": name, "operator": operator, **members})
    return {"filterGroups": [{"filters": found}]}


@pytest.fixture
def deals(emulator: Emulator) -> dict[str, list[str]]:
    stages = ("qualifiedtobuy", "contractsent", "closedwon")
    return emulator.seed(
        {
            "contacts": [
                {
                    "email": "ada@example.com",
                    "firstname": "Ada",
                    "deals": [
                        {
                            "dealname": f"Fleet {name}",
                            "dealstage": stage,
                            "amount": amount,
                            "closedate": f"2026-0{number}-01",
                        }
                        for number, (name, stage, amount) in enumerate(
                            zip(("Alpha", "beta", "Gamma"), stages, ("9", "10", "100.5"), strict=True),
                            start=1,
                        )
                    ],
                },
            ],
            "deals": [{"dealname": "Nobody's", "dealstage": "qualifiedtobuy"}],
        }
    )


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([("amount", "GT", "9")], [1, 2]),
        ([("amount", "GTE", "9")], [0, 1, 2]),
        ([("amount", "LT", "10")], [0]),
        ([("amount", "EQ", "100.50")], [2]),
        ([("amount", "NEQ", "9")], [1, 2]),
        ([("amount", "HAS_PROPERTY", None)], [0, 1, 2]),
        ([("amount", "NOT_HAS_PROPERTY", None)], [3]),
        ([("dealname", "EQ", "FLEET ALPHA")], [0]),
        ([("dealname", "IN", ["fleet alpha", "fleet beta"])], [0, 1]),
        # Values of IN have to be in lower case.
        ([("dealname", "IN", ["Fleet Alpha"])], []),
        ([("dealname", "NOT_IN", ["fleet alpha"])], [1, 2, 3]),
        ([("dealname", "CONTAINS_TOKEN", "fleet")], [0, 1, 2]),
        ([("dealname", "CONTAINS_TOKEN", "alp*")], [0]),
        ([("dealname", "CONTAINS_TOKEN", "*PHA")], [0]),
        ([("dealname", "CONTAINS_TOKEN", "f*t g*a")], [2]),
        # Nothing but the star is special.
        ([("dealname", "CONTAINS_TOKEN", "alph?")], []),
        ([("dealname", "CONTAINS_TOKEN", "[ab]lpha")], []),
        ([("dealname", "NOT_CONTAINS_TOKEN", "fleet")], [3]),
        # The noise of binary fractions does not show.
        ([("hs_deal_stage_probability", "EQ", "0.4")], [0, 3]),
        ([("dealstage", "EQ", "qualifiedtobuy")], [0, 3]),
        ([("dealstage", "EQ", "QualifiedToBuy")], []),
        ([("dealstage", "IN", ["qualifiedtobuy", "closedwon"])], [0, 2, 3]),
        ([("dealstage", "EQ", "qualifiedtobuy"), ("amount", "GT", "1")], [0]),
        # 2026-02-01 in milliseconds.
        ([("closedate", "GTE", "1769904000000")], [1, 2]),
        ([("associations.contact", "HAS_PROPERTY", None)], [0, 1, 2]),
    ],
)
async def test_operators(
    hubspot: httpx.AsyncClient,
    deals: dict[str, list[str]],
    rows: list[tuple[str, str, Any]],
    expected: list[int],
) -> None:
    answer = await hubspot.post(DEALS, json=filters(*rows))
    assert answer.status_code == 200, answer.text
    assert [each["id"] for each in answer.json()["results"]] == [deals["deals"][each] for each in expected]
    assert answer.json()["total"] == len(expected)


async def test_between_takes_both_ends(hubspot: httpx.AsyncClient, deals: dict[str, list[str]]) -> None:
    row = {"propertyName": "amount", "operator": "BETWEEN", "value": "9", "highValue": "10"}
    answer = await hubspot.post(DEALS, json={"filterGroups": [{"filters": [row]}]})
    assert [each["id"] for each in answer.json()["results"]] == deals["deals"][:2]


async def test_groups_are_alternatives_and_filters_may_stand_alone(
    hubspot: httpx.AsyncClient, deals: dict[str, list[str]]
) -> None:
    groups = [
        filters(("amount", "EQ", "9"))["filterGroups"][0],
        filters(("amount", "EQ", "10"))["filterGroups"][0],
    ]
    answer = await hubspot.post(DEALS, json={"filterGroups": groups})
    assert answer.json()["total"] == 2
    answer = await hubspot.post("/crm/v3/objects/deals/search", json={"filters": groups[0]["filters"]})
    assert answer.json()["total"] == 1


async def test_by_association(hubspot: httpx.AsyncClient, deals: dict[str, list[str]]) -> None:
    answer = await hubspot.post(DEALS, json=filters(("associations.contact", "EQ", deals["contacts"][0])))
    assert [each["id"] for each in answer.json()["results"]] == deals["deals"][:3]


@pytest.mark.parametrize(
    ("query", "expected"), [("fleet al", [0]), ("BETA", [1]), ("eet", []), ("closedwon", [2])]
)
async def test_query_finds_beginnings_of_words(
    hubspot: httpx.AsyncClient, deals: dict[str, list[str]], query: str, expected: list[int]
) -> None:
    answer = await hubspot.post(DEALS, json={"query": query})
    assert [each["id"] for each in answer.json()["results"]] == [deals["deals"][each] for each in expected]


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ({"propertyName": "amount", "direction": "DESCENDING"}, [2, 1, 0, 3]),
        ({"propertyName": "amount"}, [0, 1, 2, 3]),
        ("-amount", [2, 1, 0, 3]),
        ({"propertyName": "dealname", "direction": "ASCENDING"}, [0, 1, 2, 3]),
    ],
)
async def test_sorts(
    hubspot: httpx.AsyncClient, deals: dict[str, list[str]], sort: Any, expected: list[int]
) -> None:
    answer = await hubspot.post(DEALS, json={"sorts": [sort]})
    assert [each["id"] for each in answer.json()["results"]] == [deals["deals"][each] for each in expected]


async def test_pages_end_where_paging_is_gone(
    hubspot: httpx.AsyncClient, deals: dict[str, list[str]]
) -> None:
    first = (await hubspot.post(DEALS, json={"limit": 3})).json()
    assert first["paging"]["next"]["after"] == "3"
    second = (await hubspot.post(DEALS, json={"limit": 3, "after": "3"})).json()
    assert "paging" not in second
    assert [each["id"] for each in first["results"] + second["results"]] == deals["deals"]


@pytest.mark.parametrize(
    "body",
    [
        {"limit": 201},
        {"after": "10000"},
        {"after": "x"},
        {"sorts": ["amount", "dealname"]},
        {"sorts": ["no_such_property"]},
        {"filterGroups": [{"filters": []}] * 6},
        filters(*[("amount", "EQ", "1")] * 7),
        {"filterGroups": [filters(*[("amount", "EQ", "1")] * 4)["filterGroups"][0]] * 5},
        filters(("no_such_property", "EQ", "1")),
        filters(("amount", "LIKE", "1")),
        filters(("amount", "EQ", None)),
        filters(("amount", "GT", "x")),
        filters(("amount", "EQ", "nan")),
        filters(("amount", "BETWEEN", "1")),
        filters(("closedate", "GT", "x")),
        {"query": "x" * 3_000},
        {"filterGroups": {}},
        {"filterGroups": [{"filters": [1]}]},
    ],
)
async def test_caps_and_nonsense_are_a_400(
    hubspot: httpx.AsyncClient, deals: dict[str, list[str]], body: dict[str, Any]
) -> None:
    answer = await hubspot.post(DEALS, json=body)
    assert answer.status_code == 400, answer.text


async def test_archived_records_are_never_found(
    hubspot: httpx.AsyncClient, emulator: Emulator, deals: dict[str, list[str]]
) -> None:
    emulator.archive_as_other_actor("deals", deals["deals"][0])
    assert (await hubspot.post(DEALS, json={})).json()["total"] == 3


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_the_index_lags_behind(build: Any) -> None:
    from tests.hubspot_emulator.conftest import caller

    clock = Clock()
    emulator = build(monotonic=clock, search_lag_seconds=5)
    async with caller(emulator) as hubspot:
        body = {"properties": {"email": "a@example.com", "firstname": "A"}}
        contact_id = (await hubspot.post("/crm/objects/2026-09/contacts", json=body)).json()["id"]
        by_email = filters(("email", "EQ", "a@example.com"))
        assert (await hubspot.post(CONTACTS, json=by_email)).json()["total"] == 0
        # A read by id does not lag.
        assert (await hubspot.get(f"/crm/objects/2026-09/contacts/{contact_id}")).status_code == 200
        clock.now = 5
        assert (await hubspot.post(CONTACTS, json=by_email)).json()["total"] == 1
        emulator.edit_as_other_actor("contacts", contact_id, {"firstname": "B"})
        assert (await hubspot.post(CONTACTS, json=by_email)).json()["results"][0]["properties"][
            "firstname"
        ] == "A"
        emulator.settle_search()
        assert (await hubspot.post(CONTACTS, json=by_email)).json()["results"][0]["properties"][
            "firstname"
        ] == "B"


async def test_a_change_made_without_a_lag_does_not_overtake_an_earlier_one(build: Any) -> None:
    from tests.hubspot_emulator.conftest import caller

    clock = Clock()
    emulator = build(monotonic=clock)
    contact_id = emulator.seed({"contacts": [{"email": "a@example.com", "firstname": "A"}]})["contacts"][0]
    emulator.switches.search_lag_seconds = 5
    emulator.edit_as_other_actor("contacts", contact_id, {"firstname": "B"})
    emulator.switches.search_lag_seconds = 0
    emulator.edit_as_other_actor("contacts", contact_id, {"firstname": "C"})
    clock.now = 5
    async with caller(emulator) as hubspot:
        [found] = (await hubspot.post(CONTACTS, json={})).json()["results"]
    assert found["properties"]["firstname"] == "C"
