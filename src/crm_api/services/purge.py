"""Purge of expired rows, by one process at a time and once an hour."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, and_, delete, func, inspect, select, tuple_, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from crm_api.database import SessionFactory
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

logger = logging.getLogger(__name__)

JOB: Final = "purge"
INTERVAL: Final = timedelta(hours=1)
# A run stops before its lease ends, and the next one continues.
LEASE: Final = timedelta(minutes=10)
MAX_RUN_SECONDS: Final = 300.0
CHECK_SECONDS: Final = 300.0
# Small transactions hold no lock for long, and with SQLite other requests run between them.
BATCH_ROWS: Final = 500
# A registration that crashed may be retried with its idempotency key for a day.
UNFINISHED_REGISTRATION: Final = timedelta(hours=24)
RECENT_WRITE: Final = timedelta(minutes=10)


class PurgeRunningError(Exception):
    """Another process is purging now."""


@dataclass(frozen=True, slots=True)
class _Expired:
    name: str
    table: type[Base]
    condition: ColumnElement[bool]


def _expired(at: datetime, audit_retention_days: int) -> tuple[_Expired, ...]:
    """Return what has expired; refresh tokens come before the sessions that they belong to."""
    unfinished = and_(User.status == "registering", User.lease_until <= at - UNFINISHED_REGISTRATION)
    audit_until = at - timedelta(days=audit_retention_days)
    return (
        _Expired("refresh tokens", RefreshToken, RefreshToken.expires_at <= at),
        _Expired("sessions", Session, Session.expires_at <= at),
        _Expired("idempotency keys", IdempotencyKey, IdempotencyKey.expires_at <= at),
        _Expired("mail tokens", MailToken, MailToken.expires_at <= at),
        _Expired("pending registrations", PendingRegistration, PendingRegistration.expires_at <= at),
        _Expired("unfinished registrations", User, unfinished),
        _Expired("recent writes", RecentWrite, RecentWrite.at <= at - RECENT_WRITE),
        _Expired("record leases", RecordLease, RecordLease.lease_until <= at),
        _Expired("audit entries", AuditEntry, AuditEntry.at <= audit_until),
    )


async def count_expired(session_factory: SessionFactory, *, audit_retention_days: int) -> dict[str, int]:
    """Return how many rows of each kind a purge would delete now."""
    async with session_factory() as database:
        return {
            expired.name: (
                await database.execute(
                    select(func.count()).select_from(expired.table).where(expired.condition)
                )
            ).scalar_one()
            for expired in _expired(now(), audit_retention_days)
        }


async def purge(
    session_factory: SessionFactory,
    *,
    audit_retention_days: int,
    only_if_due: bool = False,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, int] | None:
    """Delete expired rows in small transactions and return how many of each kind.

    With `only_if_due`, return None if another process is purging or has purged within the hour. Otherwise raises
    `PurgeRunningError` while another process is purging.
    """
    lease_id = uuid4()
    if not await _acquire(session_factory, lease_id, only_if_due=only_if_due):
        if only_if_due:
            return None
        raise PurgeRunningError
    ends_at = clock() + MAX_RUN_SECONDS
    counts: dict[str, int] = {}
    is_complete = False
    try:
        for expired in _expired(now(), audit_retention_days):
            counts[expired.name] = 0
            while clock() < ends_at:
                deleted = await _delete_batch(session_factory, expired)
                counts[expired.name] += deleted
                if deleted < BATCH_ROWS:
                    break
        is_complete = clock() < ends_at
    finally:
        await _release(session_factory, lease_id, next_run_at=now() + INTERVAL if is_complete else now())
    return counts


async def _delete_batch(session_factory: SessionFactory, expired: _Expired) -> int:
    key: tuple[Any, ...] = inspect(expired.table).primary_key
    batch = select(*key).where(expired.condition).limit(BATCH_ROWS)
    # The condition is checked again because a row may have been renewed since it was selected.
    statement = delete(expired.table).where(tuple_(*key).in_(batch), expired.condition)
    async with session_factory.begin() as database:
        result = await database.execute(
            statement.returning(key[0]), execution_options={"synchronize_session": False}
        )
        return len(result.all())


async def _acquire(session_factory: SessionFactory, lease_id: UUID, *, only_if_due: bool) -> bool:
    at = now()
    take = update(JobLease).where(JobLease.name == JOB, JobLease.lease_until <= at)
    if only_if_due:
        take = take.where(JobLease.next_run_at <= at)
    take = take.values(lease_id=lease_id, lease_until=at + LEASE)
    async with session_factory.begin() as database:
        if (await database.execute(take.returning(JobLease.name))).first() is not None:
            return True
        if await database.get(JobLease, JOB) is not None:
            return False
    try:
        async with session_factory.begin() as database:
            database.add(JobLease(name=JOB, lease_id=lease_id, lease_until=at + LEASE, next_run_at=at))
        return True
    except IntegrityError:  # another process created the row first
        return False


async def _release(session_factory: SessionFactory, lease_id: UUID, *, next_run_at: datetime) -> None:
    release = update(JobLease).where(JobLease.name == JOB, JobLease.lease_id == lease_id)
    async with session_factory.begin() as database:
        await database.execute(release.values(lease_until=now(), next_run_at=next_run_at))


async def purge_hourly(
    session_factory: SessionFactory,
    *,
    audit_retention_days: int,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Purge whenever a purge is due; database errors are logged, and the next check retries."""
    while True:
        # Jitter spreads the checks of processes that start together.
        await sleep(CHECK_SECONDS * random.uniform(0.5, 1.0))
        try:
            counts = await purge(session_factory, audit_retention_days=audit_retention_days, only_if_due=True)
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            logger.warning("expired rows not purged: error=%s", type(error).__name__)
            continue
        if counts and any(counts.values()):
            deleted = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
            logger.info("expired rows purged: %s", deleted)
