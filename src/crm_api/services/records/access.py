"""Access rules: which records the caller may read or change."""

from collections.abc import Sequence

from crm_api.errors import ApiError
from crm_api.hubspot import CrmRecord
from crm_api.hubspot.errors import HubSpotNotFoundError
from crm_api.hubspot.names import ObjectType
from crm_api.schemas.common import Include
from crm_api.services.records.associations import (
    IdFields,
    associated_ids,
    inline_id_fields,
    read_id_fields,
    sorted_ids,
    visible_deal_ids,
)
from crm_api.services.records.context import RecordContext
from crm_api.services.records.customer_records import own_contact


async def own_contact_id(context: RecordContext) -> str:
    """Return the ID of the caller's contact, for a write. Raises 409 `contact_missing`, with Retry-After if it is lost.

    HubSpot accepts the old IDs of a merged contact, which may be another user's, so the link is verified first.
    """
    try:
        await context.resolve_link()
    except ApiError as error:
        raise ApiError("contact_missing", headers=error.headers) from None
    if context.user.contact_id is None:
        raise ApiError("contact_missing")
    return context.user.contact_id


async def ticket_contacts(context: RecordContext, deal_id: str) -> list[str]:
    """Return the contacts to associate with a new ticket on this deal. Raises 404 if the caller cannot see the deal.

    For a customer that is their own contact; for staff, the deal's contacts.
    """
    if context.is_staff:
        deal = await _read(context, "deals", deal_id, ("contacts",), properties=("hs_object_id",))
        return await associated_ids(context, "deals", deal, "contacts")
    # The contact is required first, so that without one the response is the same for every deal ID.
    if context.user.contact_id is None:
        await own_contact_id(context)
    await visible_deal(context, deal_id, properties=("hs_object_id", "pipeline"))
    # This contact is the one that `visible_deal` found among the deal's contacts.
    return [str(context.user.contact_id)]


async def visible_record(context: RecordContext, object_type: ObjectType, record_id: str) -> CrmRecord:
    """Return the record if the caller may see it. Raises 404 otherwise."""
    if object_type == "contacts":
        return await visible_contact(context, record_id)
    if object_type == "deals":
        return await visible_deal(context, record_id)
    return await visible_ticket(context, record_id)


async def require_visible(context: RecordContext, object_type: ObjectType, record_id: str) -> None:
    """Raise 404 if a customer may not see the record now. Staff may see all records."""
    if not context.is_staff:
        await visible_record(context, object_type, record_id)


async def visible_contact(
    context: RecordContext, contact_id: str, *, associations: Sequence[ObjectType] = ()
) -> CrmRecord:
    """Return the contact if the caller may see it. Raises 404 otherwise.

    A customer may see only their own contact, also under its ID from before a merge.
    """
    if context.is_staff:
        return await _read(context, "contacts", contact_id, associations)
    if contact_id != context.user.contact_id:
        # Every foreign ID causes the same calls, so that response times do not reveal which contacts exist.
        await _resolve_or_404(context)
        if contact_id != context.user.contact_id:
            raise ApiError("not_found")
    contact = await own_contact(context, associations=associations)
    if contact is None:
        raise ApiError("not_found")
    return contact


async def visible_deal(
    context: RecordContext,
    deal_id: str,
    *,
    properties: Sequence[str] | None = None,
    associations: Sequence[ObjectType] = (),
) -> CrmRecord:
    """Return the deal if the caller may see it. Raises 404 otherwise.

    A customer may see the deals that are associated with their contact.
    """
    if context.is_staff:
        return await _read(context, "deals", deal_id, ("contacts", *associations), properties=properties)
    if context.user.contact_id is None:
        await _resolve_or_404(context)
    try:
        deal = await _read(context, "deals", deal_id, ("contacts", *associations), properties=properties)
        contact_ids = await associated_ids(context, "deals", deal, "contacts")
    except ApiError:
        # A missing deal causes a link check too, as a foreign one does, so that their response times differ little.
        await context.resolve_link()
        raise
    if context.user.contact_id not in contact_ids:
        if context.has_used_cache:
            # Cached data must not decide a 404.
            return await visible_deal(
                context.live(), deal_id, properties=properties, associations=associations
            )
        await context.resolve_link()
        if context.user.contact_id not in contact_ids:
            raise ApiError("not_found")
    return deal


