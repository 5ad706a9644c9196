"""Burst, search and daily limits, with their headers and bodies."""

from datetime import UTC, datetime, timedelta

import httpx
from tests.hubspot_emulator.conftest import Build, caller

from hubspot_emulator import EmulatorLimits

CONTACTS = "/crm/objects/2026-09/contacts"


class Clock:
    """Both clocks of the emulator, moved by hand."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds

    def __call__(self) -> datetime:
        return datetime(2026, 11, 2, tzinfo=UTC) + timedelta(seconds=self.seconds)


async def test_a_burst_is_counted_in_a_sliding_window(build: Build) -> None:
    clock = Clock()
    emulator = build(clock=clock, monotonic=clock.monotonic, limits=EmulatorLimits(burst_per_10s=3))
    async with caller(emulator) as hubspot:
        left = []
        for seconds in (0, 1, 2):
            clock.seconds = seconds
            left.append((await hubspot.get(CONTACTS)).headers["x-hubspot-ratelimit-remaining"])
        assert left == ["2", "1", "0"]
        clock.seconds = 9.9
        refused = await hubspot.get(CONTACTS)
        assert refused.status_code == 429
        assert refused.json()["policyName"] == "TEN_SECONDLY_ROLLING"
        assert refused.json()["errorType"] == "RATE_LIMIT"
        assert refused.headers["x-hubspot-ratelimit-max"] == "3"
        assert "retry-after" not in refused.headers
        clock.seconds = 10
        assert (await hubspot.get(CONTACTS)).status_code == 200
        assert (await hubspot.get(CONTACTS)).status_code == 429


async def test_searches_have_a_second_of_their_own_and_no_headers(build: Build) -> None:
    clock = Clock()
    limits = EmulatorLimits(burst_per_10s=100, search_per_second=2)
    emulator = build(clock=clock, monotonic=clock.monotonic, limits=limits)
    async with caller(emulator) as hubspot:
        answers = [await hubspot.post(f"{CONTACTS}/search", json={}) for _ in range(3)]
        assert [each.status_code for each in answers] == [200, 200, 429]
        assert not any(name.startswith("x-hubspot-ratelimit") for name in answers[0].headers)
        assert answers[2].json()["category"] == "RATE_LIMITS"
        assert "policyName" not in answers[2].json()
        clock.seconds = 1
        assert (await hubspot.post(f"{CONTACTS}/search", json={})).status_code == 200


async def test_the_day_ends_at_midnight(build: Build) -> None:
    clock = Clock()
    emulator = build(clock=clock, monotonic=clock.monotonic, limits=EmulatorLimits(daily=1))
    async with caller(emulator) as hubspot:
        first = await hubspot.get(CONTACTS)
        assert first.headers["x-hubspot-ratelimit-daily-remaining"] == "0"
        refused = await hubspot.get(CONTACTS)
        assert (refused.status_code, refused.json()["policyName"]) == (429, "DAILY")
        assert set(refused.json()) == {
            "status",
            "message",
            "errorType",
            "correlationId",
            "policyName",
            "requestId",
        }
        assert (await hubspot.post(f"{CONTACTS}/search", json={})).json()["policyName"] == "DAILY"
        clock.seconds = 86_400
        assert (await hubspot.get(CONTACTS)).status_code == 200


async def test_what_a_burst_refuses_is_not_counted_for_the_day(build: Build) -> None:
    clock = Clock()
    limits = EmulatorLimits(burst_per_10s=1, daily=2)
    emulator = build(clock=clock, monotonic=clock.monotonic, limits=limits)
    async with caller(emulator) as hubspot:
        assert [(await hubspot.get(CONTACTS)).status_code for _ in range(5)] == [200, 429, 429, 429, 429]
        clock.seconds = 10
        last = await hubspot.get(CONTACTS)
        assert (last.status_code, last.headers["x-hubspot-ratelimit-daily-remaining"]) == (200, "0")


async def test_an_oauth_token_is_told_nothing_of_the_day(build: Build) -> None:
    emulator = build(limits=EmulatorLimits(burst_per_10s=10, daily=100))
    refresh = {
        "grant_type": "refresh_token",
        "client_id": "demo-client-id",
        "client_secret": "demo-client-secret",
        "refresh_token": "demo-refresh-token",
    }
    async with caller(emulator) as hubspot:
        token = (await hubspot.post("/oauth/2026-09/token", data=refresh)).json()["access_token"]
        static = await hubspot.get(CONTACTS)
        issued = await hubspot.get(CONTACTS, headers={"Authorization": f"Bearer {token}"})
    daily = {"x-hubspot-ratelimit-daily", "x-hubspot-ratelimit-daily-remaining"}
    assert daily <= set(static.headers)
    assert not daily & set(issued.headers)
    assert issued.headers["x-hubspot-ratelimit-remaining"] == "8"


async def test_without_limits_there_are_no_headers(hubspot: httpx.AsyncClient) -> None:
    answer = await hubspot.get(CONTACTS)
    assert not any(name.startswith("x-hubspot-ratelimit") for name in answer.headers)
