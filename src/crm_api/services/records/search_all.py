"""Text search of contacts, deals and tickets at the same time."""

import asyncio
import logging
from collections.abc import Awaitable
from itertools import chain

from crm_api.errors import ApiError
from crm_api.hubspot import CrmRecord
from crm_api.hubspot.errors import HubSpotError
from crm_api.hubspot.names import ObjectType
from crm_api.schemas.contacts import Contact
from crm_api.schemas.deals import Deal
from crm_api.schemas.search import FoundRecords
from crm_api.schemas.tickets import Ticket
from crm_api.services.properties.fields import OBJECT_TYPES
from crm_api.services.properties.filters import RecordQuery
from crm_api.services.records.associations import deal_ids_of, own_tickets
from crm_api.services.records.context import RecordContext
from crm_api.services.records.customer_records import ByteBudget, RecordRounds, own_contact
from crm_api.services.records.queries import find_records, search_rounds

logger = logging.getLogger(__name__)


async def search_everything(context: RecordContext, text: str, *, limit: int) -> FoundRecords:
    """Return the first matches of each type; `failed` names the types that could not be searched.

    Raises the error of the contacts if no type could be searched.
    """
    query = RecordQuery(text=text)
    if context.is_staff:
        searches = [_search_account(context, object_type, query, limit) for object_type in OBJECT_TYPES]
    else:
        contact = await own_contact(context, associations=("deals", "tickets"))
        if contact is None:
            return FoundRecords(contacts=[], deals=[], tickets=[], failed=[])
        deal_ids = asyncio.ensure_future(deal_ids_of(context, contact))
        searches = [
            _search_own(context, object_type, query, limit, contact, deal_ids) for object_type in OBJECT_TYPES
        ]
    records: dict[ObjectType, list[CrmRecord]] = {}
    failures: dict[ObjectType, BaseException] = {}
    outcomes = await asyncio.gather(*searches, return_exceptions=True)
    for object_type, outcome in zip(OBJECT_TYPES, outcomes, strict=True):
        if not isinstance(outcome, BaseException):
            records[object_type] = outcome
            continue
        if not isinstance(outcome, HubSpotError | ApiError):
            raise outcome
        failures[object_type] = outcome
        logger.warning("search failed: object_type=%s error=%s", object_type, type(outcome).__name__)
    if not records:
        raise failures["contacts"]
    budget = ByteBudget()
    records = {object_type: budget.fitting(matches) for object_type, matches in records.items()}
    await context.wait_to_respond(chain.from_iterable(records.values()))
    return FoundRecords(
        contacts=[context.to_model(Contact, record) for record in records.get("contacts", [])],
        deals=[context.to_model(Deal, record) for record in records.get("deals", [])],
        tickets=[context.to_model(Ticket, record) for record in records.get("tickets", [])],
        failed=list(failures),
    )


async def _search_account(
    context: RecordContext, object_type: ObjectType, query: RecordQuery, limit: int
) -> list[CrmRecord]:
    result, _ = await find_records(context, object_type, query, limit=limit)
    return result.records


async def _search_own(
    context: RecordContext,
    object_type: ObjectType,
    query: RecordQuery,
    limit: int,
    contact: CrmRecord,
    deal_ids: Awaitable[list[str]],
) -> list[CrmRecord]:
    if object_type == "contacts":
        rounds = RecordRounds(context, object_type, [], records=[contact])
    else:
        ids = await deal_ids
        if object_type == "tickets":
            ids = (await own_tickets(context, contact, ids)).ids
        rounds = RecordRounds(context, object_type, ids)
    return (await search_rounds(context, object_type, query, rounds, limit=limit)).records
