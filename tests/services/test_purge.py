"""The purge of expired rows: what it deletes, and that one process at a time runs it."""

import asyncio
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from click.testing import CliRunner
from fastapi import FastAPI
from sqlalchemy import func, select, text, update
from tests.support.emulator_transport import EmulatorTransport

from crm_api.cli import main
from crm_api.database import SessionFactory
from crm_api.main import create_app
from crm_api.models import (
    AuditEntry,
    Base,
    IdempotencyKey,
    JobLease,
    MailToken,
    PendingRegistration,
    RecentWrite,
    RecordLease,
    RefreshToken,
    Session,
    User,
    now,
)
from crm_api.services import purge as purge_module
from crm_api.services.purge import PurgeRunningError, count_expired, purge, purge_hourly
from crm_api.settings import Settings
from hubspot_emulator import Emulator

HOUR = timedelta(hours=1)
KINDS: dict[str, type[Base]] = {
    "refresh tokens": RefreshToken,
    "sessions": Session,
    "idempotency keys": IdempotencyKey,
    "mail tokens": MailToken,
    "pending registrations": PendingRegistration,
    "unfinished registrations": User,
    "recent writes": RecentWrite,
    "record leases": RecordLease,
    "audit entries": AuditEntry,
}


@pytest.fixture
def session_factory(app: FastAPI) -> SessionFactory:
    factory: SessionFactory = app.state.session_factory
    return factory


async def seed(session_factory: SessionFactory, at: datetime, audit_days: int) -> None:
    """Store one row of each kind; `at` is when they expire, and their audit entry is `audit_days` old."""
    person = {"firstname": "Ada", "lastname": "L", "phone": "+41 44 668 18 00", "password_hash": "x"}
    user_id, session_id, name = uuid4(), uuid4(), uuid4().hex
    unfinished = User(
        email=f"u{name}@example.com",
        role="customer",
        status="registering",
        lease_id=uuid4(),
        lease_until=at - timedelta(hours=23),
        **person,
    )
    async with session_factory.begin() as database:
        database.add(User(id=user_id, email=f"{name}@example.com", role="staff", status="active", **person))
        await database.flush()
        database.add(Session(id=session_id, user_id=user_id, expires_at=at))
        await database.flush()
        rows: list[Any] = [
            unfinished,
            RefreshToken(session_id=session_id, token_hash=name, expires_at=at),
            IdempotencyKey(
                id=name,
                owner="",
                fingerprint="",
                request_id="",
                lease_id=uuid4(),
                lease_until=at,
                expires_at=at,
            ),
            MailToken(token_hash=name, purpose="verify_email", expires_at=at),
            PendingRegistration(email="p@example.com", expires_at=at, **person),
            RecentWrite(user_id=user_id, object_type="deals", record_id="1", at=at),
            RecordLease(object_type="deals", record_id=name[:20], lease_id=uuid4(), lease_until=at),
            AuditEntry(event="exported", actor="user", at=now() - timedelta(days=audit_days)),
        ]
        database.add_all(rows)


async def rows_left(session_factory: SessionFactory) -> dict[str, int]:
    async with session_factory() as database:
        return {
            name: (await database.execute(select(func.count()).select_from(table))).scalar_one()
            for name, table in KINDS.items()
        }


async def lease(session_factory: SessionFactory) -> JobLease:
    async with session_factory() as database:
        return (await database.execute(select(JobLease))).scalar_one()


async def test_purge_deletes_what_has_expired_and_nothing_else(session_factory: SessionFactory) -> None:
    before = await rows_left(session_factory)
    await seed(session_factory, now() - 2 * HOUR, audit_days=31)
    await seed(session_factory, now() + HOUR, audit_days=29)
    expected = dict.fromkeys(KINDS, 1)
    assert await count_expired(session_factory, audit_retention_days=30) == expected
    assert await purge(session_factory, audit_retention_days=30) == expected
    left = await rows_left(session_factory)
    # The two users who own the sessions stay.
    assert left == {name: before[name] + (3 if name == "unfinished registrations" else 1) for name in KINDS}
    assert await count_expired(session_factory, audit_retention_days=30) == dict.fromkeys(KINDS, 0)


async def test_parallel_purges_run_in_one_process(session_factory: SessionFactory) -> None:
    results = await asyncio.gather(
        *(purge(session_factory, audit_retention_days=30, only_if_due=True) for _ in range(5))
    )
    assert sum(result is not None for result in results) == 1


async def test_purge_is_due_again_after_an_hour(session_factory: SessionFactory) -> None:
    assert await purge(session_factory, audit_retention_days=30, only_if_due=True) is not None
    assert await purge(session_factory, audit_retention_days=30, only_if_due=True) is None
    # The operator's command does not wait for the hour.
    assert await purge(session_factory, audit_retention_days=30) is not None
    async with session_factory.begin() as database:
        await database.execute(update(JobLease).values(next_run_at=now()))
    assert await purge(session_factory, audit_retention_days=30, only_if_due=True) is not None


