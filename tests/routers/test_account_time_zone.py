"""Dates without time in HubSpot accounts of several time zones."""

import pytest
from tests.support.builders import deal_body
from tests.support.callers import Caller, assert_problem
from tests.support.records import search_all, seed_deals

from hubspot_emulator import Emulator, create_emulator

ZONES = {
    "America/Los_Angeles": ("2026-12-31T08:00:00.000Z", "2027-01-01T07:59:59.999Z"),
    "Asia/Kolkata": ("2026-12-30T18:30:00.000Z", "2026-12-31T18:29:59.999Z"),
    "UTC": ("2026-12-31T00:00:00.000Z", "2026-12-31T23:59:59.999Z"),
}


@pytest.fixture(params=ZONES)
def zone(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def emulator(zone: str, emulator: Emulator) -> Emulator:
    emulator.switches.time_zone = zone
    return emulator


async def test_close_date_without_time_begins_in_account_zone(
    customer: Caller, emulator: Emulator, zone: str
) -> None:
    first, _ = ZONES[zone]
    emulator.clear_requests()
    created = await customer.post("/api/deals", deal_body(closedate="2026-12-31"))
    assert created.status_code == 201, created.text
    [deal] = emulator.records("deals")
    assert deal.properties["closedate"] == first
    # The zone was read at start.
    assert not [request for request in emulator.requests if "account-info" in request.path]


@pytest.mark.parametrize("role", ["customer", "staff"])
@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"operator": "EQ", "value": "2026-12-31"}, {"first", "last"}),
        ({"operator": "LT", "value": "2026-12-31"}, {"before"}),
        ({"operator": "LTE", "value": "2026-12-31"}, {"before", "first", "last"}),
        ({"operator": "GT", "value": "2026-12-31"}, {"after"}),
        ({"operator": "GTE", "value": "2026-12-31"}, {"first", "last", "after"}),
        ({"operator": "BETWEEN", "value": "2026-12-31", "high_value": "2026-12-31"}, {"first", "last"}),
    ],
)
async def test_date_filter_means_the_day_in_account_zone(
    customer: Caller,
    staff: Caller,
    emulator: Emulator,
    zone: str,
    role: str,
    condition: dict[str, str],
    expected: set[str],
) -> None:
    first, last = ZONES[zone]
    times = {"first": first, "last": last}
    times["before"] = "2026-12-30T08:00:00.000Z"
    times["after"] = "2027-01-01T08:00:00.000Z"
    for name, value in times.items():
        seed_deals(emulator, customer.contact_id, 1, closedate=value, dealname=name)
    filters = [{"property": "closedate"} | condition]
    caller = customer if role == "customer" else staff
    found = await search_all(caller, "/api/deals/search", filters=filters)
    assert {deal["dealname"] for deal in found} == expected


async def test_day_before_the_first_year_in_utc_returns_400(customer: Caller, zone: str) -> None:
    response = await customer.post("/api/deals", deal_body(closedate="0001-01-01"))
    if zone == "Asia/Kolkata":
        assert_problem(response, 400, "validation_error", fields=["closedate"])
    else:
        assert response.status_code == 201, response.text


def test_emulator_refuses_unknown_time_zone() -> None:
    emulator = create_emulator()
    with pytest.raises(ValueError, match="time_zone"):
        emulator.switches.update({"time_zone": "Mars/Olympus"})
    emulator.close()
