"""Fixtures: emulators whose responses are checked against HubSpot's OpenAPI documents, and their clients."""

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import uvicorn
from tests.support.emulator_transport import EmulatorTransport
from tests.support.hubspot_contract import checked_against_documents

from hubspot_emulator import Emulator, create_emulator
from hubspot_emulator.serve import config

Build = Callable[..., Emulator]


class ManualClock:
    """Wall clock and monotonic clock of an emulator, set by the test."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds

    def __call__(self) -> datetime:
        return datetime(2026, 11, 2, tzinfo=UTC) + timedelta(seconds=self.seconds)


@pytest.fixture
def build() -> Generator[Build, None, None]:
    """Build emulators, check their responses against HubSpot's documents, and close them."""
    with ExitStack() as stack:

        def create(*args: Any, **switches: Any) -> Emulator:
            emulator = create_emulator(*args, **switches)
            stack.callback(emulator.close)
            stack.enter_context(checked_against_documents(emulator))
            return emulator

        yield create


@pytest.fixture
def emulator(build: Build) -> Emulator:
    return build()


def hubspot_client(emulator: Emulator, token: str = "demo-access-token") -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=EmulatorTransport(emulator),
        base_url="http://hubspot.example",
        headers={"Authorization": f"Bearer {token}"},
    )


@pytest.fixture
async def hubspot(emulator: Emulator) -> AsyncGenerator[httpx.AsyncClient, None]:
    async with hubspot_client(emulator) as client:
        yield client


@contextmanager
def served(emulator: Emulator, *, http: str | None = None) -> Generator[str, None, None]:
    """Serve the emulator on a socket, in a thread, and yield its address."""
    server = uvicorn.Server(config(emulator, host="127.0.0.1", port=0, http=http))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
    thread.start()
    try:
        deadline = time.monotonic() + 10
        while not server.started:
            assert thread.is_alive()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(10)
