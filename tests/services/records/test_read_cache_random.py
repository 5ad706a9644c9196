"""Invariants of the read cache under random programs, with two processes that share the database.

The numbers of the invariants are those in `hubspot/read_cache.py`.
"""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from tests.support.builders import deal_body, ticket_body
from tests.support.callers import Caller, register_caller
from tests.support.emulator_transport import EmulatorTransport
from tests.support.records import seed_deals, seed_tickets

from crm_api.hubspot.read_cache_redis import RedisStore
from crm_api.main import create_app
from crm_api.services import record_versions
from crm_api.services.accounts.links import link_contact, unlink_contact
from crm_api.services.audit import OPERATOR
from crm_api.settings import Settings
from hubspot_emulator import Emulator

FRESH_SECONDS, STALE_SECONDS = 10.0, 300.0
SEEDS = range(3)
WRITES = 12
STEPS = 60
READ_PATHS = ("/api/new-crm-objects", "/api/deals", "/api/tickets", "/api/contacts", "/api/search?q=a")


class Clock:
    """Monotonic clock that a test moves forward."""

    def __init__(self) -> None:
        self.shift = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.shift


class HookedTransport(EmulatorTransport):
    """Transport to the emulator that can be down, and that runs a hook before each write."""

    def __init__(self, emulator: Emulator) -> None:
        super().__init__(emulator)
        self.is_down = False
        self.before_write: Callable[[], Awaitable[None]] | None = None
        self.has_written = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.is_down:
            raise httpx.ConnectError("refused", request=request)
        is_read = request.method == "GET" or request.url.path.endswith("/read")
        if not is_read and self.before_write is not None:
            hook, self.before_write = self.before_write, None
            await hook()
        self.has_written = self.has_written or not is_read
        return await super().handle_async_request(request)


@dataclass
class Replicas:
    """Two processes with the cache on, and one with the cache off, on one database and one emulator."""

    clock: Clock
    transport: HookedTransport
    apps: list[FastAPI] = field(default_factory=list)
    clients: list[httpx.AsyncClient] = field(default_factory=list)

    @property
    def live(self) -> httpx.AsyncClient:
        """Client of the process with the cache off."""
        return self.clients[2]


@asynccontextmanager
async def started_app(
    settings: Settings, transport: httpx.AsyncBaseTransport, clock: Clock
) -> AsyncGenerator[tuple[FastAPI, httpx.AsyncClient], None]:
    app = create_app(settings, hubspot_transport=transport)
    inner = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=inner, base_url="http://crm.example") as client,
    ):
        await app.state.startup_checks
        cache = app.state.read_cache
        if cache is not None:
            cache._clock = clock
            store = cache._store
            store._clock = clock
            if isinstance(store, RedisStore):
                store._memory._clock = clock
        yield app, client


@pytest.fixture
def store() -> str:
    """Return where the processes store responses, if no parameter names it."""
    return "memory"


@pytest.fixture
async def replicas(
    settings: Settings, emulator: Emulator, store: str, request: pytest.FixtureRequest
) -> AsyncGenerator[Replicas, None]:
    replicas = Replicas(Clock(), HookedTransport(emulator))
    if store == "valkey":
        redis_url = SecretStr(request.getfixturevalue("valkey_url"))
        settings = settings.model_copy(update={"redis_url": redis_url})
    shared = {"request_deadline_seconds": 60.0, "rate_limit_enabled": False}
    on = {"read_cache_seconds": FRESH_SECONDS, "read_cache_stale_seconds": STALE_SECONDS}
    async with AsyncExitStack() as stack:
        for changes in (on, on, {"read_cache_seconds": 0.0}):
            app, client = await stack.enter_async_context(
                started_app(settings.model_copy(update=shared | changes), replicas.transport, replicas.clock)
            )
            replicas.apps.append(app)
            replicas.clients.append(client)
        yield replicas


