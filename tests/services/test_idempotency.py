"""One key, one record, in every order in which answers are lost, processes die and requests are taken over."""

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
from crm_api.services.hubspot_account.provisioning import provision
from crm_api.services.idempotency import Attempt, Idempotency, run_once
from crm_api.services.properties.mapping import TICKET_CATEGORIES
from crm_api.settings import Settings
from hubspot_emulator import Emulator

KEY = {"Idempotency-Key": "the-same-key"}
# More than any of them needs; the loops end when one is survived.
MAX_IO_OPERATIONS, MAX_AWAITS = 80, 2000
# aiosqlite's thread goes on with a cancelled statement and may hold SQLite's one lock for some seconds.
ON_POSTGRESQL = pytest.mark.parametrize("database_backend", ["postgresql"])
Post = Callable[[], Awaitable[httpx.Response]]


@pytest.fixture
async def provisioned(app: FastAPI) -> None:
    """The account has the property that makes creating exact."""
    await provision(app.state.hubspot, TICKET_CATEGORIES)


async def expire_leases(app: FastAPI) -> None:
    """As time would."""
    async with app.state.session_factory.begin() as database:
        await database.execute(update(IdempotencyKey).values(lease_until=now() - timedelta(seconds=1)))


class TestHubSpotAccountChanges:
    """Whether the record could bear our id is decided when it is sent, and remembered."""

    async def test_untracked_create_is_not_retried_after_provisioning(
        self, customer: Caller, app: FastAPI, emulator: Emulator
    ) -> None:
        await customer.get("/api/pipelines")
        emulator.fail_next("POST", "/crm/objects/*/deals", kind="drop_after")
        assert_problem(await customer.post("/api/deals", deal_body(), headers=KEY), 504, "outcome_unknown")
        await provision(app.state.hubspot, TICKET_CATEGORIES)
        assert_problem(await customer.post("/api/deals", deal_body(), headers=KEY), 504, "outcome_unknown")
        assert len(emulator.records("deals")) == 1

    async def test_create_sent_without_readable_schema_is_not_retried(
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

    async def test_schema_read_error_creates_nothing_and_releases_key(
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
    async def test_retry_returns_created_record_if_input_is_invalid_now(
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
        assert again.json() == first.json()
        assert len(emulator.records(object_type)) == 1


class TestLeaseTakeover:
    """Another process goes on with the key while the first, which was slow, is still at it."""

    async def test_takeover_and_slow_request_return_the_same_record(
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
        assert {each.json()["data"]["deal"]["id"] for each in (response, second)} == {record.id}
        replayed = await customer.post("/api/deals", deal_body(), headers=KEY)
        assert replayed.headers["idempotency-replayed"] == "true"
        assert replayed.content == second.content

    async def test_takeover_without_property_creates_no_second_record(
        self, customer: Caller, app: FastAPI, settings: Settings, emulator: Emulator
    ) -> None:
        """Without the property the second creates nothing, and the first creates its one."""
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
    async def test_conflict_with_running_registration_is_not_stored(
        self, settings: Settings, emulator: Emulator
    ) -> None:
        """Two with keys of their own at one moment; the one who was first fails, and the other may try again."""
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
    """The same at every single step: what is sent again afterwards ends with one record and its associations."""

    @pytest.fixture
    def transport(self, emulator: Emulator) -> CrashingTransport:
        return CrashingTransport(EmulatorTransport(emulator))

    @pytest.fixture
    async def app(self, settings: Settings, transport: CrashingTransport) -> AsyncGenerator[FastAPI, None]:
        free = settings.model_copy(update={"rate_limit_enabled": False})
        app = create_app(free, hubspot_transport=transport)
        async with app.router.lifespan_context(app):
            await app.state.watching
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
            pytest.fail("it never got through")
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
            pytest.fail("it never got through")
        assert await_number > 6


class TestRunOnce:
    """What `create` may raise, and what becomes of the key."""

    @pytest.mark.parametrize(("seconds_ago", "retry_after"), [(0, 1), (3, 4), (9, 7), (14, 2)])
    async def test_retry_after_equals_time_that_the_request_has_run(
        self, app: FastAPI, seconds_ago: int, retry_after: int
    ) -> None:
        """Soon, where it has just begun; later, where its process seems to have died; never after the lease."""

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

    async def test_unexpected_error_keeps_the_request_id_for_retry(self, app: FastAPI) -> None:
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
    return Idempotency.of("secret", "key", operation="test", owner="me", body=Body(), lease_seconds=15)


class HeldTransport(httpx.AsyncBaseTransport):
    """Holds the first create back, as a slow network does."""

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
    """The service once more, over the same database and account."""
    app = create_app(settings, hubspot_transport=transport or EmulatorTransport(emulator))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://crm.example") as client,
    ):
        app.state.watching.cancel()  # its reads of the schema are not this test's
        await asyncio.gather(app.state.watching, return_exceptions=True)
        yield client


async def posting(object_type: str, customer: Caller) -> Post:
    """The request that creates one, with a key."""
    if object_type == "deals":
        return lambda: customer.post("/api/deals", deal_body(), headers=KEY)
    deal = (await customer.post("/api/deals", deal_body())).json()["data"]["deal"]["id"]
    return lambda: customer.post(f"/api/tickets/{deal}", ticket_body(), headers=KEY)


async def start_over(object_type: str, app: FastAPI, emulator: Emulator) -> None:
    async with app.state.session_factory.begin() as database:
        await database.execute(delete(IdempotencyKey))
    for record in emulator.records(object_type):
        emulator.archive_as_other_actor(object_type, record.id)


async def crashes_after(io_operations: int, post: Post, app: FastAPI, transport: CrashingTransport) -> bool:
    """Send the request to a process that dies after so many words; whether it died."""
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
    assert response.json()["data"][object_type.removesuffix("s")]["id"] == record.id
    assert emulator.associations(object_type, record.id, "contacts") == [customer.contact_id]
