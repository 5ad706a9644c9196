"""IDs of associated records: those that came with a record, and the rest if HubSpot sent only the first page."""

import asyncio
from collections.abc import Mapping, Sequence

from crm_api.errors import ApiError
from crm_api.hubspot import AssociationResult, CrmRecord
from crm_api.hubspot.errors import HubSpotCredentialsError, HubSpotError
from crm_api.hubspot.names import ObjectType
from crm_api.schemas.overview import MAX_CHILDREN
from crm_api.services.records.context import RecordContext


async def associated_ids(
    context: RecordContext, object_type: ObjectType, record: CrmRecord, to_type: ObjectType
) -> list[str]:
    """Return all IDs of one type that are associated with this record. Raises 502 if some could not be read."""
    inline = record.associated(to_type)
    if inline.after is None:
        return inline.ids
    return (await associations_by_id(context, object_type, [record.id], to_type))[record.id]


async def associations_by_id(
    context: RecordContext, object_type: ObjectType, ids: Sequence[str], to_type: ObjectType
) -> dict[str, list[str]]:
    """Return the associated IDs of each of these records. Raises 502 if some could not be read."""
    result = await context.reads.associations.batch_read(object_type, to_type, ids)
    if result.failed:
        raise ApiError("hubspot_error")
    return result.targets


async def deal_ids_of(context: RecordContext, contact: CrmRecord) -> list[str]:
    """Return the ascending IDs of the contact's deals."""
    return sorted_ids(await associated_ids(context, "contacts", contact, "deals"))


async def visible_deal_ids(context: RecordContext, deal_ids: Sequence[str]) -> list[str]:
    """Return the IDs of the deals that the caller sees. Costs a batch read if pipelines are hidden from the caller."""
    if not deal_ids or not context.stages.is_restricted("deals"):
        return list(deal_ids)
    visible = (await context.batch_read("deals", deal_ids)).records
    return [deal_id for deal_id in deal_ids if deal_id in visible]


async def ticket_ids_of(context: RecordContext, contact: CrmRecord, deal_ids: Sequence[str]) -> list[str]:
    """Return the ascending IDs of the tickets of the contact and of those of its deals that the caller sees."""
    deal_ids = await visible_deal_ids(context, deal_ids)
    own, by_deal = await asyncio.gather(
        associated_ids(context, "contacts", contact, "tickets"),
        associations_by_id(context, "deals", deal_ids, "tickets"),
    )
    return sorted_ids([*own, *(ticket_id for ids in by_deal.values() for ticket_id in ids)])


def sorted_ids(ids: Sequence[str]) -> list[str]:
    """Return the IDs in ascending order, without duplicates."""
    return sorted(set(ids), key=int)


async def partial_associations(
    context: RecordContext, object_type: ObjectType, records: Sequence[CrmRecord], to_type: ObjectType
) -> AssociationResult:
    """Return the associated IDs of each record as far as they can be read; `failed` names incomplete records."""
    inline = {record.id: record.associated(to_type) for record in records}
    targets = {record_id: associated.ids for record_id, associated in inline.items()}
    overflowing = [record_id for record_id, associated in inline.items() if associated.after is not None]
    read = await partial_associations_by_id(context, object_type, overflowing, to_type)
    # An empty list means a failed read: keep the first page, which came in the record's own response.
    complete = {record_id: ids for record_id, ids in read.targets.items() if ids}
    return _bounded(targets | complete, read.failed)


async def partial_associations_by_id(
    context: RecordContext, object_type: ObjectType, ids: Sequence[str], to_type: ObjectType
) -> AssociationResult:
    """Return the associated IDs of each of these records, as `partial_associations` does."""
    try:
        result = await context.reads.associations.batch_read(object_type, to_type, ids)
    except HubSpotCredentialsError:
        raise
    except HubSpotError:
        return AssociationResult({record_id: [] for record_id in ids}, set(ids))
    return _bounded(result.targets, result.failed)


def _bounded(targets: Mapping[str, list[str]], failed: set[str]) -> AssociationResult:
    """Limit the associations of each record to what a response may hold; a longer list counts as incomplete."""
    too_long = {record_id for record_id, ids in targets.items() if len(ids) > MAX_CHILDREN}
    return AssociationResult(
        {record_id: ids[:MAX_CHILDREN] for record_id, ids in targets.items()}, failed | too_long
    )
