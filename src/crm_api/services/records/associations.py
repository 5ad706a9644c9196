"""IDs of associated records: those that came with a record, and the rest if HubSpot sent only the first page."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from crm_api.errors import ApiError
from crm_api.hubspot import AssociationResult, CrmRecord
from crm_api.hubspot.errors import HubSpotCredentialsError, HubSpotError
from crm_api.hubspot.names import ObjectType
from crm_api.schemas.common import MAX_ASSOCIATED_IDS
from crm_api.schemas.overview import MAX_CHILDREN
from crm_api.services.records.context import RecordContext

IdFields = Mapping[str, list[str] | None]
"""The fields of one record with the IDs of associated records; None if they were not read."""
ASSOCIATED_TYPES: Final[Mapping[ObjectType, tuple[ObjectType, ...]]] = {
    "contacts": (),
    "deals": ("contacts",),
    "tickets": ("contacts", "deals"),
}
"""The object types whose IDs a record contains."""
_ID_FIELDS: Final[Mapping[ObjectType, str]] = {"contacts": "contact_ids", "deals": "deal_ids"}


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


@dataclass(frozen=True, slots=True)
class OwnIds:
    """Ascending IDs of a customer's records of one type, and the fields of each with the IDs of associated records."""

    ids: list[str]
    id_fields: Mapping[str, IdFields]


def own_deals(contact: CrmRecord, deal_ids: Sequence[str]) -> OwnIds:
    """Return the customer's deals. A customer sees no other contact of a deal."""
    return OwnIds(list(deal_ids), {deal_id: {"contact_ids": [contact.id]} for deal_id in deal_ids})


async def own_tickets(context: RecordContext, contact: CrmRecord, deal_ids: Sequence[str]) -> OwnIds:
    """Return the tickets of the customer's contact and of those of its deals that the customer sees."""
    deal_ids = await visible_deal_ids(context, deal_ids)
    of_contact, by_deal = await asyncio.gather(
        associated_ids(context, "contacts", contact, "tickets"),
        associations_by_id(context, "deals", deal_ids, "tickets"),
    )
    # The deals are in ascending order, so those of each ticket are too.
    deals_of: dict[str, list[str]] = {ticket_id: [] for ticket_id in of_contact}
    for deal_id, ticket_ids in by_deal.items():
        for ticket_id in ticket_ids:
            deals_of.setdefault(ticket_id, []).append(deal_id)
    is_direct = set(of_contact)
    id_fields = {
        ticket_id: {"contact_ids": [contact.id] if ticket_id in is_direct else [], "deal_ids": ids}
        for ticket_id, ids in deals_of.items()
    }
    return OwnIds(sorted_ids(list(id_fields)), id_fields)


def inline_id_fields(context: RecordContext, object_type: ObjectType, record: CrmRecord) -> IdFields:
    """Return the ID fields of a record that was read with its associations, as far as they need no further call."""
    inline = {to_type: record.associated(to_type) for to_type in ASSOCIATED_TYPES[object_type]}
    if context.is_staff:
        return {
            _ID_FIELDS[to_type]: _bounded_ids(found.ids) if found.after is None else None
            for to_type, found in inline.items()
        }
    # A user whose contact was unlinked since the request began has none.
    own = [context.user.contact_id] if context.user.contact_id is not None else []
    if object_type == "deals":
        # The deal is visible because it is associated with this contact.
        return {"contact_ids": own}
    if object_type == "contacts":
        return {}
    is_direct = not set(own).isdisjoint(inline["contacts"].ids)
    return {
        "contact_ids": None if not is_direct and inline["contacts"].after is not None else own * is_direct,
        # Deals of the ticket may belong to another contact.
        "deal_ids": None if inline["deals"].ids else [],
    }


def _bounded_ids(ids: Sequence[str]) -> list[str] | None:
    return sorted_ids(ids) if len(ids) <= MAX_ASSOCIATED_IDS else None


async def read_id_fields(
    context: RecordContext, object_type: ObjectType, records: Sequence[CrmRecord], *, are_inline: bool
) -> dict[str, IdFields]:
    """Return the ID fields of these records for staff, by record ID. Raises 502 if some could not be read.

    Costs one call for each associated type, or none if the records were read with their associations (`are_inline`)
    and HubSpot does not page them.
    """

    async def read(to_type: ObjectType) -> dict[str, list[str]]:
        inline = {record.id: record.associated(to_type) for record in records} if are_inline else {}
        ids = {record_id: found.ids for record_id, found in inline.items() if found.after is None}
        missing = [record.id for record in records if record.id not in ids]
        return ids | await associations_by_id(context, object_type, missing, to_type)

    to_types = ASSOCIATED_TYPES[object_type]
    by_type = await asyncio.gather(*(read(to_type) for to_type in to_types))
    return {
        record.id: {
            _ID_FIELDS[to_type]: _bounded_ids(ids[record.id])
            for to_type, ids in zip(to_types, by_type, strict=True)
        }
        for record in records
    }


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
