"""The caller's own records: IDs from associations, records from batch reads, neither of which lags behind writes."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final, TypeVar

from pydantic_core import to_json

from crm_api.errors import DEFAULT_RETRY_AFTER_SECONDS, ApiError
from crm_api.hubspot import CrmRecord
from crm_api.hubspot.errors import HubSpotNotFoundError
from crm_api.hubspot.names import MAX_BATCH_INPUTS, ObjectType
from crm_api.hubspot.wire import BatchReadResult
from crm_api.services.link_resolver import MERGED_IDS
from crm_api.services.records.associations import OwnIds, deal_ids_of, own_deals, own_tickets
from crm_api.services.records.context import RecordContext, text_length

Result = TypeVar("Result")
MAX_RECORD_BYTES: Final = 8 * 1024 * 1024
"""Maximum size of all records in one response, as JSON."""
_MAX_CALLS_PER_ROUND: Final = 10
# The calls of a round run at the same time, so the records of at most five calls are read unnecessarily. Staff may read
# more in a round: their page of 100 contacts often has more than 500 tickets, and each further round takes as long as
# one more call.
_IDS_PER_ROUND: Final = 500
_IDS_PER_STAFF_ROUND: Final = 1_000


class ByteBudget:
    """Bytes that the records of one response may still use."""

    def __init__(self) -> None:
        self._remaining = MAX_RECORD_BYTES

    @property
    def is_exceeded(self) -> bool:
        """Whether a record did not fit; no further record fits then."""
        return self._remaining < 0

    def fitting(self, records: Sequence[CrmRecord]) -> list[CrmRecord]:
        """Return as many of the first records as fit into the budget, and subtract their size."""
        fitting: list[CrmRecord] = []
        for record in records:
            if not self.is_exceeded:
                self._remaining -= len(to_json(record.properties))
            if self.is_exceeded:
                break
            fitting.append(record)
        return fitting


def fitting_page(records: Sequence[CrmRecord]) -> list[CrmRecord]:
    """Return as many of the first records as fit into one response, but at least one."""
    return ByteBudget().fitting(records) or list(records[:1])


async def read_fitting(
    read: Callable[[int], Awaitable[Result]], records_of: Callable[[Result], Sequence[CrmRecord]], limit: int
) -> Result:
    """Read a page with this limit. If its records are too large for one response, read a shorter page.

    The shorter page is read from HubSpot too, because only HubSpot can return the cursor of the page after it.
    """
    while True:
        result = await read(limit)
        fitting = len(fitting_page(records_of(result)))
        if fitting == len(records_of(result)):
            return result
        limit = fitting


async def own_contact(context: RecordContext, *, associations: Sequence[ObjectType] = ()) -> CrmRecord | None:
    """Return the caller's contact; None if the user has none. Raises 503 while the link is lost."""
    for _ in range(2):
        contact = await _read_contact(context, associations)
        if contact is not None and await context.links.is_own(context.user, contact):
            return contact
        await context.resolve_link()
        if context.user.contact_id is None:
            return None
        context = context.live()
    # HubSpot finds the contact and then does not, so neither an empty list nor a 404 would be true.
    raise ApiError("hubspot_unavailable", retry_after=DEFAULT_RETRY_AFTER_SECONDS)


