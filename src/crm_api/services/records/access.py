"""Access rules: which records the caller may read or change."""

from collections.abc import Sequence

from crm_api.errors import ApiError
from crm_api.hubspot import CrmRecord
from crm_api.hubspot.errors import HubSpotNotFoundError
from crm_api.hubspot.names import ObjectType
from crm_api.models import User
from crm_api.services.records.associations import associated_ids
from crm_api.services.records.context import RecordContext


def require_contact(user: User) -> str:
    """Return the ID of the user's contact. Raises 409 `contact_missing` if there is none."""
    if user.contact_id is None:
        raise ApiError("contact_missing")
    return user.contact_id


async def ticket_contacts(context: RecordContext, deal_id: str) -> list[str]:
    """Return the contacts to associate with a new ticket on this deal. Raises 404 if the caller cannot see the deal.

    For a customer that is their own contact; for staff, the deal's contacts.
    """
    if context.is_staff:
        deal = await _read(context, "deals", deal_id, ("contacts",), properties=("hs_object_id",))
        return await associated_ids(context, "deals", deal, "contacts")
    # The contact is required first, so that without one the response is the same for every deal ID.
    contact_id = require_contact(context.user)
    if context.deal_ownership.contains(contact_id, deal_id):
        return [contact_id]
    await visible_deal(context, deal_id, properties=("hs_object_id",))
    return [require_contact(context.user)]


async def visible_record(context: RecordContext, object_type: ObjectType, record_id: str) -> CrmRecord:
    """Return the record if the caller may see it. Raises 404 otherwise."""
    if object_type == "contacts":
        return await visible_contact(context, record_id)
    if object_type == "deals":
        return await visible_deal(context, record_id)
    return await visible_ticket(context, record_id)


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
        await context.relink()
        if contact_id != context.user.contact_id:
            raise ApiError("not_found")
    try:
        contact = await _read(context, "contacts", contact_id, associations)
    except ApiError:
        await context.relink()
        raise
    # HubSpot returns a merged contact under its new ID.
    if contact.id != context.user.contact_id:
        await context.relink()
        if contact.id != context.user.contact_id:
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
        return await _read(context, "deals", deal_id, associations, properties=properties)
    if context.user.contact_id is None:
        raise ApiError("not_found")
    try:
        deal = await _read(context, "deals", deal_id, ("contacts", *associations), properties=properties)
        contact_ids = await associated_ids(context, "deals", deal, "contacts")
    except ApiError:
        # A missing deal causes the same calls as a foreign one, so that response times do not reveal the difference.
        await context.relink()
        raise
    if context.user.contact_id not in contact_ids:
        await context.relink()
        if context.user.contact_id not in contact_ids:
            raise ApiError("not_found")
    context.deal_ownership.add(context.user.contact_id, deal.id)
    return deal


async def visible_ticket(context: RecordContext, ticket_id: str) -> CrmRecord:
    """Return the ticket if the caller may see it. Raises 404 otherwise.

    A customer may see the tickets that are associated with their contact or with one of its deals.
    """
    if context.is_staff:
        return await _read(context, "tickets", ticket_id)
    if context.user.contact_id is None:
        raise ApiError("not_found")
    try:
        ticket = await _read(context, "tickets", ticket_id, ("contacts", "deals"))
        contact_ids = await associated_ids(context, "tickets", ticket, "contacts")
    except ApiError:
        await context.relink()
        raise
    if context.user.contact_id in contact_ids or await _is_on_own_deal(context, ticket):
        return ticket
    if await context.relink() and (
        context.user.contact_id in contact_ids or await _is_on_own_deal(context, ticket)
    ):
        return ticket
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
    objects = context.hubspot.objects(object_type)
    try:
        return await objects.get(record_id, properties=properties, associations=associations)
    except HubSpotNotFoundError:
        raise ApiError("not_found") from None


async def _is_on_own_deal(context: RecordContext, ticket: CrmRecord) -> bool:
    deal_ids = await associated_ids(context, "tickets", ticket, "deals")
    result = await context.hubspot.associations.batch_read("deals", "contacts", deal_ids)
    if any(context.user.contact_id in contact_ids for contact_ids in result.targets.values()):
        return True
    if result.failed:
        # The deal may be the caller's, so a 404 could be wrong.
        raise ApiError("hubspot_error")
    return False
