"""Requests whose text is expensive to compare: the event loop must stay free for other users."""

import asyncio
import time
from collections.abc import Awaitable
from typing import Any

import httpx
import pytest
from tests.support.callers import Caller
from tests.support.records import condition, create_deal_as, seed_deals

from hubspot_emulator import Emulator

# Without the defences, each of these requests stalls the process for 2 to 20 s.
MAX_STALL_SECONDS = 1.0
MARKS = "\u0301\u0323"
LONG_TEXT = "a" + MARKS * 32_767


async def longest_stall(request: Awaitable[httpx.Response]) -> float:
    """Return the longest time in seconds for which the event loop did nothing else during this request."""
    longest, done = 0.0, asyncio.Event()

    async def watch() -> None:
        nonlocal longest
        last = time.process_time()
        while not done.is_set():
            await asyncio.sleep(0)
            now = time.process_time()
            longest, last = max(longest, now - last), now

    watcher = asyncio.create_task(watch())
    await asyncio.sleep(0)
    response = await request
    done.set()
    await watcher
    assert response.status_code == 200, response.text
    return longest


@pytest.mark.parametrize("path", ["/api/search?q=x", "/api/deals?sort=description"])
async def test_combining_marks_in_record_do_not_stall_event_loop(
    customer: Caller, emulator: Emulator, path: str
) -> None:
    seed_deals(emulator, customer.contact_id, 2, description=LONG_TEXT)
    assert await longest_stall(customer.get(path)) < MAX_STALL_SECONDS


async def test_combining_marks_in_filter_do_not_stall_event_loop(
    customer: Caller, emulator: Emulator
) -> None:
    seed_deals(emulator, customer.contact_id, 100)
    values = [MARKS * 245 + f" {index}" for index in range(50)]
    body: dict[str, Any] = {"filters": [condition("dealname", "IN", values=values)] * 5}
    assert await longest_stall(customer.post("/api/deals/search", body)) < MAX_STALL_SECONDS


async def test_combining_marks_in_new_deal_do_not_stall_event_loop(staff: Caller, emulator: Emulator) -> None:
    await create_deal_as(staff, contact_id=staff.contact_id, description=LONG_TEXT)
    seed_deals(emulator, staff.contact_id, 5, description=LONG_TEXT)
    emulator.settle_search()
    request = staff.get("/api/deals?sort=description&limit=100")
    assert await longest_stall(request) < MAX_STALL_SECONDS
