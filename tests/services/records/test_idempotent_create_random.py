"""Exactly-once creation under random failures, delays, cancellations and takeovers."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncGenerator

import httpx
import pytest
from fastapi import FastAPI
from pydantic import BaseModel
from sqlalchemy import update
from tests.support.emulator_transport import EmulatorTransport

from crm_api.database import SessionFactory
from crm_api.errors import ApiError
from crm_api.hubspot import (
    Circuits,
    HubSpotClient,
    HubSpotError,
    LocalQuota,
    RetryBudget,
    RetryPolicy,
    StaticTokenAuth,
    call_context,
)
from crm_api.models import IdempotencyKey, now
from crm_api.security.crypto import KeyRing
from crm_api.services.hubspot_account.provisioning import provision
from crm_api.services.idempotency import Attempt, Idempotency, run_once
from crm_api.services.properties.categories import TICKET_CATEGORIES
from crm_api.services.records.idempotent_create import reserve_idempotency_property
from hubspot_emulator import Emulator

KEYS, MAX_ROUNDS, CONCURRENT_CLIENTS = 50, 6, 8
FAULT_SHARE, DEADLINE_SECONDS = 0.6, 0.5


class FaultyTransport(httpx.AsyncBaseTransport):
    """Transport that loses requests and responses, returns errors, and delays lookups by unique value."""

    def __init__(self, emulator: Emulator, seed: int) -> None:
        self._transport = EmulatorTransport(emulator)
        self.rng = random.Random(seed)
        self.is_faulty = False
        self.event_counts: Counter[str] = Counter()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        for _ in range(self.rng.randrange(4)):
            await asyncio.sleep(0)
        event = self._draw(request)
        self.event_counts[event] += 1
        if event == "refused connection":
            raise httpx.ConnectError("random fault", request=request)
        if event == "lost before":
            raise httpx.ReadError("random fault", request=request)
        if event in ("busy", "broken", "locked"):
            status = {"busy": 429, "broken": 502, "locked": 423}[event]
            return httpx.Response(status, headers={"Retry-After": "0.05"}, json={"message": "random fault"})
        if event == "not shown yet":
            return httpx.Response(404, json={"message": "resource not found"})
        response = await self._transport.handle_async_request(request)
        if event == "lost after":
            await response.aread()
            raise httpx.ReadError("random fault", request=request)
        if event == "unreadable":
            return httpx.Response(response.status_code, content=b'{"id": "1", "prop')
        return response

    def _draw(self, request: httpx.Request) -> str:
        if not self.is_faulty or self.rng.random() > FAULT_SHARE:
            return "fine"
        events = ["refused connection", "lost before", "lost after", "busy", "broken", "locked", "unreadable"]
        if "idProperty" in str(request.url):
            events += ["not shown yet"] * 3
        return self.rng.choice(events)

    async def aclose(self) -> None:
        await self._transport.aclose()


class ResponseModel(BaseModel):
    """Response of the creating request."""

    id: str


class Client:
    """Client that sends the request of one key many times, in random ways."""

    def __init__(
        self, session_factory: SessionFactory, hubspot: HubSpotClient, rng: random.Random, name: str
    ) -> None:
        self._session_factory = session_factory
        self._hubspot = hubspot
        self._rng = rng
        self.name = name
        self._key = Idempotency.of(
            KeyRing("secret"),
            name,
            operation="test",
            owner="me",
            body=ResponseModel(id="x"),
            lease_seconds=15,
        )
        self.created: set[str] = set()
        self.outcomes: Counter[str] = Counter()

    async def send(self) -> str:
        """Send the request and return its outcome. A created ID is added to `created`."""
        with call_context(DEADLINE_SECONDS):
            try:
                stored = await run_once(self._session_factory, self._key, self._create)
            except HubSpotError as error:
                return type(error).__name__
            except ApiError as error:
                return error.error_type.code
        self.created.add(ResponseModel.model_validate_json(stored.body).id)
        return "created"

    async def _create(self, attempt: Attempt) -> ResponseModel:
        record = await self._hubspot.deals.create(
            {"dealname": self.name, "dealstage": "qualifiedtobuy"},
            unique=await reserve_idempotency_property(self._hubspot, "deals", attempt),
            is_retry=attempt.is_retry,
        )
        return ResponseModel(id=record.id)

    async def send_repeatedly(self) -> None:
        """Send once, twice at the same time, with a cancellation, or with a takeover of the lease."""
        for _ in range(self._rng.randint(1, MAX_ROUNDS)):
            tasks = [asyncio.create_task(self.send()) for _ in range(self._rng.choice([1, 1, 1, 2]))]
            if self._rng.random() < 0.5:
                for _ in range(self._rng.randrange(60)):
                    await asyncio.sleep(0)
                if self._rng.random() < 0.5:
                    self._rng.choice(tasks).cancel()
                else:
                    await expire_leases(self._session_factory, self._key.rows[0].row_id)
                    tasks.append(asyncio.create_task(self.send()))
            for outcome in await asyncio.gather(*tasks, return_exceptions=True):
                assert not isinstance(outcome, Exception), outcome
                self.outcomes[str(outcome) or "cancelled"] += 1
            if self._rng.random() < 0.8:
                await expire_leases(self._session_factory, self._key.rows[0].row_id)
            if self.created and self._rng.random() < 0.7:
                return


async def expire_leases(session_factory: SessionFactory, row_id: str | None = None) -> None:
    """End the leases of all rows, or of one row, because concurrent clients lock rows in different orders."""
    statement = update(IdempotencyKey).where(IdempotencyKey.status.is_(None)).values(lease_until=now())
    if row_id is not None:
        statement = statement.where(IdempotencyKey.id == row_id)
    async with session_factory.begin() as database:
        await database.execute(statement)


@pytest.fixture
def transport(emulator: Emulator) -> FaultyTransport:
    return FaultyTransport(emulator, seed=4012)


@pytest.fixture
async def hubspot(transport: FaultyTransport) -> AsyncGenerator[HubSpotClient, None]:
    """Return a client with short retries and a circuit breaker that never opens."""
    client = HubSpotClient(
        base_url="http://hubspot.example",
        auth=StaticTokenAuth("test-access-token"),
        transport=transport,
        circuits=Circuits(failure_threshold=1_000_000),
        retry=RetryPolicy(max_attempts=2, base=0.01),
        retry_budget=RetryBudget(share=1.0, burst=1000),
        quota=LocalQuota(burst_limit=100_000),
    )
    yield client
    await client.aclose()


async def send_all(
    session_factory: SessionFactory, hubspot: HubSpotClient, transport: FaultyTransport
) -> list[Client]:
    clients = [Client(session_factory, hubspot, transport.rng, f"deal-{number}") for number in range(KEYS)]
    transport.is_faulty = True
    for start in range(0, KEYS, CONCURRENT_CLIENTS):
        await asyncio.gather(
            *(client.send_repeatedly() for client in clients[start : start + CONCURRENT_CLIENTS])
        )
    transport.is_faulty = False
    await expire_leases(session_factory)
    return clients


def deal_counts(emulator: Emulator) -> Counter[str | None]:
    return Counter(record.properties["dealname"] for record in emulator.records("deals"))


async def test_each_key_creates_one_record_despite_random_faults(
    app: FastAPI, hubspot: HubSpotClient, emulator: Emulator, transport: FaultyTransport
) -> None:
    await provision(hubspot, TICKET_CATEGORIES)
    clients = await send_all(app.state.session_factory, hubspot, transport)
    duplicates = {name for name, count in deal_counts(emulator).items() if count > 1}
    assert not duplicates, [client.outcomes for client in clients if client.name in duplicates]
    for client in clients:
        assert await client.send() == "created", client.outcomes
        assert len(client.created) == 1
    assert deal_counts(emulator) == Counter({client.name: 1 for client in clients})
    assert len(transport.event_counts) > 6
    outcomes = sum((client.outcomes for client in clients), Counter[str]())
    assert len(outcomes) > 3, outcomes


async def test_no_key_creates_two_records_if_provisioned_later(
    app: FastAPI, hubspot: HubSpotClient, emulator: Emulator, transport: FaultyTransport
) -> None:
    clients = await send_all(app.state.session_factory, hubspot, transport)
    await provision(hubspot, TICKET_CATEGORIES)
    for client in clients:
        assert await client.send() in ("created", "outcome_unknown")
        assert len(client.created) <= 1
    duplicates = {name for name, count in deal_counts(emulator).items() if count > 1}
    assert not duplicates, [client.outcomes for client in clients if client.name in duplicates]
