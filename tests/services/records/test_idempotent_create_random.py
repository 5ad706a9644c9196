"""Exactly once in any order of events: what fails, lags, is cancelled or taken over is drawn by a dice."""

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
from crm_api.services.hubspot_account.provisioning import provision
from crm_api.services.idempotency import Attempt, Idempotency, run_once
from crm_api.services.properties.mapping import TICKET_CATEGORIES
from crm_api.services.records.idempotent_create import reserve_idempotency_property
from hubspot_emulator import Emulator

KEYS, MOST_TRIES, AT_ONCE = 50, 6, 8
BAD_SHARE, DEADLINE_SECONDS = 0.6, 0.5


class Weather(httpx.AsyncBaseTransport):
    """HubSpot behind a bad network: it acts and the answer is lost, or not even that; what it made shows late."""

    def __init__(self, emulator: Emulator, seed: int) -> None:
        self._transport = EmulatorTransport(emulator)
        self.dice = random.Random(seed)
        self.is_bad = False
        self.happened: Counter[str] = Counter()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        for _ in range(self.dice.randrange(4)):
            await asyncio.sleep(0)
        event = self._draw(request)
        self.happened[event] += 1
        if event == "refused connection":
            raise httpx.ConnectError("the dice", request=request)
        if event == "lost before":
            raise httpx.ReadError("the dice", request=request)
        if event in ("busy", "broken", "locked"):
            status = {"busy": 429, "broken": 502, "locked": 423}[event]
            return httpx.Response(status, headers={"Retry-After": "0.05"}, json={"message": "the dice"})
        if event == "not shown yet":
            return httpx.Response(404, json={"message": "resource not found"})
        answer = await self._transport.handle_async_request(request)
        if event == "lost after":
            await answer.aread()
            raise httpx.ReadError("the dice", request=request)
        if event == "unreadable":
            return httpx.Response(answer.status_code, content=b'{"id": "1", "prop')
        return answer

    def _draw(self, request: httpx.Request) -> str:
        if not self.is_bad or self.dice.random() > BAD_SHARE:
            return "fine"
        events = ["refused connection", "lost before", "lost after", "busy", "broken", "locked", "unreadable"]
        if "idProperty" in str(request.url):
            events += ["not shown yet"] * 3
        return self.dice.choice(events)

    async def aclose(self) -> None:
        await self._transport.aclose()


class ResponseModel(BaseModel):
    """What a creating request is answered."""

    id: str


class Client:
    """Somebody with a key, who tries in every way until it is enough."""

    def __init__(
        self, session_factory: SessionFactory, hubspot: HubSpotClient, dice: random.Random, name: str
    ) -> None:
        self._session_factory = session_factory
        self._hubspot = hubspot
        self._dice = dice
        self.name = name
        self._key = Idempotency.of(
            "secret", name, operation="test", owner="me", body=ResponseModel(id="x"), lease_seconds=15
        )
        self.created: set[str] = set()
        self.outcomes: Counter[str] = Counter()

    async def send(self) -> str:
        """Send the request; every success is noted."""
        with call_context(DEADLINE_SECONDS):
            try:
                answered = await run_once(self._session_factory, self._key, self._create)
            except HubSpotError as error:
                return type(error).__name__
            except ApiError as error:
                return error.error_type.code
        self.created.add(ResponseModel.model_validate_json(answered.body).id)
        return "created"

    async def _create(self, attempt: Attempt) -> ResponseModel:
        record = await self._hubspot.deals.create(
            {"dealname": self.name, "dealstage": "qualifiedtobuy"},
            unique=await reserve_idempotency_property(self._hubspot, "deals", attempt),
            is_retry=attempt.is_retry,
        )
        return ResponseModel(id=record.id)

    async def try_everything(self) -> None:
        """Try alone, twice at once, given up in the middle, and taken over while it goes on."""
        for _ in range(self._dice.randint(1, MOST_TRIES)):
            tries = [asyncio.create_task(self.send()) for _ in range(self._dice.choice([1, 1, 1, 2]))]
            if self._dice.random() < 0.5:
                for _ in range(self._dice.randrange(60)):
                    await asyncio.sleep(0)
                if self._dice.random() < 0.5:
                    self._dice.choice(tries).cancel()
                else:
                    await expire_leases(self._session_factory, self._key.row_id)
                    tries.append(asyncio.create_task(self.send()))
            for outcome in await asyncio.gather(*tries, return_exceptions=True):
                assert not isinstance(outcome, Exception), outcome
                self.outcomes[str(outcome) or "cancelled"] += 1
            if self._dice.random() < 0.8:
                await expire_leases(self._session_factory, self._key.row_id)
            if self.created and self._dice.random() < 0.7:
                return


