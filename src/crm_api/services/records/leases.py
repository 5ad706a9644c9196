"""Leases: one request at a time writes a record, in all processes, so that If-Match is exact among callers."""

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID, uuid4

from sqlalchemy import delete, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from crm_api.database import SessionFactory
from crm_api.errors import ApiError
from crm_api.hubspot.names import ObjectType
from crm_api.models import RecordLease, now

logger = logging.getLogger(__name__)

MIN_RETRY_SECONDS = 0.05
MAX_RETRY_SECONDS = 1.0
MAX_WAIT_SECONDS = 5.0


@asynccontextmanager
async def record_lease(
    session_factory: SessionFactory,
    object_type: ObjectType,
    record_id: str,
    *,
    lease_seconds: float,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> AsyncGenerator[None, None]:
    """Hold the lease of a record, but no database connection. The lease of a crashed process expires.

    Raises 503 if another request holds the lease for longer than `MAX_WAIT_SECONDS`.
    """
    lease_id = uuid4()
    waited, backoff = 0.0, MIN_RETRY_SECONDS
    while not await _acquire(session_factory, object_type, record_id, lease_id, lease_seconds):
        if waited >= MAX_WAIT_SECONDS:
            raise ApiError("service_unavailable", retry_after=1)
        # Jitter spreads the requests that wait for the same lease.
        seconds = min(backoff * random.uniform(0.5, 1.0), MAX_WAIT_SECONDS - waited)
        await sleep(seconds)
        waited += seconds
        backoff = min(2 * backoff, MAX_RETRY_SECONDS)
    try:
        yield
    finally:
        await _release(session_factory, object_type, record_id, lease_id)


async def _release(
    session_factory: SessionFactory, object_type: ObjectType, record_id: str, lease_id: UUID
) -> None:
    own_lease = delete(RecordLease).where(
        RecordLease.object_type == object_type,
        RecordLease.record_id == record_id,
        RecordLease.lease_id == lease_id,
    )
    try:
        async with session_factory.begin() as database:
            await database.execute(own_lease)
    except (SQLAlchemyError, OSError, TimeoutError) as error:
        # The write succeeded, and the lease expires.
        logger.warning("record lease not released: error=%s", type(error).__name__)


async def _acquire(
    session_factory: SessionFactory,
    object_type: ObjectType,
    record_id: str,
    lease_id: UUID,
    lease_seconds: float,
) -> bool:
    lease_until = now() + timedelta(seconds=lease_seconds)
    try:
        async with session_factory.begin() as database:
            database.add(
                RecordLease(
                    object_type=object_type, record_id=record_id, lease_id=lease_id, lease_until=lease_until
                )
            )
        return True
    except IntegrityError:
        pass
    take_over = (
        update(RecordLease)
        .where(
            RecordLease.object_type == object_type,
            RecordLease.record_id == record_id,
            RecordLease.lease_until <= now(),
        )
        .values(lease_id=lease_id, lease_until=lease_until)
        .returning(RecordLease.record_id)
    )
    async with session_factory.begin() as database:
        return (await database.execute(take_over)).first() is not None
