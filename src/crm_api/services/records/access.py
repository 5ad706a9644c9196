"""Access rules: which records a customer may read or change."""

from collections.abc import Sequence

from crm_api.errors import ApiError
from crm_api.hubspot import CrmRecord
from crm_api.hubspot.errors import HubSpotNotFoundError
from crm_api.hubspot.names import ObjectType
from crm_api.models import User
from crm_api.services.records.associations import associated_ids
from crm_api.services.records.context import RecordContext


def require_contact(user: User) -> str:
    """The caller's contact, or 409 `contact_missing`."""
    if user.contact_id is None:
        raise ApiError("contact_missing")
    return user.contact_id


async def deal_contacts(context: RecordContext, deal_id: str) -> list[str]:
    """The contacts that what the caller hangs on this deal belongs to; 404 where the deal is not theirs.

    A customer's is their own contact; for staff it is the deal's contacts.
    """
    if context.is_staff:
        deal = await _read(context, "deals", deal_id, ("hs_object_id",), ("contacts",))
        return await _linked_contacts(context, "deals", deal)
    # Asked first, so that without a contact every id gets the same answer.
    contact_id = require_contact(context.user)
    if context.deal_ownership.contains(contact_id, deal_id):
        return [contact_id]
    await visible_deal(context, deal_id, properties=("hs_object_id",))
    return [require_contact(context.user)]


async def visible_contact(
    context: RecordContext, contact_id: str, *, associations: Sequence[ObjectType] = ()
) -> CrmRecord:
    """The contact, or 404: a customer sees their own alone, under an id that it bore before a merge too."""
    properties = context.fields["contacts"].properties
    if not context.is_staff and contact_id != context.user.contact_id:
        # Looked for whosever the id is, so that the calls do not tell one from another.
        await context.relink()
        if contact_id != context.user.contact_id:
            raise ApiError("not_found")
    try:
        contact = await context.hubspot.contacts.get(
            contact_id, properties=properties, associations=associations
        )
    except HubSpotNotFoundError:
        if not context.is_staff:
            await context.relink()
        raise ApiError("not_found") from None
    # A merged contact answers to its old id with its new one.
    if not context.is_staff and contact.id != context.user.contact_id:
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
    """The deal, or 404: a customer's are those associated with their contact."""
    wanted = context.fields["deals"].properties if properties is None else properties
    if context.is_staff:
        return await _read(context, "deals", deal_id, wanted, associations)
    if context.user.contact_id is None:
        raise ApiError("not_found")
    try:
        deal = await _read(context, "deals", deal_id, wanted, ("contacts", *associations))
        contacts = await _linked_contacts(context, "deals", deal)
    except ApiError:
        # Looked for whether or not the deal exists, so that the calls do not tell the two apart.
        await context.relink()
        raise
    if context.user.contact_id not in contacts and not (
        await context.relink() and context.user.contact_id in contacts
    ):
        raise ApiError("not_found")
    context.deal_ownership.add(context.user.contact_id, deal.id)
    return deal


async def visible_ticket(context: RecordContext, ticket_id: str) -> CrmRecord:
    """The ticket, or 404: a customer's are those associated with their contact or with one of their deals."""
    properties = context.fields["tickets"].properties
    if context.is_staff:
        return await _read(context, "tickets", ticket_id, properties, ())
    if context.user.contact_id is None:
        raise ApiError("not_found")
    try:
        ticket = await _read(context, "tickets", ticket_id, properties, ("contacts", "deals"))
        contacts = await _linked_contacts(context, "tickets", ticket)
    except ApiError:
        await context.relink()
        raise
    if context.user.contact_id in contacts or await _is_on_own_deal(context, ticket):
        return ticket
    if await context.relink() and (
        context.user.contact_id in contacts or await _is_on_own_deal(context, ticket)
    ):
        return ticket
    raise ApiError("not_found")


async def visible_record(context: RecordContext, object_type: ObjectType, record_id: str) -> CrmRecord:
    """The record, or 404 where the caller may not see it."""
    if object_type == "contacts":
        return await visible_contact(context, record_id)
    if object_type == "deals":
        return await visible_deal(context, record_id)
    return await visible_ticket(context, record_id)


async def _read(
    context: RecordContext,
    object_type: ObjectType,
    record_id: str,
    properties: Sequence[str],
    associations: Sequence[ObjectType],
) -> CrmRecord:
    try:
        return await context.hubspot.objects(object_type).get(
            record_id, properties=properties, associations=associations
        )
    except HubSpotNotFoundError:
        raise ApiError("not_found") from None


async def _is_on_own_deal(context: RecordContext, ticket: CrmRecord) -> bool:
    deal_ids = await associated_ids(context, "tickets", ticket, "deals")
    result = await context.hubspot.associations.batch_read("deals", "contacts", deal_ids)
    if any(context.user.contact_id in contacts for contacts in result.targets.values()):
        return True
    if result.failed:
        # Whose it is could not be found out; that is not the same as nobody's.
        raise ApiError("hubspot_error")
    return False


async def _linked_contacts(context: RecordContext, object_type: ObjectType, record: CrmRecord) -> list[str]:
    return await associated_ids(context, object_type, record, "contacts")