async def test_lease_of_a_running_purge_excludes_others_until_it_ends(
    session_factory: SessionFactory,
) -> None:
    async with session_factory.begin() as database:
        row = JobLease(name="purge", lease_id=uuid4(), lease_until=now() + HOUR, next_run_at=now() - HOUR)
        database.add(row)
    assert await purge(session_factory, audit_retention_days=30, only_if_due=True) is None
    with pytest.raises(PurgeRunningError):
        await purge(session_factory, audit_retention_days=30)
    # A killed process does not release its lease, which ends.
    async with session_factory.begin() as database:
        await database.execute(update(JobLease).values(lease_until=now()))
    assert await purge(session_factory, audit_retention_days=30, only_if_due=True) is not None
    assert (await lease(session_factory)).lease_until <= now()


async def test_large_purge_stops_in_time_and_is_due_at_once(
    session_factory: SessionFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purge_module, "BATCH_ROWS", 2)
    for _ in range(5):
        await seed(session_factory, now() - 2 * HOUR, audit_days=1)
    seconds: Iterator[float] = iter([0.0, 0.0, 0.0, 301.0])
    counts = await purge(session_factory, audit_retention_days=30, clock=lambda: next(seconds, 301.0))
    assert counts is not None
    assert (counts["refresh tokens"], counts["sessions"]) == (4, 0)
    counts = await purge(session_factory, audit_retention_days=30, only_if_due=True)
    assert counts is not None
    assert (counts["refresh tokens"], counts["sessions"], counts["unfinished registrations"]) == (1, 5, 5)


@pytest.mark.parametrize("database_backend", ["postgresql"], indirect=True)
async def test_row_renewed_during_the_purge_stays(session_factory: SessionFactory) -> None:
    await seed(session_factory, now() - 2 * HOUR, audit_days=1)
    waiting = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
    async with session_factory() as database:
        await database.execute(update(RecordLease).values(lease_until=now() + HOUR))
        purging = asyncio.create_task(purge(session_factory, audit_retention_days=30))
        deadline = time.monotonic() + 30
        async with session_factory() as other:
            while not (await other.execute(waiting)).scalar_one():
                assert time.monotonic() < deadline
                await other.rollback()
                await asyncio.sleep(0.02)
        await database.commit()
    counts = await purging
    assert counts is not None
    assert (counts["record leases"], counts["recent writes"]) == (0, 1)


async def test_purge_continues_after_database_error(
    session_factory: SessionFactory, fail_statements: Any, caplog: pytest.LogCaptureFixture
) -> None:
    await seed(session_factory, now() - 2 * HOUR, audit_days=31)
    checks = 0

    async def sleep(_seconds: float) -> None:
        nonlocal checks
        checks += 1
        fail_statements("UPDATE job_leases" if checks == 1 else "")
        if checks == 3:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await purge_hourly(session_factory, audit_retention_days=30, sleep=sleep)
    assert "expired rows not purged: error=OperationalError" in caplog.text
    assert await count_expired(session_factory, audit_retention_days=30) == dict.fromkeys(KINDS, 0)


async def test_running_service_purges_expired_rows(
    settings: Settings, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purge_module, "CHECK_SECONDS", 0.05)
    settings = settings.model_copy(update={"audit_retention_days": 7})
    app = create_app(settings, hubspot_transport=EmulatorTransport(emulator))
    async with app.router.lifespan_context(app):
        factory = app.state.session_factory
        await seed(factory, now() - 2 * HOUR, audit_days=8)
        async with factory.begin() as database:
            await database.execute(update(JobLease).values(next_run_at=now()))
        deadline = time.monotonic() + 30
        while any((await count_expired(factory, audit_retention_days=7)).values()):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)


async def test_purge_command_deletes_unless_it_is_a_dry_run(
    session_factory: SessionFactory, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    await seed(session_factory, now() - 2 * HOUR, audit_days=31)
    for name, value in {
        "ENVIRONMENT": "development",
        "DATABASE_URL": settings.database_url,
        "AUDIT_RETENTION_DAYS": "30",
    }.items():
        monkeypatch.setenv(name, value)
    lines = {name: f"       1  {name}" for name in KINDS}
    result = await asyncio.to_thread(CliRunner().invoke, main, ["purge", "--dry-run"])
    assert result.output.splitlines() == ["Would delete:", *lines.values()]
    assert set((await count_expired(session_factory, audit_retention_days=30)).values()) == {1}
    result = await asyncio.to_thread(CliRunner().invoke, main, ["purge"])
    assert result.output.splitlines() == ["Deleted:", *lines.values()]
    assert set((await count_expired(session_factory, audit_retention_days=30)).values()) == {0}
    async with session_factory.begin() as database:
        await database.execute(update(JobLease).values(lease_until=now() + HOUR))
    result = await asyncio.to_thread(CliRunner().invoke, main, ["purge"])
    assert (result.exit_code, result.output) == (
        1,
        "Error: another process is purging now; run the command again later\n",
    )
