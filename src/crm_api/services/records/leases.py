"""One writer at a time for each record, among all processes: what makes If-Match exact among our callers."""

import asyncio
import logging
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

LOOK_AGAIN_SECONDS = 0.05
WAIT_AT_MOST_SECONDS = 5.0


@asynccontextmanager
async def record_lease(
    session_factory: SessionFactory,
    object_type: ObjectType,
    record_id: str,
    *,
    lease_seconds: float,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> AsyncGenerator[None, None]:
    """Hold the record; no database connection is held meanwhile. A lease whose holder died ends by itself.

    Raises 503 where another request holds it for longer than is worth waiting.
    """
    lease_id = uuid4()
    waited = 0.0
    while not await _take(session_factory, object_type, record_id, lease_id, lease_seconds):
        if waited >= WAIT_AT_MOST_SECONDS:
            raise ApiError("service_unavailable", retry_after=1)
        await sleep(LOOK_AGAIN_SECONDS)
        waited += LOOK_AGAIN_SECONDS
    try:
        yield
    finally:
        await _give_back(session_factory, object_type, record_id, lease_id)


async def _give_back(
    session_factory: SessionFactory, object_type: ObjectType, record_id: str, lease_id: UUID
) -> None:
    mine = delete(RecordLease).where(
        RecordLease.object_type == object_type,
        RecordLease.record_id == record_id,
        RecordLease.lease_id == lease_id,
    )
    try:
        async with session_factory.begin() as database:
            await database.execute(mine)
    except (SQLAlchemyError, OSError, TimeoutError) as error:
        # What was written stands, and the lease ends by itself.
        logger.warning("a lease could not be given back: %s", type(error).__name__)


async def _take(
    session_factory: SessionFactory,
    object_type: ObjectType,
    record_id: str,
    lease_id: UUID,
    lease_seconds: float,
) -> bool:
    until = now() + timedelta(seconds=lease_seconds)
    try:
        async with session_factory.begin() as database:
            database.add(
                RecordLease(
                    object_type=object_type, record_id=record_id, lease_id=lease_id, lease_until=until
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
        .values(lease_id=lease_id, lease_until=until)
        .returning(RecordLease.record_id)
    )
    async with session_factory.begin() as database:
        return (await database.execute(take_over)).first() is not None
