"""Burst, search and daily limits, with their headers and bodies."""

import httpx
from tests.hubspot_emulator.conftest import Build, ManualClock, hubspot_client

from hubspot_emulator import EmulatorLimits

CONTACTS = "/crm/objects/2026-09/contacts"


async def test_burst_limit_uses_a_sliding_window(build: Build) -> None:
    clock = ManualClock()
    emulator = build(clock=clock, monotonic=clock.monotonic, limits=EmulatorLimits(burst_per_10s=3))
    async with hubspot_client(emulator) as hubspot:
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


async def test_search_limit_is_separate_and_sends_no_rate_limit_header(build: Build) -> None:
    clock = ManualClock()
    limits = EmulatorLimits(burst_per_10s=100, search_per_second=2)
    emulator = build(clock=clock, monotonic=clock.monotonic, limits=limits)
    async with hubspot_client(emulator) as hubspot:
        responses = [await hubspot.post(f"{CONTACTS}/search", json={}) for _ in range(3)]
        assert [response.status_code for response in responses] == [200, 200, 429]
        assert not any(name.startswith("x-hubspot-ratelimit") for name in responses[0].headers)
        assert responses[2].json()["errorType"] == "RATE_LIMIT"
        assert not {"category", "policyName"} & set(responses[2].json())
        assert "policyName" not in responses[2].json()
        clock.seconds = 1
        assert (await hubspot.post(f"{CONTACTS}/search", json={})).status_code == 200


async def test_daily_limit_resets_at_midnight(build: Build) -> None:
    clock = ManualClock()
    emulator = build(clock=clock, monotonic=clock.monotonic, limits=EmulatorLimits(daily=1))
    async with hubspot_client(emulator) as hubspot:
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


async def test_daily_limit_ignores_requests_refused_by_burst(build: Build) -> None:
    clock = ManualClock()
    limits = EmulatorLimits(burst_per_10s=1, daily=2)
    emulator = build(clock=clock, monotonic=clock.monotonic, limits=limits)
    async with hubspot_client(emulator) as hubspot:
        assert [(await hubspot.get(CONTACTS)).status_code for _ in range(5)] == [200, 429, 429, 429, 429]
        clock.seconds = 10
        last = await hubspot.get(CONTACTS)
        assert (last.status_code, last.headers["x-hubspot-ratelimit-daily-remaining"]) == (200, "0")


async def test_request_with_oauth_token_gets_no_daily_headers(build: Build) -> None:
    emulator = build(limits=EmulatorLimits(burst_per_10s=10, daily=100))
    refresh = {
        "grant_type": "refresh_token",
        "client_id": "demo-client-id",
        "client_secret": "demo-client-secret",
        "refresh_token": "demo-refresh-token",
    }
    async with hubspot_client(emulator) as hubspot:
        token = (await hubspot.post("/oauth/2026-09/token", data=refresh)).json()["access_token"]
        static = await hubspot.get(CONTACTS)
        issued = await hubspot.get(CONTACTS, headers={"Authorization": f"Bearer {token}"})
    daily = {"x-hubspot-ratelimit-daily", "x-hubspot-ratelimit-daily-remaining"}
    assert daily <= set(static.headers)
    assert not daily & set(issued.headers)
    assert issued.headers["x-hubspot-ratelimit-remaining"] == "8"


async def test_emulator_without_limits_sends_no_rate_limit_headers(hubspot: httpx.AsyncClient) -> None:
    response = await hubspot.get(CONTACTS)
    assert not any(name.startswith("x-hubspot-ratelimit") for name in response.headers)
