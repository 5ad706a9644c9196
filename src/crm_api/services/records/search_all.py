"""Contacts, deals and tickets searched at once."""

import asyncio
import logging
from collections.abc import Awaitable
from typing import Final

from crm_api.errors import ApiError
from crm_api.hubspot import CrmRecord
from crm_api.hubspot.errors import HubSpotError
from crm_api.hubspot.names import ObjectType
from crm_api.schemas.search import FoundRecords
from crm_api.services.properties.fields import OBJECT_TYPES
from crm_api.services.properties.filters import RecordQuery
from crm_api.services.properties.mapping import contact_from_record, deal_from_record, ticket_from_record
from crm_api.services.records.associations import deal_ids_of, ticket_ids_of
from crm_api.services.records.context import RecordContext
from crm_api.services.records.customer_records import own_contact, read_records
from crm_api.services.records.queries import find_records

logger = logging.getLogger(__name__)

# What can go wrong with one part alone; anything else is a mistake of ours.
_Failures: Final = (HubSpotError, ApiError)


async def search_everything(context: RecordContext, text: str, *, limit: int) -> FoundRecords:
    """The first few contacts, deals and tickets in which the text is found; parts that failed are named.

    Raises what went wrong where every part failed.
    """
    query = RecordQuery(text=text)
    parts = await (_of_account if context.is_staff else _own)(context, query, limit)
    failures = {part: found for part, found in parts.items() if isinstance(found, BaseException)}
    for part, failure in failures.items():
        if not isinstance(failure, _Failures):
            raise failure
        logger.warning("search: %s failed: %s", part, type(failure).__name__)
    if len(failures) == len(OBJECT_TYPES):
        raise failures["contacts"]

    def found(part: ObjectType) -> list[CrmRecord]:
        records = parts[part]
        return [] if isinstance(records, BaseException) else records

    return FoundRecords(
        contacts=[contact_from_record(record, context.fields) for record in found("contacts")],
        deals=[deal_from_record(record, context.fields) for record in found("deals")],
        tickets=[ticket_from_record(record, context.fields) for record in found("tickets")],
        failed=[part for part in OBJECT_TYPES if part in failures],
    )


Parts = dict[ObjectType, list[CrmRecord] | BaseException]


async def _of_account(context: RecordContext, query: RecordQuery, limit: int) -> Parts:
    """Three searches; the client keeps them within HubSpot's five a second."""

    async def part(object_type: ObjectType) -> list[CrmRecord]:
        return (await find_records(context, object_type, query, limit=limit)).records

    return await _together({each: part(each) for each in OBJECT_TYPES})


async def _own(context: RecordContext, query: RecordQuery, limit: int) -> Parts:
    """The customer's records, their ids read once for all three parts."""
    contact = await own_contact(context, associations=("deals", "tickets"))
    if contact is None:
        return {each: [] for each in OBJECT_TYPES}
    deal_ids = asyncio.ensure_future(deal_ids_of(context, contact))

    async def part(object_type: ObjectType) -> list[CrmRecord]:
        if object_type == "contacts":
            records = [contact]
        elif object_type == "deals":
            records = await read_records(context, "deals", await deal_ids)
        else:
            ids = await ticket_ids_of(context, contact, await deal_ids)
            records = await read_records(context, "tickets", ids)
        return query.select(records, context.fields[object_type])[:limit]

    return await _together({each: part(each) for each in OBJECT_TYPES})


async def _together(parts: dict[ObjectType, Awaitable[list[CrmRecord]]]) -> Parts:
    outcomes = await asyncio.gather(*parts.values(), return_exceptions=True)
    return dict(zip(parts, outcomes, strict=True))
