"""Rotation of SECRET_KEY and JWT_SECRET_KEY: two processes under load, and each use of the keys."""

import asyncio
import itertools
import signal
from collections import Counter, defaultdict
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import select, update
from tests.hubspot_emulator.conftest import served
from tests.support.builders import deal_body
from tests.support.callers import Caller, app_client, assert_problem, register_caller
from tests.support.mail import Mailbox, token_of, with_email_verification
from tests.support.processes import Process, service_process
from tests.support.round_robin import RoundRobin

from crm_api.database import create_engine, create_session_factory
from crm_api.errors import ApiError
from crm_api.hubspot import HubSpotClient, LocalQuota, StaticTokenAuth
from crm_api.models import IdempotencyKey, now
from crm_api.schemas.common import ResponseModel
from crm_api.security.crypto import KeyRing
from crm_api.services.hubspot_account.provisioning import provision
from crm_api.services.idempotency import Attempt, Idempotency, run_once
from crm_api.services.properties.categories import TICKET_CATEGORIES
from crm_api.settings import Settings
from hubspot_emulator import Emulator

OLD, NEW = "the-first-key-of-this-service-0001", "quite-another-value-for-the-next-9"
JWT_OLD, JWT_NEW = "Zk4fQw8yT2mX6vB1nR7cL3pD9sH5jG0a", "uE7rY1qW9oP3iA5sD2fG8hJ4kL6zX0cV"
# The documented steps: every process learns the new key, then signs with it, then loses the old one.
STEPS = (
    {"SECRET_KEY": OLD, "JWT_SECRET_KEY": JWT_OLD},
    {
        "SECRET_KEY": OLD,
        "SECRET_KEY_PREVIOUS": NEW,
        "JWT_SECRET_KEY": JWT_OLD,
        "JWT_SECRET_KEY_PREVIOUS": JWT_NEW,
    },
    {
        "SECRET_KEY": NEW,
        "SECRET_KEY_PREVIOUS": OLD,
        "JWT_SECRET_KEY": JWT_NEW,
        "JWT_SECRET_KEY_PREVIOUS": JWT_OLD,
    },
    {"SECRET_KEY": NEW, "JWT_SECRET_KEY": JWT_NEW},
)
CALLERS, DEALS_PER_STEP = 4, 12


class Load:
    """Callers who create deals at both processes at once, and read lists with cursors, without pause."""

    def __init__(self, client: httpx.AsyncClient, servers: list[Process], callers: list[Caller]) -> None:
        self._client = client
        self._servers = servers
        self.callers = callers
        self._numbers = itertools.count()
        self.deals: dict[str, str] = {}
        """Idempotency key to the ID of each created deal."""
        self.owners: dict[str, int] = {}
        self.cursors: dict[int, str] = {}
        self.statuses: Counter[int] = Counter()
        self.is_ending = False

    async def run(self) -> None:
        await asyncio.gather(*(self._work(number) for number in range(len(self.callers))))

    async def wait_for_deals(self, count: int) -> None:
        async with asyncio.timeout(120):
            while len(self.deals) < count:  # noqa: ASYNC110 - polling is enough for a test
                await asyncio.sleep(0.01)

    async def _work(self, number: int) -> None:
        while not self.is_ending:
            key = f"deal-{next(self._numbers)}"
            self.owners[key] = number
            await self.create(key)
            await self.read_page(number)

    async def create(self, key: str) -> None:
        """Send the create to both processes at once, until one returns it; every 201 has the same ID."""
        while True:
            sent = (self._send(key, server) for server in list(self._servers))
            created = {response.json()["data"]["id"] for response in await asyncio.gather(*sent) if response}
            assert len(created) <= 1, f"{key} was created twice: {created}"
            if created:
                assert self.deals.setdefault(key, *created) in created
                return
            await asyncio.sleep(0.05)

    async def _send(self, key: str, server: Process) -> httpx.Response | None:
        """Return a 201, or None if the process has ended or another request holds the key."""
        headers = self.callers[self.owners[key]].headers | {"Idempotency-Key": key}
        try:
            response = await self._client.post(
                f"{server.url}/api/deals", json=deal_body(dealname=key), headers=headers
            )
        except httpx.TransportError:
            return None
        self.statuses[response.status_code] += 1
        if response.status_code == 201:
            return response
        assert response.status_code in (409, 503), response.text
        return None

    async def read_page(self, number: int) -> None:
        """Read a page with the cursor of an earlier page, which another process may have signed."""
        parameters = {"limit": "1"} | ({"cursor": self.cursors[number]} if number in self.cursors else {})
        try:
            response = await self.callers[number].get("/api/deals", params=parameters)
        except httpx.TransportError:
            return
        self.statuses[response.status_code] += 1
        assert response.status_code in (200, 503), response.text
        if response.status_code == 200 and response.json()["data"]["next_cursor"]:
            self.cursors[number] = response.json()["data"]["next_cursor"]

    async def refresh(self) -> None:
        """Replace the tokens and cursors, as callers do within the lifetime of an access token."""
        for number, caller in enumerate(self.callers):
            body = {"refresh_token": caller.tokens["refresh_token"]}
            response = await caller.client.post("/api/token/refresh", json=body)
            assert response.status_code == 200, response.text
            self.callers[number] = replace(caller, tokens=response.json()["data"])
            self.cursors.pop(number, None)


