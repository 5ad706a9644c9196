"""Records that a staff member wrote recently. HubSpot's search lags behind writes, so they are read by ID.

https://developers.hubspot.com/docs/api-reference/search/guide
"""

import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from crm_api.database import SessionFactory
from crm_api.hubspot import CrmRecord
from crm_api.hubspot.names import ObjectType
from crm_api.models import RecentWrite, User, now
from crm_api.services.records.context import RecordContext

logger = logging.getLogger(__name__)

RETENTION: Final = timedelta(seconds=60)
# The IDs must fit into a cursor and into the 3,000 characters that HubSpot accepts for a search.
MAX_RECENT_WRITES: Final = 50


async def note_write(
    session_factory: SessionFactory, user: User, object_type: ObjectType, record_id: str
) -> None:
    """Store that the user has just written this record. Database errors are logged, because the write succeeded."""
    if user.role != "staff":
        return  # customers' lists and searches do not use HubSpot's index
    for _ in range(2):
        try:
            async with session_factory.begin() as database:
                await database.execute(delete(RecentWrite).where(RecentWrite.at < now() - RETENTION))
                row = await database.get(RecentWrite, (user.id, object_type, record_id))
                if row is None:
                    database.add(RecentWrite(user_id=user.id, object_type=object_type, record_id=record_id))
                else:
                    row.at = now()
            return
        except IntegrityError:
            continue  # another request of this user has inserted the row since
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            logger.warning("recent write not stored: error=%s", type(error).__name__)
            return


async def recent_ids(context: RecordContext, object_type: ObjectType) -> list[str]:
    """Return the IDs of the caller's recent writes, the latest first."""
    query = (
        select(RecentWrite.record_id)
        .where(
            RecentWrite.user_id == context.user.id,
            RecentWrite.object_type == object_type,
            RecentWrite.at >= now() - RETENTION,
        )
        .order_by(RecentWrite.at.desc())
        .limit(MAX_RECENT_WRITES)
    )
    async with context.session_factory() as database:
        return list((await database.execute(query)).scalars())


async def read_recent(
    context: RecordContext, object_type: ObjectType, ids: Sequence[str]
) -> dict[str, CrmRecord]:
    """Return the current records with these IDs, by ID. Archived records are absent."""
    result = await context.batch_read(object_type, ids)
    return {record.id: record for record in result.records.values()}
