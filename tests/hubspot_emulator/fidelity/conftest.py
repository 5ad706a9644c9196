"""Fixture of the fidelity tests: a client of the emulator and, if HUBSPOT_TEST_TOKEN is set, of a real account."""

from collections.abc import AsyncIterator

import httpx
import pytest
from tests.hubspot_emulator.fidelity.records import TOKEN
from tests.support.hubspot_contract import checked_against_documents

from hubspot_emulator import create_emulator


@pytest.fixture(params=["on_emulator", "on_hubspot"] if TOKEN else ["on_emulator"])
async def hubspot(request: pytest.FixtureRequest) -> AsyncIterator[httpx.AsyncClient]:
    if request.param == "on_hubspot":
        async with build_client(httpx.AsyncHTTPTransport(), "https://api.hubapi.com", TOKEN) as client:
            yield client
        return
    emulator = create_emulator()
    with checked_against_documents(emulator):
        async with build_client(
            httpx.ASGITransport(emulator.app), "http://emulator", "demo-access-token"
        ) as client:
            yield client
    emulator.close()


def build_client(transport: httpx.AsyncBaseTransport, base_url: str, token: str) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.AsyncClient(transport=transport, base_url=base_url, headers=headers, timeout=30)
