"""Registration and verification interrupted at any step: a retry ends with one user and one contact."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import timedelta

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import delete, select, update
from tests.support.builders import PASSWORD, registration_body
from tests.support.crashes import (
    CrashingTransport,
    CrashPoint,
    SimulatedCrash,
    cancel_at_await,
    crashing_database,
)
from tests.support.emulator_transport import EmulatorTransport
from tests.support.mail import Mailbox, token_of, wait_for_mail, with_email_verification

from crm_api.main import create_app
from crm_api.models import AuditEntry, IdempotencyKey, PendingRegistration, User, now
from crm_api.settings import Settings
from hubspot_emulator import Emulator

Step = Callable[[httpx.AsyncClient], Awaitable[httpx.Response]]
# A request that is cancelled during the commit of its reservation cannot release it.
RESERVATION_COMMITS = 1
# Upper bound: the loops end at the first request that completes.
MAX_IO_OPERATIONS = 80
# aiosqlite continues a cancelled statement in its thread and may hold SQLite's lock for seconds.
ON_POSTGRESQL = pytest.mark.parametrize("database_backend", ["postgresql"])


@pytest.fixture
def transport(emulator: Emulator) -> CrashingTransport:
    return CrashingTransport(EmulatorTransport(emulator))


@pytest.fixture
async def app(settings: Settings, transport: CrashingTransport) -> AsyncGenerator[FastAPI, None]:
    free = settings.model_copy(update={"rate_limit_enabled": False})
    app = create_app(free, hubspot_transport=transport)
    async with app.router.lifespan_context(app):
        await app.state.startup_checks
        yield app


async def start_over(app: FastAPI, emulator: Emulator) -> None:
    """Delete all records, users and keys."""
    emulator.reset()
    async with app.state.session_factory.begin() as database:
        for model in (User, PendingRegistration, IdempotencyKey, AuditEntry):
            await database.execute(delete(model))


async def expire_leases(app: FastAPI) -> None:
    past = now() - timedelta(seconds=1)
    async with app.state.session_factory.begin() as database:
        await database.execute(update(User).where(User.lease_until.is_not(None)).values(lease_until=past))
        await database.execute(
            update(IdempotencyKey).where(IdempotencyKey.status.is_(None)).values(lease_until=past)
        )


async def crashes_after(
    io_operations: int, step: Step, app: FastAPI, client: httpx.AsyncClient, transport: CrashingTransport
) -> bool:
    """Send the request to a process that crashes after `io_operations`. Return True if it crashed."""
    crash_point = transport.crash_point = CrashPoint(io_operations)
    send = app.state.mail.send

    def crashing_send(**mail: str) -> None:
        crash_point.tick()
        send(**mail)

    app.state.mail.send = crashing_send
    with crashing_database(app.state.session_factory.kw["bind"].sync_engine, crash_point):
        try:
            await step(client)
        except SimulatedCrash:
            return True
        finally:
            transport.crash_point = CrashPoint()
            app.state.mail.send = send
    return False


async def check_one_user_and_one_contact(app: FastAPI, emulator: Emulator) -> None:
    async with app.state.session_factory() as database:
        [user] = (await database.execute(select(User))).scalars()
    [contact] = emulator.records("contacts")
    assert (user.status, user.contact_id) == ("active", contact.id)


async def login(client: httpx.AsyncClient) -> int:
    body = {"email": "ada@example.com", "password": PASSWORD}
    return (await client.post("/api/login", json=body)).status_code


class TestRegistration:
    @pytest.mark.parametrize("key", [None, "the-same-key"])
    @pytest.mark.parametrize("contact_exists", [False, True])
    async def test_retry_after_crash_at_any_step_registers_one_user(
        self,
        app: FastAPI,
        client: httpx.AsyncClient,
        emulator: Emulator,
        transport: CrashingTransport,
        key: str | None,
        contact_exists: bool,
    ) -> None:
        headers = {"Idempotency-Key": key} if key else {}

        async def register(client: httpx.AsyncClient) -> httpx.Response:
            return await client.post("/api/register", json=registration_body(), headers=headers)

        crash_count = 0
        for io_operations in range(MAX_IO_OPERATIONS):
            await start_over(app, emulator)
            if contact_exists:
                emulator.seed({"contacts": [{"email": "ada@example.com", "firstname": "A."}]})
            if not await crashes_after(io_operations, register, app, client, transport):
                break
            crash_count += 1
            await expire_leases(app)
            again = await register(client)
            # A 409 means that the user was created and only the response was lost; with a key it is replayed.
            assert again.status_code == 201 or (key is None and again.status_code == 409), (
                io_operations,
                again.text,
            )
            await check_one_user_and_one_contact(app, emulator)
            assert await login(client) == 200, io_operations
        else:
            pytest.fail("no request completed")
        assert crash_count >= 8

    @ON_POSTGRESQL
    @pytest.mark.parametrize(("key", "contact_exists"), [(None, False), ("the-same-key", True)])
    async def test_retry_after_cancel_at_any_step_registers_one_user(
        self,
        app: FastAPI,
        client: httpx.AsyncClient,
        emulator: Emulator,
        key: str | None,
        contact_exists: bool,
    ) -> None:
        """Cancellation runs the clean-up, so that a retry need not wait for the lease to end."""
        headers = {"Idempotency-Key": key} if key else {}

        async def register(client: httpx.AsyncClient) -> httpx.Response:
            return await client.post("/api/register", json=registration_body(), headers=headers)

        async def prepare() -> None:
            if contact_exists:
                emulator.seed({"contacts": [{"email": "ada@example.com", "firstname": "A."}]})

        cancelled, waited = await cancel_everywhere(register, app, client, emulator, prepare=prepare)
        # The steps are at least: check, hash, reservation, commit, two HubSpot calls, activation, commit.
        assert cancelled >= 8
        # With a key, the next request waits for the lease and uses the same request ID.
        if key is None:
            assert waited <= RESERVATION_COMMITS


class TestVerification:
    @pytest.fixture
    def settings(self, settings: Settings, mailbox: Mailbox) -> Settings:
        return with_email_verification(settings, mailbox)

    @pytest.mark.parametrize("key", [None, "the-same-key"])
    async def test_registration_repeated_after_crash_can_be_verified(
        self,
        app: FastAPI,
        client: httpx.AsyncClient,
        emulator: Emulator,
        transport: CrashingTransport,
        mailbox: Mailbox,
        key: str | None,
    ) -> None:
        headers = {"Idempotency-Key": key} if key else {}

        async def register(client: httpx.AsyncClient) -> httpx.Response:
            return await client.post("/api/register", json=registration_body(), headers=headers)

        crash_count, lost = 0, 0
        for io_operations in range(MAX_IO_OPERATIONS):
            await start_over(app, emulator)
            mailbox.mails.clear()
            if not await crashes_after(io_operations, register, app, client, transport):
                break
            crash_count += 1
            await expire_leases(app)
            again = await register(client)
            assert again.status_code == 202
            await app.state.mail.flush()
            if not mailbox.mails:
                # The registration is stored but the mail is lost: the response is replayed, so request the mail.
                assert again.headers["idempotency-replayed"] == "true"
                lost += 1
                resend = {"email": "ada@example.com"}
                assert (await client.post("/api/email/verify/resend", json=resend)).status_code == 202
            token = token_of(await wait_for_mail(app, mailbox, "ada@example.com"))
            body = {"token": token, "password": PASSWORD}
            assert (await client.post("/api/email/verify", json=body)).status_code == 200
            await check_one_user_and_one_contact(app, emulator)
        else:
            pytest.fail("no request completed")
        assert crash_count >= 5
        assert lost == (1 if key else 0)

    @pytest.mark.parametrize("contact_exists", [False, True])
    async def test_retry_after_crash_at_any_step_verifies_one_user(
        self,
        app: FastAPI,
        client: httpx.AsyncClient,
        emulator: Emulator,
        transport: CrashingTransport,
        mailbox: Mailbox,
        contact_exists: bool,
    ) -> None:
        crash_count = 0
        for io_operations in range(MAX_IO_OPERATIONS):
            await start_over(app, emulator)
            if contact_exists:
                emulator.seed({"contacts": [{"email": "ada@example.com", "firstname": "A."}]})
            await client.post("/api/register", json=registration_body())
            token = token_of(await wait_for_mail(app, mailbox, "ada@example.com"))

            async def verify(client: httpx.AsyncClient, token: str = token) -> httpx.Response:
                return await client.post("/api/email/verify", json={"token": token, "password": PASSWORD})

            if not await crashes_after(io_operations, verify, app, client, transport):
                break
            crash_count += 1
            await expire_leases(app)
            again = await verify(client)
            # A 400 means that the user was created and the token consumed, and only the response was lost.
            assert again.status_code in (200, 400), (io_operations, again.text)
            await check_one_user_and_one_contact(app, emulator)
            assert await login(client) == 200, io_operations
        else:
            pytest.fail("no request completed")
        assert crash_count >= 10

    @ON_POSTGRESQL
    @pytest.mark.parametrize("contact_exists", [False, True])
    async def test_retry_after_cancel_at_any_step_verifies_one_user(
        self,
        app: FastAPI,
        client: httpx.AsyncClient,
        emulator: Emulator,
        mailbox: Mailbox,
        contact_exists: bool,
    ) -> None:
        tokens: list[str] = []

        async def prepare() -> None:
            if contact_exists:
                emulator.seed({"contacts": [{"email": "ada@example.com", "firstname": "A."}]})
            await client.post("/api/register", json=registration_body())
            tokens.append(token_of(await wait_for_mail(app, mailbox, "ada@example.com")))

        async def verify(client: httpx.AsyncClient) -> httpx.Response:
            body = {"token": tokens[-1], "password": PASSWORD}
            return await client.post("/api/email/verify", json=body)

        cancelled, waited = await cancel_everywhere(verify, app, client, emulator, prepare=prepare)
        assert cancelled >= 8
        assert waited <= RESERVATION_COMMITS


async def cancel_everywhere(
    step: Step,
    app: FastAPI,
    client: httpx.AsyncClient,
    emulator: Emulator,
    *,
    prepare: Callable[[], Awaitable[None]] | None = None,
) -> tuple[int, int]:
    """Cancel the request at its first, second, third ... await until it completes.

    Return the number of cancellations, and after how many of them the retry had to wait for a lease to end.
    """
    waited: list[int] = []
    for await_number in range(1, 2000):
        await start_over(app, emulator)
        if prepare is not None:
            await prepare()
        responses: list[httpx.Response] = []

        async def ask(responses: list[httpx.Response] = responses) -> None:
            responses.append(await step(client))

        if await asyncio.create_task(cancel_at_await(await_number, ask())):
            [completed] = responses
            assert completed.status_code in (200, 201), completed.text
            return await_number - 1, len(waited)
        again = await step(client)
        assert again.status_code in (200, 201, 400, 409), again.text
        if again.status_code == 409 and await login(client) != 200:
            waited.append(await_number)
            await expire_leases(app)
            await step(client)
        await check_one_user_and_one_contact(app, emulator)
        assert await login(client) == 200, await_number
    pytest.fail("no request completed")
