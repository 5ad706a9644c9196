"""Quota of creates: each is a live read of the customer's contact, then the create."""

import asyncio
import time
from collections import Counter

import httpx
import pytest
from fastapi import FastAPI
from tests.support.builders import deal_body
from tests.support.callers import Caller, assert_problem, register_caller
from tests.support.records import calls

from crm_api.hubspot import LocalQuota
from crm_api.settings import Settings
from hubspot_emulator import Emulator
from hubspot_emulator.state import limits

BURST = 40
# A window of ten seconds would make the test slow.
WINDOW_SECONDS = 2.0
DEADLINE_SECONDS = 4.0
CUSTOMERS = 5
CREATES = 180
# Creates that start within a window, as a multiple of the calls that are allowed.
DEMAND = 3


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(
        update={"request_deadline_seconds": DEADLINE_SECONDS, "max_record_requests_per_user": CREATES}
    )


async def test_creates_above_the_quota_rarely_use_calls_in_vain(
    app: FastAPI, client: httpx.AsyncClient, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    customers = [
        await register_caller(client, f"customer{number}@example.com") for number in range(CUSTOMERS)
    ]
    await customers[0].post("/api/deals", json=deal_body())  # caches the schema
    monkeypatch.setattr(limits, "_BURST_SECONDS", WINDOW_SECONDS)
    emulator.limits.burst_per_10s = BURST
    app.state.hubspot.sender.quota = LocalQuota(burst_limit=BURST, burst_window_seconds=WINDOW_SECONDS)
    emulator.clear_requests()
    creates = []
    for number in range(CREATES):
        creates.append(
            asyncio.create_task(customers[number % CUSTOMERS].post("/api/deals", json=deal_body()))
        )
        # Creates that start at the same time would be read all before any of them is written.
        await asyncio.sleep(WINDOW_SECONDS / (DEMAND * BURST))
    responses = await asyncio.gather(*creates)
    statuses = Counter(response.status_code for response in responses)
    started = sum(call.startswith("GET ") for call in calls(emulator))
    assert set(statuses) <= {201, 503}
    assert statuses[201] > 0.75 * started


async def test_create_without_time_for_its_write_makes_no_call(
    customer: Caller, app: FastAPI, emulator: Emulator
) -> None:
    await customer.post("/api/deals", json=deal_body())  # caches the schema
    window = app.state.hubspot.sender.quota.windows["burst"]
    # The read could wait this long, but then the create could not be sent in time.
    window.block_until(time.monotonic() + 0.7 * DEADLINE_SECONDS)
    emulator.clear_requests()
    response = await customer.post("/api/deals", json=deal_body())
    assert_problem(response, 503, "hubspot_unavailable")
    assert int(response.headers["retry-after"]) >= 1
    assert calls(emulator) == []