@dataclass
class Program:
    """A random program of one test."""

    replicas: Replicas
    emulator: Emulator
    dice: random.Random
    callers: list[Caller] = field(default_factory=list)

    async def register(self, number: int) -> None:
        for index in range(number):
            self.callers.append(await register_caller(self.replicas.live, f"customer{index}@example.com"))

    def at(self, caller: Caller, client: httpx.AsyncClient | None = None) -> Caller:
        """Return the caller at this process, by default at one of those with the cache on."""
        client = client or self.dice.choice(self.replicas.clients[:2])
        return Caller(client, caller.email, caller.tokens, caller.contact_id)

    async def read(self, caller: Caller, path: str = "") -> httpx.Response:
        return await self.at(caller).get(path or self.dice.choice(READ_PATHS))

    async def assert_current(self, caller: Caller) -> None:
        """Assert that each read at a process with the cache returns what HubSpot has now."""
        for path in READ_PATHS:
            cached = await self.read(caller, path)
            live = await self.at(caller, self.replicas.live).get(path)
            assert (cached.status_code, cached.json()) == (live.status_code, live.json()), path
            assert "age" not in live.headers


@pytest.fixture
def program(replicas: Replicas, emulator: Emulator, request: pytest.FixtureRequest) -> Program:
    return Program(replicas, emulator, random.Random(request.param))


seeds = pytest.mark.parametrize("program", SEEDS, indirect=True)
# Valkey's clock cannot be moved, so tests of ages use the memory only.
stores = pytest.mark.parametrize("store", ["memory", "valkey"])


async def write_something(program: Program, caller: Caller) -> None:
    """Let the customer write something, at any process."""
    dice, writer = program.dice, program.at(caller)
    deal_ids = program.emulator.associations("contacts", caller.contact_id, "deals")
    ticket_ids = program.emulator.associations("contacts", caller.contact_id, "tickets")
    text = "a" + "".join(dice.choices("bcdef", k=6))
    action = dice.choice(
        ["deal", "rename deal", "archive deal", "ticket", "ticket", "subject", "profile", "contact"]
    )
    if action == "profile":
        response = await writer.patch("/api/me", {"firstname": text})
    elif action == "contact":
        response = await writer.patch(f"/api/contacts/{caller.contact_id}", {"lastname": text})
    elif action == "deal" or not deal_ids:
        response = await writer.post("/api/deals", deal_body(dealname=text))
    elif action == "rename deal":
        response = await writer.patch(f"/api/deals/{dice.choice(deal_ids)}", {"dealname": text})
    elif action == "archive deal":
        response = await writer.delete(f"/api/deals/{dice.choice(deal_ids)}")
    elif action == "subject" and ticket_ids:
        response = await writer.patch(f"/api/tickets/{dice.choice(ticket_ids)}", {"subject": text})
    else:
        response = await writer.post(f"/api/tickets/{dice.choice(deal_ids)}", ticket_body(subject=text))
    assert response.is_success, response.text


@stores
@seeds
async def test_own_write_is_visible_in_the_next_response(program: Program) -> None:
    # Invariant 1. The reads in flight return, and store, what HubSpot had before the write.
    await program.register(1)
    [caller] = program.callers

    async def read_during_the_write() -> None:
        await asyncio.gather(*(program.read(caller, path) for path in READ_PATHS))

    for _ in range(WRITES):
        await read_during_the_write()
        program.replicas.transport.before_write = program.dice.choice([read_during_the_write, None])
        await write_something(program, caller)
        await program.assert_current(caller)