async def expire_leases(session_factory: SessionFactory, row_id: str | None = None) -> None:
    """As time would; one row at a time while others are at work, who lock them in an order of their own."""
    statement = update(IdempotencyKey).where(IdempotencyKey.status.is_(None)).values(lease_until=now())
    if row_id is not None:
        statement = statement.where(IdempotencyKey.id == row_id)
    async with session_factory.begin() as database:
        await database.execute(statement)


@pytest.fixture
def weather(emulator: Emulator) -> Weather:
    return Weather(emulator, seed=4012)


@pytest.fixture
async def hubspot(weather: Weather) -> AsyncGenerator[HubSpotClient, None]:
    """A client that gives up soon, and that no bad weather makes leave HubSpot alone."""
    client = HubSpotClient(
        base_url="http://hubspot.example",
        auth=StaticTokenAuth("test-access-token"),
        transport=weather,
        circuits=Circuits(failure_threshold=1_000_000),
        retry=RetryPolicy(max_attempts=2, base=0.01),
        retry_budget=RetryBudget(share=1.0, burst=1000),
        quota=LocalQuota(burst_limit=100_000),
    )
    yield client
    await client.aclose()


async def all_try(session_factory: SessionFactory, hubspot: HubSpotClient, weather: Weather) -> list[Client]:
    clients = [Client(session_factory, hubspot, weather.dice, f"deal-{number}") for number in range(KEYS)]
    weather.is_bad = True
    for start in range(0, KEYS, AT_ONCE):
        await asyncio.gather(*(client.try_everything() for client in clients[start : start + AT_ONCE]))
    weather.is_bad = False
    await expire_leases(session_factory)
    return clients


def count(emulator: Emulator) -> Counter[str | None]:
    return Counter(record.properties["dealname"] for record in emulator.records("deals"))


async def test_each_key_creates_one_record_if_provisioned(
    app: FastAPI, hubspot: HubSpotClient, emulator: Emulator, weather: Weather
) -> None:
    await provision(hubspot, TICKET_CATEGORIES)
    clients = await all_try(app.state.session_factory, hubspot, weather)
    doubled = {name for name, number in count(emulator).items() if number > 1}
    assert not doubled, [each.outcomes for each in clients if each.name in doubled]
    for each in clients:
        assert await each.send() == "created", each.outcomes
        assert len(each.created) == 1
    assert count(emulator) == Counter({each.name: 1 for each in clients})
    assert len(weather.happened) > 6
    outcomes = sum((each.outcomes for each in clients), Counter[str]())
    assert len(outcomes) > 3, outcomes


async def test_no_key_creates_two_records_if_provisioned_later(
    app: FastAPI, hubspot: HubSpotClient, emulator: Emulator, weather: Weather
) -> None:
    clients = await all_try(app.state.session_factory, hubspot, weather)
    await provision(hubspot, TICKET_CATEGORIES)
    for each in clients:
        assert await each.send() in ("created", "outcome_unknown")
        assert len(each.created) <= 1
    doubled = {name for name, number in count(emulator).items() if number > 1}
    assert not doubled, [each.outcomes for each in clients if each.name in doubled]
