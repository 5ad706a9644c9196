"""Idempotency keys under lost responses, crashes, cancellation and lease takeover."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import httpx
import pytest
from fastapi import FastAPI
from pydantic import BaseModel
from sqlalchemy import delete, update
from tests.support.builders import deal_body, registration_body, ticket_body
from tests.support.callers import Caller, assert_problem
from tests.support.crashes import (
    CrashingTransport,
    CrashPoint,
    SimulatedCrash,
    cancel_at_await,
    crashing_database,
)
from tests.support.emulator_transport import EmulatorTransport

from crm_api.errors import ApiError
from crm_api.main import create_app
from crm_api.models import IdempotencyKey, User, now
from crm_api.security.crypto import KeyRing
from crm_api.services.hubspot_account.provisioning import provision
from crm_api.services.idempotency import Attempt, Idempotency, run_once
from crm_api.services.properties.categories import TICKET_CATEGORIES
from crm_api.settings import Settings
from hubspot_emulator import Emulator

KEY = {"Idempotency-Key": "the-same-key"}
# Upper bounds: the loops end at the first request that completes.
MAX_IO_OPERATIONS, MAX_AWAITS = 80, 2000
# aiosqlite continues a cancelled statement in its thread and may hold SQLite's lock for seconds.
ON_POSTGRESQL = pytest.mark.parametrize("database_backend", ["postgresql"])
Post = Callable[[], Awaitable[httpx.Response]]


@pytest.fixture
async def provisioned(app: FastAPI) -> None:
    """Create the idempotency property in the HubSpot account."""
    await provision(app.state.hubspot, TICKET_CATEGORIES)


async def expire_leases(app: FastAPI) -> None:
    async with app.state.session_factory.begin() as database:
        await database.execute(update(IdempotencyKey).values(lease_until=now() - timedelta(seconds=1)))


class TestHubSpotAccountChanges:
    """The idempotency property becomes available or unavailable between two attempts."""

    async def test_create_lost_before_provision_returns_504_on_retry(
        self, customer: Caller, app: FastAPI, emulator: Emulator
    ) -> None:
        await customer.get("/api/pipelines")
        emulator.fail_next("POST", "/crm/objects/*/deals", kind="drop_after")
        assert_problem(await customer.post("/api/deals", deal_body(), headers=KEY), 504, "outcome_unknown")
        await provision(app.state.hubspot, TICKET_CATEGORIES)
        assert_problem(await customer.post("/api/deals", deal_body(), headers=KEY), 504, "outcome_unknown")
        assert len(emulator.records("deals")) == 1

    async def test_create_lost_without_schema_access_returns_504_on_retry(
        self, customer: Caller, settings: Settings, emulator: Emulator, provisioned: None
    ) -> None:
        async with another_process(settings, emulator) as other:
            emulator.fail_next("GET", "/crm/properties/*", status=403, times=10)
            emulator.fail_next("POST", "/crm/objects/*/deals", kind="drop_after")
            response = await other.post("/api/deals", json=deal_body(), headers=customer.headers | KEY)
            assert_problem(response, 504, "outcome_unknown")
        emulator.reset_faults()
        assert_problem(await customer.post("/api/deals", deal_body(), headers=KEY), 504, "outcome_unknown")
        assert len(emulator.records("deals")) == 1

    async def test_create_can_be_retried_after_schema_read_error(
        self, customer: Caller, settings: Settings, emulator: Emulator, provisioned: None
    ) -> None:
        async with another_process(settings, emulator) as other:
            emulator.fail_next("GET", "/crm/properties/*", status=500, times=10)
            response = await other.post("/api/deals", json=deal_body(), headers=customer.headers | KEY)
            assert response.status_code in (502, 503)
            assert emulator.records("deals") == []
            emulator.reset_faults()
        assert (await customer.post("/api/deals", deal_body(), headers=KEY)).status_code == 201
        assert len(emulator.records("deals")) == 1

    @pytest.mark.parametrize("object_type", ["deals", "tickets"])
    async def test_retry_returns_created_record_after_contact_is_unlinked(
        self, customer: Caller, app: FastAPI, emulator: Emulator, provisioned: None, object_type: str
    ) -> None:
        post = await posting(object_type, customer)
        first = await post()
        async with app.state.session_factory.begin() as database:
            await database.execute(
                update(IdempotencyKey).values(status=None, answer=None, lease_until=now() - timedelta(1))
            )
            await database.execute(update(User).values(contact_id=None))
        again = await post()
        assert again.status_code == 201, again.text
        # A user without a contact sees no contact in the record.
        assert again.json()["data"] == first.json()["data"] | {"contact_ids": []}
        assert len(emulator.records(object_type)) == 1


class TestLeaseTakeover:
    """Another process takes over the key while the first, slow request is still running."""

    async def test_slow_request_and_lease_takeover_return_the_same_record(
        self, customer: Caller, app: FastAPI, settings: Settings, emulator: Emulator, provisioned: None
    ) -> None:
        slow = HeldTransport(emulator)
        async with another_process(settings, emulator, transport=slow) as other:
            first = asyncio.create_task(
                other.post("/api/deals", json=deal_body(), headers=customer.headers | KEY)
            )
            await slow.held.wait()
            await expire_leases(app)
            second = await customer.post("/api/deals", deal_body(), headers=KEY)
            assert second.status_code == 201, second.text
            slow.go_on.set()
            response = await first
        [record] = emulator.records("deals")
        assert response.status_code == 201, response.text
        assert {created.json()["data"]["id"] for created in (response, second)} == {record.id}
        replayed = await customer.post("/api/deals", deal_body(), headers=KEY)
        assert replayed.headers["idempotency-replayed"] == "true"
        assert replayed.content == second.content

    async def test_lease_takeover_makes_no_second_deal_if_not_provisioned(
        self, customer: Caller, app: FastAPI, settings: Settings, emulator: Emulator
    ) -> None:
        """Without the idempotency property, only the slow first request creates a deal."""
        slow = HeldTransport(emulator)
        async with another_process(settings, emulator, transport=slow) as other:
            first = asyncio.create_task(
                other.post("/api/deals", json=deal_body(), headers=customer.headers | KEY)
            )
            await slow.held.wait()
            await expire_leases(app)
            second = await customer.post("/api/deals", deal_body(), headers=KEY)
            assert_problem(second, 504, "outcome_unknown")
            slow.go_on.set()
            assert (await first).status_code == 201
        assert len(emulator.records("deals")) == 1


class TestRegistration:
    async def test_409_for_a_running_registration_is_not_replayed(
        self, settings: Settings, emulator: Emulator
    ) -> None:
        """Two concurrent registrations have different keys; the first fails, and a retry of the other succeeds."""
        slow = HeldTransport(emulator, "/contacts")
        keys = [{"Idempotency-Key": name} for name in ("one", "other")]
        async with another_process(settings, emulator, transport=slow) as client:
            running = [
                asyncio.create_task(client.post("/api/register", json=registration_body(), headers=key))
                for key in keys
            ]
            [refused], [held] = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            assert_problem(refused.result(), 409, "user_exists")
            assert int(refused.result().headers["retry-after"]) >= 1
            emulator.fail_next("POST", "/crm/objects/*/contacts", status=403)
            slow.go_on.set()
            assert (await held).status_code == 502
            key = keys[running.index(refused)]
            assert (
                await client.post("/api/register", json=registration_body(), headers=key)
            ).status_code == 201
        assert len(emulator.records("contacts")) == 1


class TestInterruptedAtEveryStep:
    """A retry after an interruption at any step ends with one record and its associations."""

    @pytest.fixture
    def transport(self, emulator: Emulator) -> CrashingTransport:
        return CrashingTransport(EmulatorTransport(emulator))

    @pytest.fixture
    async def app(self, settings: Settings, transport: CrashingTransport) -> AsyncGenerator[FastAPI, None]:
        free = settings.model_copy(update={"rate_limit_enabled": False})
        app = create_app(free, hubspot_transport=transport)
        async with app.router.lifespan_context(app):
            await app.state.startup_checks
            yield app

    @pytest.mark.parametrize("object_type", ["deals", "tickets"])
    async def test_retry_after_crash_at_any_step_creates_one_record(
        self,
        customer: Caller,
        app: FastAPI,
        emulator: Emulator,
        transport: CrashingTransport,
        provisioned: None,
        object_type: str,
    ) -> None:
        post = await posting(object_type, customer)
        crash_count = 0
        for io_operations in range(MAX_IO_OPERATIONS):
            await start_over(object_type, app, emulator)
            if not await crashes_after(io_operations, post, app, transport):
                break
            crash_count += 1
            await expire_leases(app)
            await check_converges(post, object_type, customer, emulator)
        else:
            pytest.fail("no request completed")
        assert crash_count >= 6

    @ON_POSTGRESQL
    @pytest.mark.parametrize("object_type", ["deals", "tickets"])
    async def test_retry_after_cancel_at_any_step_creates_one_record(
        self, customer: Caller, app: FastAPI, emulator: Emulator, provisioned: None, object_type: str
    ) -> None:
        post = await posting(object_type, customer)
        for await_number in range(1, MAX_AWAITS):
            await start_over(object_type, app, emulator)
            if await asyncio.create_task(cancel_at_await(await_number, post())):
                break
            await expire_leases(app)
            await check_converges(post, object_type, customer, emulator)
        else:
            pytest.fail("no request completed")
        assert await_number > 6


class TestRunOnce:
    """Errors of `create`, and the key's row afterwards."""

    @pytest.mark.parametrize(("seconds_ago", "retry_after"), [(0, 1), (3, 4), (9, 7), (14, 2)])
    async def test_retry_after_header_is_age_of_request_up_to_lease_end(
        self, app: FastAPI, seconds_ago: int, retry_after: int
    ) -> None:
        """The wait is as long as the request has run, but not longer than its remaining lease."""

        async def create(attempt: Attempt) -> BaseModel:
            until = now() + timedelta(seconds=a_key().lease_seconds - seconds_ago)
            async with app.state.session_factory.begin() as database:
                await database.execute(update(IdempotencyKey).values(lease_until=until))
            with pytest.raises(ApiError) as refused:
                await run_once(app.state.session_factory, a_key(), create)
            assert refused.value.error_type.code == "request_in_progress"
            assert abs(int(refused.value.headers["Retry-After"]) - retry_after) <= 1
            return Body()

        await run_once(app.state.session_factory, a_key(), create)

    async def test_attempt_after_unexpected_error_has_the_same_request_id(self, app: FastAPI) -> None:
        attempts: list[Attempt] = []

        async def create(attempt: Attempt) -> BaseModel:
            attempts.append(attempt)
            raise RuntimeError

        for _ in range(2):
            with pytest.raises(RuntimeError):
                await run_once(app.state.session_factory, a_key(), create)
        first, second = attempts
        assert first.request_id == second.request_id
        assert (first.is_retry, second.is_retry) == (False, True)