async def visible_ticket(context: RecordContext, ticket_id: str) -> CrmRecord:
    """Return the ticket if the caller may see it. Raises 404 otherwise.

    A customer may see the tickets that are associated with their contact or with one of its deals.
    """
    if context.is_staff:
        return await _read(context, "tickets", ticket_id, ("contacts", "deals"))
    if context.user.contact_id is None:
        await _resolve_or_404(context)
    try:
        ticket = await _read(context, "tickets", ticket_id, ("contacts", "deals"))
        contact_ids = await associated_ids(context, "tickets", ticket, "contacts")
    except ApiError:
        await context.resolve_link()
        raise
    contact_id = context.user.contact_id
    if contact_id in contact_ids or await _is_on_own_deal(context, ticket):
        return ticket
    if context.has_used_cache:
        # Cached data must not decide a 404.
        return await visible_ticket(context.live(), ticket_id)
    await _resolve_or_404(context)
    if context.user.contact_id != contact_id and (
        context.user.contact_id in contact_ids or await _is_on_own_deal(context, ticket)
    ):
        return ticket
    raise ApiError("not_found")


async def id_fields_of(
    context: RecordContext, object_type: ObjectType, record: CrmRecord, include: Include | None
) -> IdFields:
    """Return the ID fields of a record that `visible_record` has returned; None for those that are not read.

    With `include`, all are read. Costs one call for a customer's ticket with deals, and further pages of associations.
    """
    id_fields = inline_id_fields(context, object_type, record)
    if include is None or None not in id_fields.values():
        return id_fields
    if context.is_staff:
        return (await read_id_fields(context, object_type, [record], are_inline=True))[record.id]
    own = context.user.contact_id
    contact_ids = await associated_ids(context, object_type, record, "contacts")
    deal_ids, is_complete = await _own_deal_ids(context, record)
    if not is_complete:
        raise ApiError("hubspot_error")
    return {"contact_ids": [own] if own in contact_ids else [], "deal_ids": deal_ids}


async def _resolve_or_404(context: RecordContext) -> None:
    await context.resolve_link()
    if context.user.contact_id is None:
        raise ApiError("not_found")


async def _read(
    context: RecordContext,
    object_type: ObjectType,
    record_id: str,
    associations: Sequence[ObjectType] = (),
    *,
    properties: Sequence[str] | None = None,
) -> CrmRecord:
    properties = properties or context.fields[object_type].properties
    objects = context.reads.objects(object_type)
    try:
        record = await objects.get(record_id, properties=properties, associations=associations)
    except HubSpotNotFoundError:
        raise ApiError("not_found") from None
    if context.sees(object_type, record):
        return record
    if context.has_used_cache:
        # Cached data must not decide a 404.
        return await _read(context.live(), object_type, record_id, associations, properties=properties)
    raise ApiError("not_found")


async def _is_on_own_deal(context: RecordContext, ticket: CrmRecord) -> bool:
    deal_ids, is_complete = await _own_deal_ids(context, ticket)
    if not (deal_ids or is_complete):
        # The deal may be the caller's, so a 404 could be wrong.
        raise ApiError("hubspot_error")
    return bool(deal_ids)


async def _own_deal_ids(context: RecordContext, ticket: CrmRecord) -> tuple[list[str], bool]:
    """Return the ticket's deals that are the customer's own, and whether all of its deals could be checked."""
    deal_ids = await associated_ids(context, "tickets", ticket, "deals")
    result = await context.reads.associations.batch_read("deals", "contacts", deal_ids)
    own_ids = [
        deal_id for deal_id, contact_ids in result.targets.items() if context.user.contact_id in contact_ids
    ]
    return sorted_ids(await visible_deal_ids(context, own_ids)), not result.failed
