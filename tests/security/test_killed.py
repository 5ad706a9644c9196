"""A registration or a proof that dies anywhere on its way: the next attempt ends with one user and one contact."""

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
# Who is cancelled while the claim is being committed cannot know whether there is one to give back.
CLAIMS_COMMIT = 1
# More than any of them needs; the loops end when one is survived.
MAX_IO_OPERATIONS = 80
# aiosqlite's thread goes on with a cancelled statement and may hold SQLite's one lock for some seconds.
ON_POSTGRESQL = pytest.mark.parametrize("database_backend", ["postgresql"])


@pytest.fixture
def transport(emulator: Emulator) -> CrashingTransport:
    return CrashingTransport(EmulatorTransport(emulator))


@pytest.fixture
async def app(settings: Settings, transport: CrashingTransport) -> AsyncGenerator[FastAPI, None]:
    free = settings.model_copy(update={"rate_limit_enabled": False})
    app = create_app(free, hubspot_transport=transport)
    async with app.router.lifespan_context(app):
        await app.state.watching
        yield app


async def start_over(app: FastAPI, emulator: Emulator) -> None:
    """As if nothing had ever happened."""
    emulator.reset()
    async with app.state.session_factory.begin() as database:
        for model in (User, PendingRegistration, IdempotencyKey, AuditEntry):
            await database.execute(delete(model))


async def expire_leases(app: FastAPI) -> None:
    """Leases that a dead process left behind are past."""
    past = now() - timedelta(seconds=1)
    async with app.state.session_factory.begin() as database:
        await database.execute(update(User).where(User.lease_until.is_not(None)).values(lease_until=past))
        await database.execute(
            update(IdempotencyKey).where(IdempotencyKey.status.is_(None)).values(lease_until=past)
        )


async def crashes_after(
    io_operations: int, step: Step, app: FastAPI, client: httpx.AsyncClient, transport: CrashingTransport
) -> bool:
    """Take the step in a process that dies after so many words; whether it died."""
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
            # 409 where the user was made and only the answer was lost; with a key that answer comes back.
            assert again.status_code == 201 or (key is None and again.status_code == 409), (
                io_operations,
                again.text,
            )
            await check_one_user_and_one_contact(app, emulator)
            assert await login(client) == 200, io_operations
        else:
            pytest.fail("it never got through")
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
        """A caller who hangs up, or a process that drains: clean-up runs, and nobody has to wait for a lease."""
        headers = {"Idempotency-Key": key} if key else {}

        async def register(client: httpx.AsyncClient) -> httpx.Response:
            return await client.post("/api/register", json=registration_body(), headers=headers)

        async def prepare() -> None:
            if contact_exists:
                emulator.seed({"contacts": [{"email": "ada@example.com", "firstname": "A."}]})

        cancelled, waited = await cancel_everywhere(register, app, client, emulator, prepare=prepare)
        # At the least: the look, the hash, the claim and its commit, HubSpot twice, the user and its commit.
        assert cancelled >= 8
        if (
            key is None
        ):  # a key is held until its lease ends, so that the next one goes on with the same request id
            assert waited <= CLAIMS_COMMIT


class TestVerification:
    @pytest.fixture
    def settings(self, settings: Settings, mailbox: Mailbox) -> Settings:
        return with_email_verification(settings, mailbox)

    @pytest.mark.parametrize("key", [None, "the-same-key"])
    async def test_pending_registration_survives_crash_at_any_step(
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
                # Kept, and only the mail died: with a key its answer comes back, and the mail has to be asked for.
                assert again.headers["idempotency-replayed"] == "true"
                lost += 1
                resend = {"email": "ada@example.com"}
                assert (await client.post("/api/email/verify/resend", json=resend)).status_code == 202
            token = token_of(await wait_for_mail(app, mailbox, "ada@example.com"))
            body = {"token": token, "password": PASSWORD}
            assert (await client.post("/api/email/verify", json=body)).status_code == 200
            await check_one_user_and_one_contact(app, emulator)
        else:
            pytest.fail("it never got through")
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
            # 400 where the user was made, the token is used up and only the answer was lost: the login works.
            assert again.status_code in (200, 400), (io_operations, again.text)
            await check_one_user_and_one_contact(app, emulator)
            assert await login(client) == 200, io_operations
        else:
            pytest.fail("it never got through")
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
        assert waited <= CLAIMS_COMMIT


async def cancel_everywhere(
    step: Step,
    app: FastAPI,
    client: httpx.AsyncClient,
    emulator: Emulator,
    *,
    prepare: Callable[[], Awaitable[None]] | None = None,
) -> tuple[int, int]:
    """Cancel the step at its first, second, third ... await.

    How often it was cancelled before it got through, and after how many the next one had to wait for a lease to end.
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
            [through] = responses
            assert through.status_code in (200, 201), through.text
            return await_number - 1, len(waited)
        again = await step(client)
        assert again.status_code in (200, 201, 400, 409), again.text
        if again.status_code == 409 and await login(client) != 200:
            waited.append(await_number)
            await expire_leases(app)
            await step(client)
        await check_one_user_and_one_contact(app, emulator)
        assert await login(client) == 200, await_number
    pytest.fail("it never got through")