class Body(BaseModel):
    name: str = "x"


def a_key() -> Idempotency:
    return Idempotency.of(
        KeyRing("secret"), "key", operation="test", owner="me", body=Body(), lease_seconds=15
    )


class HeldTransport(httpx.AsyncBaseTransport):
    """Transport that delays the first create until `go_on` is set."""

    def __init__(self, emulator: Emulator, path: str = "/deals") -> None:
        self._transport = EmulatorTransport(emulator)
        self._path = path
        self.held, self.go_on = asyncio.Event(), asyncio.Event()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "POST" and request.url.path.endswith(self._path) and not self.held.is_set():
            self.held.set()
            await self.go_on.wait()
        return await self._transport.handle_async_request(request)


@asynccontextmanager
async def another_process(
    settings: Settings, emulator: Emulator, *, transport: httpx.AsyncBaseTransport | None = None
) -> AsyncGenerator[httpx.AsyncClient, None]:
    """Run a second application on the same database and HubSpot account."""
    app = create_app(settings, hubspot_transport=transport or EmulatorTransport(emulator))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://crm.example") as client,
    ):
        app.state.startup_checks.cancel()  # these checks would read the schema during the test
        await asyncio.gather(app.state.startup_checks, return_exceptions=True)
        yield client


async def posting(object_type: str, customer: Caller) -> Post:
    """Return a function that sends the creating request with a key."""
    if object_type == "deals":
        return lambda: customer.post("/api/deals", deal_body(), headers=KEY)
    deal = (await customer.post("/api/deals", deal_body())).json()["data"]["id"]
    return lambda: customer.post(f"/api/tickets/{deal}", ticket_body(), headers=KEY)


async def start_over(object_type: str, app: FastAPI, emulator: Emulator) -> None:
    async with app.state.session_factory.begin() as database:
        await database.execute(delete(IdempotencyKey))
    for record in emulator.records(object_type):
        emulator.archive_as_other_actor(object_type, record.id)


async def crashes_after(io_operations: int, post: Post, app: FastAPI, transport: CrashingTransport) -> bool:
    """Send the request to a process that crashes after `io_operations`. Return True if it crashed."""
    crash_point = transport.crash_point = CrashPoint(io_operations)
    with crashing_database(app.state.session_factory.kw["bind"].sync_engine, crash_point):
        try:
            await post()
        except SimulatedCrash:
            return True
        finally:
            transport.crash_point = CrashPoint()
    return False


async def check_converges(post: Post, object_type: str, customer: Caller, emulator: Emulator) -> None:
    response = await post()
    assert response.status_code == 201, response.text
    [record] = emulator.records(object_type)
    assert response.json()["data"]["id"] == record.id
    assert emulator.associations(object_type, record.id, "contacts") == [customer.contact_id]
