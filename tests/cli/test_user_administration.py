"""`crm-api users`: list, show, create, verify, resend, disable, enable, delete, export."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Generator
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result
from fastapi import FastAPI
from pydantic import SecretStr
from redis.asyncio import Redis
from sqlalchemy import select, update
from tests.hubspot_emulator.conftest import served
from tests.support.builders import PASSWORD, deal_body, registration_body
from tests.support.callers import Caller, app_client, assert_problem, register_caller
from tests.support.mail import Mailbox, text_of, token_of, with_email_verification

from crm_api.cli import main
from crm_api.models import AuditEntry, User
from crm_api.settings import Settings
from hubspot_emulator import Emulator

Command = Callable[..., Awaitable[Result]]
NAMES = ("--firstname", "Grace", "--lastname", "Hopper", "--phone", "+1 555 010 0199")


@pytest.fixture
def command(
    settings: Settings, emulator: Emulator, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> Generator[Command]:
    with served(emulator) as url:
        variables = {
            "DATABASE_URL": settings.database_url,
            "ENVIRONMENT": "development",
            "HUBSPOT_BASE_URL": url,
            "HUBSPOT_ACCESS_TOKEN": "test-access-token",
            "SMTP_URL": mailbox.url,
            "APP_PUBLIC_URL": "https://portal.example",
            "BCRYPT_ROUNDS": "4",
        }
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

        async def run(*arguments: str, input: str | None = None) -> Result:  # noqa: A002 - click's name
            # In a thread, because the command runs its own event loop.
            return await asyncio.to_thread(CliRunner().invoke, main, ["users", *arguments], input=input)

        yield run


async def output_of(command: Command, *arguments: str, **options: str) -> str:
    result = await command(*arguments, **options)
    assert result.exit_code == 0, result.output
    return result.stdout


async def shown(command: Command, user: str) -> dict[str, Any]:
    row: dict[str, Any] = json.loads(await output_of(command, "show", user, "--json"))
    return row


async def log_in(client: httpx.AsyncClient, email: str, password: str = PASSWORD) -> httpx.Response:
    return await client.post("/api/login", json={"email": email, "password": password})


async def events_of(app: FastAPI, actor: str = "operator") -> list[str]:
    async with app.state.session_factory() as database:
        query = select(AuditEntry.event).where(AuditEntry.actor == actor).order_by(AuditEntry.at)
        return list((await database.execute(query)).scalars())


async def test_list_selects_by_role_status_and_text(
    customer: Caller, staff: Caller, command: Command
) -> None:
    async def emails(*options: str) -> list[str]:
        lines = (await output_of(command, "list", "--json", *options)).splitlines()
        return [json.loads(line)["email"] for line in lines]

    assert await emails() == [staff.email, customer.email]
    assert await emails("--role", "staff") == [staff.email]
    assert await emails("--status", "disabled") == []
    assert await emails("--search", "CUSTOMER@") == [customer.email]
    # `%` is a character of the text and no wildcard.
    assert await emails("--search", "%") == []
    assert await emails("--limit", "1") == [staff.email]
    line = await output_of(command, "list", "--role", "customer")
    assert re.fullmatch(rf"\S+  active  customer  {customer.contact_id}  \S+  {customer.email}\n", line)


async def test_show_finds_users_by_address_and_id(customer: Caller, command: Command) -> None:
    row = await shown(command, "Customer@Example.com")
    assert (row["email"], row["contact_id"], row["sessions"]) == (customer.email, customer.contact_id, 1)
    assert await shown(command, row["id"]) == row
    assert f"email            {customer.email}\n" in await output_of(command, "show", row["id"])
    for unknown in ("nobody@example.com", "00000000-0000-0000-0000-000000000000", "nonsense"):
        result = await command("show", unknown)
        assert result.exit_code == 1
        assert result.output.startswith("Error: ")
        assert result.output.count("\n") == 1


async def test_change_commands_accept_an_id_and_print_json(customer: Caller, command: Command) -> None:
    user_id = (await shown(command, customer.email))["id"]
    row = json.loads(await output_of(command, "promote", user_id, "--json"))
    assert (row["id"], row["role"]) == (user_id, "staff")
    assert json.loads(await output_of(command, "logout", user_id, "--json"))["sessions"] == 0
    assert json.loads(await output_of(command, "unlink", user_id, "--json"))["contact_id"] is None
    row = json.loads(await output_of(command, "link", user_id, customer.contact_id, "--json"))
    assert row["contact_id"] == customer.contact_id


async def test_disabled_user_is_refused_until_enabled(
    app: FastAPI, client: httpx.AsyncClient, customer: Caller, command: Command, mailbox: Mailbox
) -> None:
    assert await output_of(command, "disable", customer.email)
    assert_problem(await customer.get("/api/me"), 401, "invalid_token")
    assert_problem(await log_in(client, customer.email), 401, "invalid_credentials")
    refresh = {"refresh_token": customer.tokens["refresh_token"]}
    assert_problem(await client.post("/api/token/refresh", json=refresh), 401, "invalid_token")
    response = await client.post("/api/register", json=registration_body(email=customer.email))
    assert_problem(response, 409, "user_exists")
    assert (await command("resend", customer.email)).exit_code == 1
    assert await output_of(command, "enable", customer.email)
    # The sessions from before stay ended.
    assert_problem(await customer.get("/api/me"), 401, "invalid_token")
    assert (await log_in(client, customer.email)).status_code == 200
    assert await events_of(app) == ["user_disabled", "user_enabled"]


async def test_disable_ends_mailed_links_and_no_link_is_sent(
    settings: Settings, emulator: Emulator, command: Command, mailbox: Mailbox
) -> None:
    with_mail = with_email_verification(settings, mailbox, email_verification="off")
    async with app_client(with_mail, emulator) as client:
        caller = await register_caller(client, "ada@example.com")
        await output_of(command, "resend", caller.email)
        token = token_of(mailbox.mails_to(caller.email)[-1])
        await output_of(command, "disable", caller.email)
        body = {"token": token, "password": "a new lighthouse"}
        assert_problem(await client.post("/api/password/reset", json=body), 400, "invalid_link")
        response = await client.post("/api/password/forgot", json={"email": caller.email})
        assert response.status_code == 202
    # The service sends its pending mails before it stops.
    assert mailbox.mails[-1]["Subject"] == "Your account is disabled"
    assert "#token=" not in text_of(mailbox.mails[-1])


async def test_created_user_chooses_a_password_with_mailed_link(
    app: FastAPI, client: httpx.AsyncClient, command: Command, mailbox: Mailbox, emulator: Emulator
) -> None:
    seeded = {"email": "grace@example.com", "firstname": "Admiral"}
    [contact_id] = emulator.seed({"contacts": [seeded]})["contacts"]
    output = await output_of(command, "create", "Grace@example.com", *NAMES, "--role", "staff", "--json")
    row = json.loads(output)
    assert (row["role"], row["contact_id"], row["email_verified"]) == ("staff", contact_id, True)
    # An existing contact keeps its values.
    record = emulator.record("contacts", contact_id)
    assert record is not None
    assert record.properties["firstname"] == "Admiral"
    [mail] = mailbox.mails_to("grace@example.com")
    body = {"token": token_of(mail), "password": "a new lighthouse"}
    assert (await client.post("/api/password/reset", json=body)).status_code == 204
    assert (await log_in(client, "grace@example.com", "a new lighthouse")).status_code == 200
    events = await events_of(app)
    assert events.count("registered") == events.count("password_reset_requested") == 1


async def test_create_with_asked_password_sends_no_mail(
    client: httpx.AsyncClient, command: Command, mailbox: Mailbox
) -> None:
    answers = f"{PASSWORD}\n{PASSWORD}\n"
    await output_of(command, "create", "grace@example.com", *NAMES, "--ask-password", input=answers)
    assert (await log_in(client, "grace@example.com")).status_code == 200
    assert mailbox.mails == []
    result = await command("create", "grace@example.com", *NAMES)
    assert (result.exit_code, result.output.count("\n")) == (1, 1)
    result = await command("create", "other@example.com", *NAMES[:-1], "not a number")
    assert result.exit_code == 1
    assert "phone " in result.output


async def test_lost_mail_is_reported_and_resend_sends_it(
    command: Command, client: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    mailbox.replies = ["550 no such mailbox"]
    result = await command("create", "grace@example.com", *NAMES)
    assert result.exit_code == 1
    assert "crm-api users resend" in result.output
    assert await output_of(command, "resend", "grace@example.com") == "The mail was sent.\n"
    body = {"token": token_of(mailbox.mails[-1]), "password": "a new lighthouse"}
    assert (await client.post("/api/password/reset", json=body)).status_code == 204


async def test_verify_marks_the_address_of_a_user(customer: Caller, command: Command, app: FastAPI) -> None:
    assert not (await shown(command, customer.email))["email_verified"]
    await output_of(command, "verify", customer.email)
    assert (await shown(command, customer.email))["email_verified"]
    assert await events_of(app) == ["email_verified"]


async def test_verify_completes_the_only_pending_registration(
    settings: Settings, emulator: Emulator, command: Command, mailbox: Mailbox
) -> None:
    async with app_client(with_email_verification(settings, mailbox), emulator) as client:
        await client.post("/api/register", json=registration_body())
        assert len((await shown(command, "ada@example.com"))["pending_registrations"]) == 1
        [line] = (await output_of(command, "list", "--status", "pending", "--json")).splitlines()
        assert json.loads(line)["email"] == "ada@example.com"
        row = json.loads(await output_of(command, "verify", "ada@example.com", "--json"))
        assert row["contact_id"]
        assert row["pending_registrations"] == []
        assert (await log_in(client, "ada@example.com")).status_code == 200


async def test_verify_refuses_several_pending_registrations(
    settings: Settings, emulator: Emulator, command: Command, mailbox: Mailbox
) -> None:
    async with app_client(with_email_verification(settings, mailbox), emulator) as client:
        await client.post("/api/register", json=registration_body())
        await client.post("/api/register", json=registration_body(password="of somebody else"))
        result = await command("verify", "ada@example.com")
        assert result.exit_code == 1
        assert "2 pending registrations" in result.output
        await output_of(command, "resend", "ada@example.com")
        # The token is that of the latest registration.
        body = {"token": token_of(mailbox.mails_to("ada@example.com")[-1]), "password": "of somebody else"}
        assert (await client.post("/api/email/verify", json=body)).status_code == 200


async def test_delete_asks_and_audit_by_id_shows_deleted_user(
    app: FastAPI, client: httpx.AsyncClient, customer: Caller, command: Command
) -> None:
    user_id = (await shown(command, customer.email))["id"]
    assert (await command("delete", customer.email, input="n\n")).exit_code == 1
    assert (await customer.get("/api/me")).status_code == 200
    assert json.loads(await output_of(command, "delete", user_id, "--yes", "--json"))["id"] == user_id
    assert_problem(await customer.get("/api/me"), 401, "invalid_token")
    assert_problem(await log_in(client, customer.email), 401, "invalid_credentials")
    arguments = ["audit", "--user", user_id, "--json"]
    result = await asyncio.to_thread(CliRunner().invoke, main, arguments)
    entries = [json.loads(line) for line in result.output.splitlines()]
    assert {entry["user_id"] for entry in entries} == {user_id}
    assert (entries[-1]["event"], entries[-1]["actor"]) == ("user_deleted", "operator")


@pytest.mark.parametrize("database_backend", ["sqlite"], indirect=True)
class TestCachedReads:
    @pytest.fixture
    def settings(self, settings: Settings, valkey_url: str) -> Settings:
        return settings.model_copy(update={"redis_url": SecretStr(valkey_url), "read_cache_seconds": 10.0})

    @pytest.mark.parametrize("deleted_by", ["user", "operator"])
    async def test_deletion_removes_cached_reads_from_redis(
        self,
        customer: Caller,
        client: httpx.AsyncClient,
        command: Command,
        valkey_url: str,
        deleted_by: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        # A key of its own, as during a rotation of SECRET_KEY: the process that deletes cannot read the bodies.
        monkeypatch.setenv("SECRET_KEY", "b" * 43)
        monkeypatch.setenv("REDIS_URL", valkey_url)
        other = await register_caller(client, "other@example.com")
        for caller in (customer, other):
            assert (await caller.get("/api/deals")).status_code == 200
        user_id = (await shown(command, customer.email))["id"]
        redis = Redis.from_url(valkey_url)
        before = len(await redis.keys("read-cache:*"))
        own = len(await redis.keys(f"read-cache:*:{user_id}:*"))
        assert 0 < own < before
        if deleted_by == "user":
            assert (await client.delete("/api/me", headers=customer.headers)).status_code == 204
        else:
            await output_of(command, "delete", user_id, "--yes")
        assert await redis.keys(f"read-cache:*:{user_id}:*") == []
        assert len(await redis.keys("read-cache:*")) == before - own
        await redis.aclose()


async def test_export_prints_pages_and_records_of_user(
    app: FastAPI, customer: Caller, command: Command
) -> None:
    created = await customer.post("/api/deals", deal_body())
    async with app.state.session_factory.begin() as database:
        user_id = (await database.execute(select(User.id).where(User.email == customer.email))).scalar_one()
        database.add_all(
            [AuditEntry(event="exported", user_id=user_id, actor="user", detail=str(n)) for n in range(1001)]
        )
    export = json.loads(await output_of(command, "export", customer.email))
    assert export["profile"]["email"] == customer.email
    assert [deal["id"] for deal in export["contact"]["deals"]] == [created.json()["data"]["id"]]
    details = [entry["detail"] for entry in export["audit"] if entry["detail"] in map(str, range(1001))]
    assert len(details) == len(set(details)) == 1001
    assert await events_of(app) == ["exported"]


async def test_unfinished_registration_is_not_changed(
    app: FastAPI, customer: Caller, command: Command
) -> None:
    async with app.state.session_factory.begin() as database:
        await database.execute(update(User).values(status="registering"))
    for name in ("disable", "enable", "verify", "resend"):
        result = await command(name, customer.email)
        assert result.exit_code == 1
        assert "not complete" in result.output