@seeds
async def test_write_of_a_crashed_process_is_visible(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Invariant 1. The process ends after the write, before the second increment.
    await program.register(1)
    [caller] = program.callers
    increment, transport = record_versions.RecordVersions.increment, program.replicas.transport

    async def increment_before_write(self: Any, user: Any, contact_ids: Any = ()) -> None:
        if not transport.has_written:
            await increment(self, user, contact_ids)

    monkeypatch.setattr(record_versions.RecordVersions, "increment", increment_before_write)

    async def read_during_the_write() -> None:
        await asyncio.gather(*(program.read(caller, path) for path in READ_PATHS))

    for _ in range(WRITES):
        transport.has_written = False
        await read_during_the_write()
        is_read = program.dice.random() < 0.5
        transport.before_write = read_during_the_write if is_read else None
        await write_something(program, caller)
        if is_read:
            program.replicas.clock.shift += FRESH_SECONDS
        await program.assert_current(caller)


@seeds
async def test_age_of_data_is_bounded(program: Program) -> None:
    # Invariant 2. The deal's name is changed in HubSpot by others; each response shows a name of the allowed time.
    await program.register(1)
    [caller], clock, dice = program.callers, program.replicas.clock, program.dice
    [deal_id] = seed_deals(program.emulator, caller.contact_id, 1, dealname="a0")
    names = [(clock(), "a0")]
    served = {"fresh": 0, "stale": 0}
    for step in range(1, STEPS):
        clock.shift += dice.choice([0.5, 3, 6, 12, 60, 200])
        if dice.random() < 0.4:
            # Circuit breakers are closed again before the next step.
            program.replicas.transport.is_down = dice.random() < 0.5
            for app in program.replicas.apps:
                reset_circuits(app)
        if dice.random() < 0.6:
            names.append((clock(), f"a{step}"))
            program.emulator.edit_as_other_actor("deals", deal_id, {"dealname": f"a{step}"})
        started = clock()
        response = await program.read(
            caller, dice.choice(["/api/new-crm-objects", "/api/deals", "/api/search?q=a"])
        )
        is_down = program.replicas.transport.is_down
        if response.status_code != 200:
            assert is_down, response.text
            continue
        body = response.json()["data"]
        if body.get("failed"):
            assert is_down
            continue
        if "data" in body:
            [contact] = body["data"]["contacts"]
            if contact["incomplete"]:
                assert is_down
                continue
            [deal] = contact["deals"]
        else:
            [deal] = body.get("results") or body["deals"]
        age = int(response.headers.get("age", 0))
        if is_down:
            assert age < STALE_SECONDS + 1
        else:
            assert age <= FRESH_SECONDS
        served["stale" if age > FRESH_SECONDS else "fresh"] += 1
        # The name was the current one at some time that is not longer ago than the age.
        replaced_at = next((at for at, name in names if int(name[1:]) > int(deal["dealname"][1:])), None)
        assert replaced_at is None or replaced_at >= started - age - 1
    assert min(served.values()) > 0, served


def reset_circuits(app: FastAPI) -> None:
    """Close all circuit breakers, whose clock is the real one."""
    circuits = app.state.hubspot.sender.circuits
    for breaker in circuits._breakers.values():
        breaker._change(type(breaker.state).CLOSED)


@stores
@seeds
async def test_customer_never_gets_data_of_another_one(program: Program) -> None:
    # Invariant 3. The operator relinks users, and HubSpot's users merge contacts.
    await program.register(3)
    replicas, emulator, dice = program.replicas, program.emulator, program.dice
    contact_ids: dict[str, str | None] = {caller.email: caller.contact_id for caller in program.callers}
    free = emulator.seed({"contacts": [{"firstname": f"free {index}"} for index in range(3)]})["contacts"]
    for contact_id in [*contact_ids.values(), *free]:
        seed_deals(emulator, str(contact_id), 1, dealname=f"a deal of {contact_id}")
    hubspot, factory = replicas.apps[2].state.hubspot, replicas.apps[2].state.session_factory
    for _ in range(STEPS):
        caller = dice.choice(program.callers)
        action = dice.choice(["relink", "unlink", "swap", "read", "read", "read", "wait"])
        if action == "wait":
            replicas.clock.shift += dice.choice([1, 9])
        elif action == "relink" and free:
            await unlink_contact(factory, caller.email, origin=OPERATOR)
            former, contact_id = contact_ids[caller.email], free.pop(0)
            await link_contact(factory, hubspot, caller.email, contact_id, origin=OPERATOR)
            contact_ids[caller.email] = contact_id
            free += [former] if former else []
        elif action == "unlink":
            await unlink_contact(factory, caller.email, origin=OPERATOR)
            free += [contact_ids[caller.email] or ""] if contact_ids[caller.email] else []
            contact_ids[caller.email] = None
        elif action == "swap":
            other = dice.choice(program.callers)
            pair = [(caller.email, contact_ids[other.email]), (other.email, contact_ids[caller.email])]
            for email, _contact_id in pair:
                await unlink_contact(factory, email, origin=OPERATOR)
            for email, contact_id in pair if other is not caller else pair[:1]:
                contact_ids[email] = contact_id
                if contact_id is not None:
                    await link_contact(factory, hubspot, email, contact_id, origin=OPERATOR)
        await assert_own_data_only(program, contact_ids)


async def assert_own_data_only(program: Program, contact_ids: dict[str, str | None]) -> None:
    """Assert that each customer gets the deals of the contact that they are linked to, and no other."""
    for caller in program.callers:
        contact_id = contact_ids[caller.email]
        response = await program.read(caller, "/api/deals")
        assert response.status_code == 200, response.text
        names = [deal["dealname"] for deal in response.json()["data"]["results"]]
        assert names == ([f"a deal of {contact_id}"] if contact_id else [])
        page = await program.read(caller, "/api/new-crm-objects")
        contacts = page.json()["data"]["data"]["contacts"]
        assert [contact["id"] for contact in contacts] == ([contact_id] if contact_id else [])


@stores
@seeds
async def test_writes_404s_export_and_staff_are_live(program: Program) -> None:
    # Invariant 4. Each round warms the cache, changes something in HubSpot, and then uses an operation that is live.
    await program.register(2)
    owner, stranger = program.callers
    emulator, dice = program.emulator, program.dice
    checks = [if_match, foreign_ticket, new_association, archived, export]
    for check in dice.choices(checks, k=WRITES):
        [deal_id] = seed_deals(emulator, owner.contact_id, 1, dealname="a deal")
        [ticket_id] = seed_tickets(emulator, 1, to=[("deals", deal_id)], subject="a ticket")
        for path in (*READ_PATHS, f"/api/deals/{deal_id}", f"/api/tickets/{ticket_id}"):
            for client in program.replicas.clients[:2]:
                for caller in (owner, stranger):
                    await program.at(caller, client).get(path)
        await check(program, deal_id, ticket_id)


async def if_match(program: Program, deal_id: str, _ticket_id: str) -> None:
    """Update a deal with the ETag of its cached version: 412."""
    owner = program.at(program.callers[0])
    etag = (await owner.get(f"/api/deals/{deal_id}")).headers["etag"]
    program.emulator.edit_as_other_actor("deals", deal_id, {"dealname": "another deal"})
    response = await owner.patch(f"/api/deals/{deal_id}", {"amount": "5"}, headers={"If-Match": etag})
    assert response.status_code == 412


async def foreign_ticket(program: Program, deal_id: str, ticket_id: str) -> None:
    """Write to a deal that is cached as the customer's own and no longer is: 404."""
    owner = program.at(program.callers[0])
    program.emulator.unlink(("deals", deal_id), ("contacts", owner.contact_id))
    responses = [
        await owner.post(f"/api/tickets/{deal_id}", ticket_body()),
        await owner.patch(f"/api/deals/{deal_id}", {"dealname": "x"}),
        await owner.patch(f"/api/tickets/{ticket_id}", {"subject": "x"}),
        await owner.delete(f"/api/deals/{deal_id}"),
    ]
    assert [response.status_code for response in responses] == [404] * 4


async def new_association(program: Program, deal_id: str, ticket_id: str) -> None:
    """Read records that are cached as foreign and have become the customer's own: 200."""
    stranger = program.at(program.callers[1])
    for path in (f"/api/deals/{deal_id}", f"/api/tickets/{ticket_id}"):
        assert (await stranger.get(path)).status_code == 404
    program.emulator.link(("deals", deal_id), ("contacts", stranger.contact_id))
    for path in (f"/api/deals/{deal_id}", f"/api/tickets/{ticket_id}"):
        assert (await stranger.get(path)).status_code == 200


async def archived(program: Program, deal_id: str, _ticket_id: str) -> None:
    """Update a deal that is cached and archived: 404."""
    owner = program.at(program.callers[0])
    program.emulator.archive_as_other_actor("deals", deal_id)
    assert (await owner.patch(f"/api/deals/{deal_id}", {"dealname": "x"})).status_code == 404


async def export(program: Program, deal_id: str, _ticket_id: str) -> None:
    """Export a deal that is cached with an old name."""
    owner = program.at(program.callers[0])
    program.emulator.edit_as_other_actor("deals", deal_id, {"dealname": "a new name"})
    response = await owner.get("/api/me/export")
    deals = response.json()["data"]["contact"]["deals"]
    assert "a new name" in [deal["dealname"] for deal in deals]
    assert "age" not in response.headers