@pytest.mark.parametrize("database_backend", ["postgresql"], indirect=True)
async def test_rotation_under_load_gives_no_401_and_no_duplicate(
    tmp_path: Path, database_url: str, valkey_url: str, emulator: Emulator
) -> None:
    with served(emulator) as hubspot_url, ExitStack() as stack:
        hubspot = HubSpotClient(
            base_url=hubspot_url, auth=StaticTokenAuth("t"), quota=LocalQuota(burst_limit=10_000)
        )
        await provision(hubspot, TICKET_CATEGORIES)
        await hubspot.aclose()

        def start(step: dict[str, str]) -> Process:
            settings = {"REDIS_URL": valkey_url, "HUBSPOT_BURST_LIMIT": "10000"} | step
            settings |= {
                "RATE_LIMIT_USER": "100000 per 1 minute",
                "RATE_LIMIT_REGISTRATIONS": "1000 per 1 minute",
            }
            return stack.enter_context(
                service_process(
                    tmp_path, database_url=database_url, hubspot_url=hubspot_url, workers=1, **settings
                )
            )

        servers = [start(STEPS[0]) for _ in range(2)]
        transport = RoundRobin(servers)
        async with (
            httpx.AsyncClient(transport=transport, base_url="http://crm.example", timeout=60) as balanced,
            httpx.AsyncClient(timeout=60) as direct,
        ):
            callers = [
                await register_caller(balanced, f"user{number}@example.com") for number in range(CALLERS)
            ]
            load = Load(direct, servers, callers)
            running = asyncio.create_task(load.run())
            for step in STEPS[1:]:
                is_last = step == STEPS[-1]
                if is_last:
                    # The operator waits a day, in which access tokens and idempotency keys expire.
                    await load.refresh()
                    load.deals, earlier = {}, load.deals
                await load.wait_for_deals(len(load.deals) + DEALS_PER_STEP)
                for index in range(len(servers)):
                    ending, servers[index] = servers[index], await asyncio.to_thread(start, step)
                    ending.signal_group(signal.SIGTERM)
                    await load.wait_for_deals(len(load.deals) + DEALS_PER_STEP)
                    await asyncio.to_thread(ending.wait, 60)
                    if running.done():
                        running.result()
                # A retry of an earlier create returns the same deal.
                for key in list(load.deals)[:: max(1, len(load.deals) // 10)]:
                    await load.create(key)
            load.is_ending = True
            await running
    print("statuses:", load.statuses, transport.statuses)  # noqa: T201 - shown by pytest -s
    names = Counter(str(record.properties["dealname"]) for record in emulator.records("deals"))
    assert set(names) >= set(load.deals) | set(earlier)
    assert set(names.values()) == {1}
    assert 401 not in load.statuses
    assert not load.statuses.keys() - {200, 201, 409, 503}


def rotated(settings: Settings, step: int, **changes: object) -> Settings:
    keys = ("SECRET_KEY", "SECRET_KEY_PREVIOUS", "JWT_SECRET_KEY", "JWT_SECRET_KEY_PREVIOUS")
    values = {name.lower(): SecretStr(STEPS[step][name]) if name in STEPS[step] else None for name in keys}
    return settings.model_copy(update=values | changes)


@pytest.mark.parametrize(("writer", "reader"), [(0, 1), (1, 2), (2, 3)])
async def test_tokens_cursors_and_keys_are_valid_in_adjacent_steps(
    settings: Settings, emulator: Emulator, writer: int, reader: int
) -> None:
    async with (
        app_client(rotated(settings, writer), emulator) as first,
        app_client(rotated(settings, reader), emulator) as second,
    ):
        for client, other in ((first, second), (second, first)):
            caller = await register_caller(client, f"{'first' if client is first else 'second'}@example.com")
            elsewhere = replace(caller, client=other)
            for name in ("one", "two"):
                created = await caller.post("/api/deals", deal_body(), headers={"Idempotency-Key": name})
                replayed = await elsewhere.post("/api/deals", deal_body(), headers={"Idempotency-Key": name})
                assert replayed.json() == created.json(), replayed.text
            response = await elsewhere.post(
                "/api/deals", deal_body(dealname="Other"), headers={"Idempotency-Key": "one"}
            )
            assert_problem(response, 422, "idempotency_key_reused")
            cursor = (await caller.get("/api/deals?limit=1")).json()["data"]["next_cursor"]
            assert (await elsewhere.get(f"/api/deals?limit=1&cursor={cursor}")).status_code == 200
            # Within the grace period, the other process returns the same successor.
            refresh = {"refresh_token": caller.tokens["refresh_token"]}
            tokens = [await one.post("/api/token/refresh", json=refresh) for one in (client, other)]
            assert len({response.json()["data"]["refresh_token"] for response in tokens}) == 1
            assert (await elsewhere.delete("/api/me")).status_code == 204


async def test_deleted_user_leaves_no_idempotency_keys_of_either_key(
    settings: Settings, emulator: Emulator
) -> None:
    async with app_client(rotated(settings, 1), emulator) as client:
        caller = await register_caller(client, "ada@example.com")
        await caller.post("/api/deals", deal_body(), headers={"Idempotency-Key": "one"})
    async with app_client(rotated(settings, 2), emulator) as client:
        assert (await replace(caller, client=client).delete("/api/me")).status_code == 204
    engine = create_engine(settings.database_url)
    async with create_session_factory(engine)() as database:
        assert (await database.execute(select(IdempotencyKey))).all() == []
    await engine.dispose()


async def test_mailed_link_survives_a_change_of_the_keys(
    settings: Settings, emulator: Emulator, mailbox: Mailbox
) -> None:
    mailing = with_email_verification(settings, mailbox, email_verification="off")
    async with app_client(rotated(mailing, 0), emulator) as client:
        await register_caller(client, "ada@example.com")
        await client.post("/api/password/forgot", json={"email": "ada@example.com"})
    async with app_client(rotated(mailing, 3), emulator) as client:
        body = {"token": token_of(mailbox.mails_to("ada@example.com")[-1]), "password": "a new lighthouse"}
        assert (await client.post("/api/password/reset", json=body)).status_code == 204


async def test_failed_logins_count_together_during_a_rotation(
    settings: Settings, emulator: Emulator, valkey_url: str
) -> None:
    shared = settings.model_copy(update={"redis_url": SecretStr(valkey_url)})
    async with (
        app_client(rotated(shared, 1), emulator) as first,
        app_client(rotated(shared, 2), emulator) as second,
    ):
        wrong = {"email": "ada@example.com", "password": "not the password"}
        statuses = [
            (await client.post("/api/login", json=wrong)).status_code for client in (first, second) * 3
        ]
    assert statuses == [401] * 5 + [429]


class Created(ResponseModel):
    """Response of the creating request."""

    id: str


def idempotency(keys: KeyRing) -> Idempotency:
    return Idempotency.of(keys, "key", operation="test", owner="me", body=Created(id="x"), lease_seconds=15)


async def test_lease_on_one_of_two_rows_holds_the_key(settings: Settings, database_url: str) -> None:
    """A process that knows only the old key has taken over its row, and not the row of the new key."""
    engine = create_engine(database_url)
    session_factory = create_session_factory(engine)
    attempts: dict[str, list[Attempt]] = defaultdict(list)

    async def fail(attempt: Attempt) -> Created:
        attempts["failed"].append(attempt)
        raise RuntimeError

    both = idempotency(KeyRing(NEW, OLD))
    with pytest.raises(RuntimeError):
        await run_once(session_factory, both, fail)
    [old_row] = idempotency(KeyRing(OLD)).rows
    leased = update(IdempotencyKey).where(IdempotencyKey.id == old_row.row_id)
    async with session_factory.begin() as database:
        await database.execute(leased.values(lease_until=now().replace(year=now().year + 1), request_id=""))
    with pytest.raises(ApiError, match="request_in_progress"):
        await run_once(session_factory, both, fail)
    async with session_factory.begin() as database:
        await database.execute(leased.values(lease_until=now()))

    async def create(attempt: Attempt) -> Created:
        attempts["created"].append(attempt)
        return Created(id="1")

    await run_once(session_factory, both, create)
    [attempt] = attempts["created"]
    # The old process sent the create without the request ID, so it cannot be looked up.
    assert (attempt.request_id, attempt.is_retry) == ("", True)
    for keys in (KeyRing(NEW), KeyRing(OLD)):
        stored = await run_once(session_factory, idempotency(keys), create)
        assert (stored.created, stored.body) == (None, '{"id":"1"}')
    await engine.dispose()
