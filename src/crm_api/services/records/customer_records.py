"""A customer's own records: their ids from associations, the records from batch reads, so exact and fresh."""

import asyncio
from collections.abc import Sequence

from crm_api.errors import ApiError
from crm_api.hubspot import CrmRecord
from crm_api.hubspot.errors import HubSpotNotFoundError
from crm_api.hubspot.names import ObjectType
from crm_api.services.records.associations import linked_ids
from crm_api.services.records.context import Access


async def own_contact(access: Access, *, associations: Sequence[ObjectType] = ()) -> CrmRecord | None:
    """The customer's contact, its link healed where that leads nowhere; None where there is none."""
    contact = await _read_contact(access, associations)
    # A merged contact answers to its old id with its new one.
    if contact is not None and contact.id == access.user.contact_id:
        return contact
    if await access.heal():
        contact = await _read_contact(access, associations)
    return contact if contact is not None and contact.id == access.user.contact_id else None


async def own_records(access: Access, object_type: ObjectType) -> list[CrmRecord]:
    """All records of this type that are the customer's.

    Costs one call for the contact; what `own_ids` costs and ceil(records/100) for others.
    """
    if object_type == "contacts":
        contact = await own_contact(access)
        return [contact] if contact is not None else []
    return await read_records(access, object_type, await own_ids(access, object_type))


async def own_ids(access: Access, object_type: ObjectType) -> list[str]:
    """The ids of all deals or tickets that are the customer's, ascending.

    Costs one call; two for tickets of a customer who has deals; more where associations overflow their page.
    """
    wanted: tuple[ObjectType, ...] = ("deals", "tickets") if object_type == "tickets" else ("deals",)
    contact = await own_contact(access, associations=wanted)
    return [] if contact is None else await ids_of(access, contact, object_type)


async def ids_of(access: Access, contact: CrmRecord, object_type: ObjectType) -> list[str]:
    """The deals, or the tickets of the contact and of its deals; the contact was read with both."""
    if object_type == "deals":
        return in_order(await linked_ids(access.hubspot, "contacts", contact, "deals"))
    deals, direct = await asyncio.gather(
        linked_ids(access.hubspot, "contacts", contact, "deals"),
        linked_ids(access.hubspot, "contacts", contact, "tickets"),
    )
    return in_order([*direct, *await tickets_of(access, deals)])


async def tickets_of(access: Access, deal_ids: Sequence[str]) -> list[str]:
    """The tickets of these deals; 502 where they could not all be read."""
    if not deal_ids:
        return []
    result = await access.hubspot.associations.batch_read("deals", "tickets", deal_ids)
    if result.failed:
        raise ApiError("hubspot_error")
    return [ticket for tickets in result.targets.values() for ticket in tickets]


async def read_records(access: Access, object_type: ObjectType, ids: Sequence[str]) -> list[CrmRecord]:
    """The records with these ids, in this order, each once; what is gone is left out."""
    if not ids:
        return []
    result = await access.hubspot.objects(object_type).batch_read(
        ids, properties=access.fields[object_type].properties
    )
    # Two ids that were merged lead to one record.
    return list(
        {
            record.id: record for record in (result.records[each] for each in ids if each in result.records)
        }.values()
    )


def in_order(ids: Sequence[str]) -> list[str]:
    """Ids ascending, each once."""
    return sorted(set(ids), key=int)


async def _read_contact(access: Access, associations: Sequence[ObjectType]) -> CrmRecord | None:
    if access.user.contact_id is None:
        return None
    try:
        return await access.hubspot.contacts.get(
            access.user.contact_id,
            properties=access.fields["contacts"].properties,
            associations=associations,
        )
    except HubSpotNotFoundError:
        return None