class RecordRounds:
    """Records that are read in rounds, so that a search needs only the memory of one round.

    The first round is one call. Each later one has as many calls as probably fit into `MAX_RECORD_BYTES`. A single
    round is read once, several are read again in each iteration.
    """

    def __init__(
        self,
        context: RecordContext,
        object_type: ObjectType,
        ids: Sequence[str],
        *,
        records: Sequence[CrmRecord] | None = None,
    ) -> None:
        self._context = context
        self._object_type: ObjectType = object_type
        self._ids = ids
        self._only_round = records

    async def __aiter__(self) -> AsyncIterator[Sequence[CrmRecord]]:
        if self._only_round is not None:
            yield self._only_round
            return
        seen: set[str] = set()
        start, calls = 0, 1
        while start < len(self._ids):
            ids = self._ids[start : start + calls * MAX_BATCH_INPUTS]
            # The IDs of merged records in two rounds lead to one record.
            records = [
                record
                for record in await read_records(self._context, self._object_type, ids)
                if record.id not in seen
            ]
            seen.update(record.id for record in records)
            if len(ids) == len(self._ids):
                self._only_round = records
            yield records
            start += len(ids)
            bytes_per_call = max(1, sum(map(text_length, records)) // calls)
            calls = min(max(1, MAX_RECORD_BYTES // bytes_per_call), _MAX_CALLS_PER_ROUND)


async def own_rounds(context: RecordContext, object_type: ObjectType) -> tuple[RecordRounds, OwnIds]:
    """Return all records of this type that are the caller's own, not yet read, and their IDs.

    Costs one call for the contact; for others, the calls of `own_ids`, and ceil(records/100) to read them.
    """
    if object_type == "contacts":
        contact = await own_contact(context)
        records = [contact] if contact is not None else []
        return RecordRounds(context, object_type, [], records=records), OwnIds([], {})
    own = await own_ids(context, object_type)
    return RecordRounds(context, object_type, own.ids), own


async def own_ids(context: RecordContext, object_type: ObjectType) -> OwnIds:
    """Return the IDs of the caller's deals, or of all tickets of the caller's contact and deals.

    Costs one call, two for tickets of a caller with deals, and more if HubSpot pages the associations.
    """
    associations: list[ObjectType] = ["deals", "tickets"] if object_type == "tickets" else ["deals"]
    contact = await own_contact(context, associations=associations)
    if contact is None:
        return OwnIds([], {})
    deal_ids = await deal_ids_of(context, contact)
    if object_type == "deals":
        return own_deals(contact, deal_ids)
    return await own_tickets(context, contact, deal_ids)


async def read_records(
    context: RecordContext, object_type: ObjectType, ids: Sequence[str]
) -> list[CrmRecord]:
    """Return the records with these IDs, as `records_in_order` does."""
    return records_in_order(await context.batch_read(object_type, ids), ids)


async def read_within_budget(
    context: RecordContext, object_type: ObjectType, ids: Sequence[str], budget: ByteBudget
) -> BatchReadResult:
    """Return the records with these IDs; `failed` has those that could not be read or do not fit.

    Reading stops soon after the budget is exceeded.
    """
    result = BatchReadResult({}, set())
    size = _IDS_PER_STAFF_ROUND if context.is_staff else _IDS_PER_ROUND
    for start in range(0, len(ids), size):
        round_ids = ids[start : start + size]
        if budget.is_exceeded:
            result.failed.update(round_ids)
            continue
        read = await context.batch_read(object_type, round_ids, allow_partial=True)
        fitting = {record.id for record in budget.fitting(records_in_order(read, round_ids))}
        for record_id, record in read.records.items():
            if record.id in fitting:
                result.records[record_id] = record
            else:
                result.failed.add(record_id)
        result.failed.update(read.failed)
    return result


def records_in_order(result: BatchReadResult, ids: Sequence[str]) -> list[CrmRecord]:
    """Return the records in the order of these IDs, without missing records and without duplicates."""
    # The IDs of merged records lead to one record.
    records = [result.records[record_id] for record_id in ids if record_id in result.records]
    return list({record.id: record for record in records}.values())


async def _read_contact(context: RecordContext, associations: Sequence[ObjectType]) -> CrmRecord | None:
    if context.user.contact_id is None:
        return None
    try:
        return await context.reads.objects("contacts").get(
            context.user.contact_id,
            properties=(*context.fields["contacts"].properties, MERGED_IDS),
            associations=associations,
        )
    except HubSpotNotFoundError:
        return None
