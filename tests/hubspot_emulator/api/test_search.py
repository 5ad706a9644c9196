"""Search, through HTTP requests without a client library."""

from typing import Any

import httpx
import pytest
from tests.hubspot_emulator.conftest import Build, ManualClock, hubspot_client

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
        # HubSpot requires the values of IN in lower case.
        ([("dealname", "IN", ["Fleet Alpha"])], []),
        ([("dealname", "NOT_IN", ["fleet alpha"])], [1, 2, 3]),
        ([("dealname", "CONTAINS_TOKEN", "fleet")], [0, 1, 2]),
        ([("dealname", "CONTAINS_TOKEN", "alp*")], [0]),
        ([("dealname", "CONTAINS_TOKEN", "*PHA")], [0]),
        ([("dealname", "CONTAINS_TOKEN", "f*t g*a")], [2]),
        # Only the asterisk is a wildcard.
        ([("dealname", "CONTAINS_TOKEN", "alph?")], []),
        ([("dealname", "CONTAINS_TOKEN", "[ab]lpha")], []),
        ([("dealname", "NOT_CONTAINS_TOKEN", "fleet")], [3]),
        # The stored probability is a long binary fraction.
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
async def test_search_operator_matches_expected_deals(
    hubspot: httpx.AsyncClient,
    deals: dict[str, list[str]],
    rows: list[tuple[str, str, Any]],
    expected: list[int],
) -> None:
    response = await hubspot.post(DEALS, json=filters(*rows))
    assert response.status_code == 200, response.text
    assert [result["id"] for result in response.json()["results"]] == [
        deals["deals"][index] for index in expected
    ]
    assert response.json()["total"] == len(expected)


async def test_search_between_includes_both_ends(
    hubspot: httpx.AsyncClient, deals: dict[str, list[str]]
) -> None:
    row = {"propertyName": "amount", "operator": "BETWEEN", "value": "9", "highValue": "10"}
    response = await hubspot.post(DEALS, json={"filterGroups": [{"filters": [row]}]})
    assert [result["id"] for result in response.json()["results"]] == deals["deals"][:2]


async def test_search_matches_records_of_any_filter_group(
    hubspot: httpx.AsyncClient, deals: dict[str, list[str]]
) -> None:
    groups = [
        filters(("amount", "EQ", "9"))["filterGroups"][0],
        filters(("amount", "EQ", "10"))["filterGroups"][0],
    ]
    response = await hubspot.post(DEALS, json={"filterGroups": groups})
    assert response.json()["total"] == 2
    response = await hubspot.post("/crm/v3/objects/deals/search", json={"filters": groups[0]["filters"]})
    assert response.json()["total"] == 1


async def test_search_by_association_finds_deals(
    hubspot: httpx.AsyncClient, deals: dict[str, list[str]]
) -> None:
    response = await hubspot.post(DEALS, json=filters(("associations.contact", "EQ", deals["contacts"][0])))
    assert [result["id"] for result in response.json()["results"]] == deals["deals"][:3]


@pytest.mark.parametrize(
    ("query", "expected"), [("fleet al", [0]), ("BETA", [1]), ("eet", []), ("closedwon", [2])]
)
async def test_search_query_matches_word_prefixes(
    hubspot: httpx.AsyncClient, deals: dict[str, list[str]], query: str, expected: list[int]
) -> None:
    response = await hubspot.post(DEALS, json={"query": query})
    assert [result["id"] for result in response.json()["results"]] == [
        deals["deals"][index] for index in expected
    ]


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ({"propertyName": "amount", "direction": "DESCENDING"}, [2, 1, 0, 3]),
        ({"propertyName": "amount"}, [0, 1, 2, 3]),
        ("-amount", [2, 1, 0, 3]),
        ({"propertyName": "dealname", "direction": "ASCENDING"}, [0, 1, 2, 3]),
    ],
)
async def test_search_returns_results_in_sort_order(
    hubspot: httpx.AsyncClient, deals: dict[str, list[str]], sort: Any, expected: list[int]
) -> None:
    response = await hubspot.post(DEALS, json={"sorts": [sort]})
    assert [result["id"] for result in response.json()["results"]] == [
        deals["deals"][index] for index in expected
    ]


async def test_last_search_page_has_no_paging(
    hubspot: httpx.AsyncClient, deals: dict[str, list[str]]
) -> None:
    first = (await hubspot.post(DEALS, json={"limit": 3})).json()
    assert first["paging"]["next"]["after"] == "3"
    second = (await hubspot.post(DEALS, json={"limit": 3, "after": "3"})).json()
    assert "paging" not in second
    assert [result["id"] for result in first["results"] + second["results"]] == deals["deals"]


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
async def test_invalid_search_returns_400(
    hubspot: httpx.AsyncClient, deals: dict[str, list[str]], body: dict[str, Any]
) -> None:
    response = await hubspot.post(DEALS, json=body)
    assert response.status_code == 400, response.text


async def test_search_excludes_archived_records(
    hubspot: httpx.AsyncClient, emulator: Emulator, deals: dict[str, list[str]]
) -> None:
    emulator.archive_as_other_actor("deals", deals["deals"][0])
    assert (await hubspot.post(DEALS, json={})).json()["total"] == 3


async def test_search_index_applies_changes_after_lag(build: Build) -> None:
    clock = ManualClock()
    emulator = build(monotonic=clock.monotonic, search_lag_seconds=5)
    async with hubspot_client(emulator) as hubspot:
        body = {"properties": {"email": "a@example.com", "firstname": "A"}}
        contact_id = (await hubspot.post("/crm/objects/2026-09/contacts", json=body)).json()["id"]
        by_email = filters(("email", "EQ", "a@example.com"))
        assert (await hubspot.post(CONTACTS, json=by_email)).json()["total"] == 0
        # A read by ID is not delayed.
        assert (await hubspot.get(f"/crm/objects/2026-09/contacts/{contact_id}")).status_code == 200
        clock.seconds = 5
        assert (await hubspot.post(CONTACTS, json=by_email)).json()["total"] == 1
        emulator.edit_as_other_actor("contacts", contact_id, {"firstname": "B"})
        assert (await hubspot.post(CONTACTS, json=by_email)).json()["results"][0]["properties"][
            "firstname"
        ] == "A"
        emulator.settle_search()
        assert (await hubspot.post(CONTACTS, json=by_email)).json()["results"][0]["properties"][
            "firstname"
        ] == "B"


async def test_search_index_applies_changes_in_order_if_lag_shrinks(build: Build) -> None:
    clock = ManualClock()
    emulator = build(monotonic=clock.monotonic)
    contact_id = emulator.seed({"contacts": [{"email": "a@example.com", "firstname": "A"}]})["contacts"][0]
    emulator.switches.search_lag_seconds = 5
    emulator.edit_as_other_actor("contacts", contact_id, {"firstname": "B"})
    emulator.switches.search_lag_seconds = 0
    emulator.edit_as_other_actor("contacts", contact_id, {"firstname": "C"})
    clock.seconds = 5
    async with hubspot_client(emulator) as hubspot:
        [found] = (await hubspot.post(CONTACTS, json={})).json()["results"]
    assert found["properties"]["firstname"] == "C"
