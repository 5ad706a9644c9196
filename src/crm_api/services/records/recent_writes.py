"""What somebody on the staff wrote a moment ago, so that they see it although HubSpot's search lags behind.

https://developers.hubspot.com/docs/api-reference/search/guide: new and changed records take a while to appear.
"""

import logging
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

KEPT: Final = timedelta(seconds=60)
# The ids go into a filter and into a cursor, and HubSpot takes 3,000 characters for a search.
AT_MOST: Final = 50


async def remember(context: RecordContext, object_type: ObjectType, record_id: str) -> None:
    """Note that the caller has just written this record. The write stands whether or not the note can be made."""
    await note_write(context.session_factory, context.user, object_type, record_id)


async def note_write(
    session_factory: SessionFactory, user: User, object_type: ObjectType, record_id: str
) -> None:
    """As `remember`, for whoever has no `Access`."""
    if user.role != "staff":
        return  # a customer's lists and searches do not go through HubSpot's index
    for _ in range(2):
        try:
            async with session_factory.begin() as database:
                await database.execute(delete(RecentWrite).where(RecentWrite.at < now() - KEPT))
                row = await database.get(RecentWrite, (user.id, object_type, record_id))
                if row is None:
                    database.add(RecentWrite(user_id=user.id, object_type=object_type, record_id=record_id))
                else:
                    row.at = now()
            return
        except IntegrityError:
            continue  # the same record, written by the same user at the same moment
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            logger.warning("a recent write could not be noted: %s", type(error).__name__)
            return


async def recent_ids(context: RecordContext, object_type: ObjectType) -> list[str]:
    """The records that the caller wrote in the last minute, the latest first."""
    query = (
        select(RecentWrite.record_id)
        .where(
            RecentWrite.user_id == context.user.id,
            RecentWrite.object_type == object_type,
            RecentWrite.at >= now() - KEPT,
        )
        .order_by(RecentWrite.at.desc())
        .limit(AT_MOST)
    )
    async with context.session_factory() as database:
        return list((await database.execute(query)).scalars())


async def read_recent(
    context: RecordContext, object_type: ObjectType, ids: list[str]
) -> dict[str, CrmRecord]:
    """These records as they are now, by id; archived ones are not among them."""
    if not ids:
        return {}
    result = await context.hubspot.objects(object_type).batch_read(
        ids, properties=context.fields[object_type].properties
    )
    return {record.id: record for record in result.records.values()}
