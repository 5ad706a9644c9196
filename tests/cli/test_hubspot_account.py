"""`crm-api hubspot account`, `check` and `move`: the HubSpot account that the database is bound to."""

import asyncio
from collections.abc import Awaitable, Callable, Generator

import pytest
from click.testing import CliRunner, Result
from fastapi import FastAPI
from sqlalchemy import func, select, update
from tests.hubspot_emulator.conftest import served
from tests.support.builders import deal_body
from tests.support.callers import Caller

from crm_api.cli import main
from crm_api.models import AuditEntry, IdempotencyKey, User
from crm_api.settings import Settings
from hubspot_emulator import Emulator, create_emulator

Run = Callable[..., Awaitable[Result]]


@pytest.fixture
def other_account(emulator: Emulator) -> Generator[Emulator]:
    other = create_emulator(portal_id=emulator.portal_id + 1)
    yield other
    other.close()


@pytest.fixture
def run(settings: Settings, other_account: Emulator, monkeypatch: pytest.MonkeyPatch) -> Generator[Run]:
    """Run `crm-api hubspot` with the application's database and the other HubSpot account's credentials."""
    with served(other_account) as url:
        for name, value in {
            "ENVIRONMENT": "development",
            "DATABASE_URL": settings.database_url,
            "HUBSPOT_BASE_URL": url,
            "HUBSPOT_ACCESS_TOKEN": "test-access-token",
        }.items():
            monkeypatch.setenv(name, value)

        async def run(*arguments: str, answer: str = "") -> Result:
            # In a thread, because the command runs its own event loop.
            return await asyncio.to_thread(
                CliRunner().invoke, main, ["hubspot", *arguments], input=f"{answer}\n"
            )

        yield run


@pytest.mark.usefixtures("app")
async def test_account_command_prints_the_bound_hubspot_account(run: Run, emulator: Emulator) -> None:
    result = await run("account")
    assert result.output == f"The database is bound to HubSpot account {emulator.portal_id}.\n"


@pytest.mark.usefixtures("app")
async def test_check_fails_for_another_hubspot_account(
    run: Run, emulator: Emulator, other_account: Emulator, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = await run("check")
    assert result.exit_code == 1
    [line] = [line for line in result.output.splitlines() if " database " in line]
    assert line.startswith("FAIL")
    assert f"bound to HubSpot account {emulator.portal_id}, not {other_account.portal_id}" in line
    assert (await run("provision")).exit_code == 0
    monkeypatch.setenv("DATABASE_URL", "postgresql://user@127.0.0.1:1/name")
    result = await run("check")
    assert result.exit_code == 0, result.output
    assert "not compared: the database cannot be used (ConnectionRefusedError)" in result.output


async def test_move_ends_links_and_links_verified_users_by_email(
    run: Run, app: FastAPI, customer: Caller, other_customer: Caller, staff: Caller, other_account: Emulator
) -> None:
    await customer.post("/api/deals", deal_body(), headers={"Idempotency-Key": "the-same-key"})
    session_factory = app.state.session_factory
    async with session_factory.begin() as database:
        verified = User.email.in_([customer.email, staff.email])
        await database.execute(update(User).where(verified).values(email_verified=True))
    seeds = [{"email": "another@example.com"}, {"email": customer.email}, {"email": other_customer.email}]
    contact_id = other_account.seed({"contacts": seeds})["contacts"][1]
    refused = await run("move", answer="n")
    assert refused.exit_code == 1
    assert "All 3 links of users to contacts end." in refused.output
    async with session_factory() as database:
        assert (await database.execute(select(func.count(User.contact_id)))).scalar_one() == 3
    result = await run("move", answer="y")
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[-2:] == [
        f"The database is bound to HubSpot account {other_account.portal_id} now.",
        "Users with a verified address but without a contact: 1.",
    ]
    async with session_factory() as database:
        rows = (await database.execute(select(User.email, User.contact_id))).all()
        links = {row.email: row.contact_id for row in rows}
        # An unverified address is no proof that the contact is the user's.
        assert links == {customer.email: contact_id, other_customer.email: None, staff.email: None}
        assert (await database.execute(select(func.count()).select_from(IdempotencyKey))).scalar_one() == 0
        lost = select(AuditEntry).where(
            AuditEntry.event == "contact_link_lost", AuditEntry.actor == "operator"
        )
        details = [entry.detail for entry in (await database.execute(lost)).scalars()]
    assert len(details) == 3
    assert f"was {customer.contact_id}, is None: moved to HubSpot account" in "".join(map(str, details))


@pytest.mark.usefixtures("app")
async def test_second_run_completes_an_interrupted_move(
    run: Run, app: FastAPI, customer: Caller, other_account: Emulator
) -> None:
    async with app.state.session_factory.begin() as database:
        await database.execute(update(User).values(email_verified=True))
    [contact_id] = other_account.seed({"contacts": [{"email": customer.email}]})["contacts"]
    other_account.fail_next("GET", "/crm/objects/*", status=400)
    assert (await run("move", "--yes")).exit_code == 1
    assert (await run("account")).output == (
        f"The database is bound to HubSpot account {other_account.portal_id}.\n"
    )
    result = await run("move")
    assert result.exit_code == 0, result.output
    async with app.state.session_factory() as database:
        assert (await database.execute(select(User.contact_id))).scalar_one() == contact_id
