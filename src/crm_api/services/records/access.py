"""Access rules: which records a customer may read or change."""

from collections.abc import Sequence

from crm_api.errors import ApiError
from crm_api.hubspot import CrmRecord
from crm_api.hubspot.errors import HubSpotNotFoundError
from crm_api.hubspot.names import ObjectType
from crm_api.models import User
from crm_api.services.records.associations import linked_ids
from crm_api.services.records.context import Access


def require_contact(user: User) -> str:
    """The caller's contact, or 409 `contact_missing`."""
    if user.contact_id is None:
        raise ApiError("contact_missing")
    return user.contact_id


async def deal_contacts(access: Access, deal_id: str) -> list[str]:
    """The contacts that what the caller hangs on this deal belongs to; 404 where the deal is not theirs.

    A customer's is their own contact; for staff it is the deal's contacts.
    """
    if access.is_staff:
        deal = await _read(access, "deals", deal_id, ("hs_object_id",), ("contacts",))
        return await _linked_contacts(access, "deals", deal)
    # Asked first, so that without a contact every id gets the same answer.
    contact_id = require_contact(access.user)
    if access.owners.knows(contact_id, deal_id):
        return [contact_id]
    await visible_deal(access, deal_id, properties=("hs_object_id",))
    return [require_contact(access.user)]


async def visible_contact(
    access: Access, contact_id: str, *, associations: Sequence[ObjectType] = ()
) -> CrmRecord:
    """The contact, or 404: a customer sees their own alone, under an id that it bore before a merge too."""
    properties = access.fields["contacts"].properties
    if not access.is_staff and contact_id != access.user.contact_id:
        # Looked for whosever the id is, so that the calls do not tell one from another.
        await access.heal()
        if contact_id != access.user.contact_id:
            raise ApiError("not_found")
    try:
        contact = await access.hubspot.contacts.get(
            contact_id, properties=properties, associations=associations
        )
    except HubSpotNotFoundError:
        if not access.is_staff:
            await access.heal()
        raise ApiError("not_found") from None
    # A merged contact answers to its old id with its new one.
    if not access.is_staff and contact.id != access.user.contact_id:
        await access.heal()
        if contact.id != access.user.contact_id:
            raise ApiError("not_found")
    return contact


async def visible_deal(
    access: Access,
    deal_id: str,
    *,
    properties: Sequence[str] | None = None,
    associations: Sequence[ObjectType] = (),
) -> CrmRecord:
    """The deal, or 404: a customer's are those associated with their contact."""
    wanted = access.fields["deals"].properties if properties is None else properties
    if access.is_staff:
        return await _read(access, "deals", deal_id, wanted, associations)
    if access.user.contact_id is None:
        raise ApiError("not_found")
    try:
        deal = await _read(access, "deals", deal_id, wanted, ("contacts", *associations))
        contacts = await _linked_contacts(access, "deals", deal)
    except ApiError:
        # Looked for whether or not the deal exists, so that the calls do not tell the two apart.
        await access.heal()
        raise
    if access.user.contact_id not in contacts and not (
        await access.heal() and access.user.contact_id in contacts
    ):
        raise ApiError("not_found")
    access.owners.remember(access.user.contact_id, deal.id)
    return deal


async def visible_ticket(access: Access, ticket_id: str) -> CrmRecord:
    """The ticket, or 404: a customer's are those associated with their contact or with one of their deals."""
    properties = access.fields["tickets"].properties
    if access.is_staff:
        return await _read(access, "tickets", ticket_id, properties, ())
    if access.user.contact_id is None:
        raise ApiError("not_found")
    try:
        ticket = await _read(access, "tickets", ticket_id, properties, ("contacts", "deals"))
        contacts = await _linked_contacts(access, "tickets", ticket)
    except ApiError:
        await access.heal()
        raise
    if access.user.contact_id in contacts or await _is_on_own_deal(access, ticket):
        return ticket
    if await access.heal() and (access.user.contact_id in contacts or await _is_on_own_deal(access, ticket)):
        return ticket
    raise ApiError("not_found")


async def visible_record(access: Access, object_type: ObjectType, record_id: str) -> CrmRecord:
    """The record, or 404 where the caller may not see it."""
    if object_type == "contacts":
        return await visible_contact(access, record_id)
    if object_type == "deals":
        return await visible_deal(access, record_id)
    return await visible_ticket(access, record_id)


async def _read(
    access: Access,
    object_type: ObjectType,
    record_id: str,
    properties: Sequence[str],
    associations: Sequence[ObjectType],
) -> CrmRecord:
    try:
        return await access.hubspot.objects(object_type).get(
            record_id, properties=properties, associations=associations
        )
    except HubSpotNotFoundError:
        raise ApiError("not_found") from None


async def _is_on_own_deal(access: Access, ticket: CrmRecord) -> bool:
    deal_ids = await linked_ids(access.hubspot, "tickets", ticket, "deals")
    if not deal_ids:
        return False
    result = await access.hubspot.associations.batch_read("deals", "contacts", deal_ids)
    if any(access.user.contact_id in contacts for contacts in result.targets.values()):
        return True
    if result.failed:
        # Whose it is could not be found out; that is not the same as nobody's.
        raise ApiError("hubspot_error")
    return False


async def _linked_contacts(access: Access, object_type: ObjectType, record: CrmRecord) -> list[str]:
    return await linked_ids(access.hubspot, object_type, record, "contacts")
