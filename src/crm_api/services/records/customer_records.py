"""A customer's own records: their ids from associations, the records from batch reads, so exact and fresh."""

from collections.abc import Sequence

from crm_api.hubspot import CrmRecord
from crm_api.hubspot.errors import HubSpotNotFoundError
from crm_api.hubspot.names import ObjectType
from crm_api.hubspot.wire import BatchReadResult
from crm_api.services.records.associations import deal_ids_of, ticket_ids_of
from crm_api.services.records.context import RecordContext


async def own_contact(context: RecordContext, *, associations: Sequence[ObjectType] = ()) -> CrmRecord | None:
    """The customer's contact, its link healed where that leads nowhere; None where there is none."""
    contact = await _read_contact(context, associations)
    # A merged contact answers to its old id with its new one.
    if contact is not None and contact.id == context.user.contact_id:
        return contact
    if await context.relink():
        contact = await _read_contact(context, associations)
    return contact if contact is not None and contact.id == context.user.contact_id else None


async def own_records(context: RecordContext, object_type: ObjectType) -> list[CrmRecord]:
    """All records of this type that are the customer's.

    Costs one call for the contact; what `own_ids` costs and ceil(records/100) for others.
    """
    if object_type == "contacts":
        contact = await own_contact(context)
        return [contact] if contact is not None else []
    return await read_records(context, object_type, await own_ids(context, object_type))


async def own_ids(context: RecordContext, object_type: ObjectType) -> list[str]:
    """The ids of all deals or tickets that are the customer's, ascending.

    Costs one call; two for tickets of a customer who has deals; more where associations overflow their page.
    """
    wanted: tuple[ObjectType, ...] = ("deals", "tickets") if object_type == "tickets" else ("deals",)
    contact = await own_contact(context, associations=wanted)
    if contact is None:
        return []
    deal_ids = await deal_ids_of(context, contact)
    return deal_ids if object_type == "deals" else await ticket_ids_of(context, contact, deal_ids)


async def read_records(
    context: RecordContext, object_type: ObjectType, ids: Sequence[str]
) -> list[CrmRecord]:
    """Return the records with these IDs, as `records_in_order` does."""
    result = await context.hubspot.objects(object_type).batch_read(
        ids, properties=context.fields[object_type].properties
    )
    return records_in_order(result, ids)


def records_in_order(result: BatchReadResult, ids: Sequence[str]) -> list[CrmRecord]:
    """Return the records in the order of these IDs, without missing records and without duplicates."""
    # The IDs of merged records lead to one record.
    records = [result.records[record_id] for record_id in ids if record_id in result.records]
    return list({record.id: record for record in records}.values())


async def _read_contact(context: RecordContext, associations: Sequence[ObjectType]) -> CrmRecord | None:
    if context.user.contact_id is None:
        return None
    try:
        return await context.hubspot.contacts.get(
            context.user.contact_id,
            properties=context.fields["contacts"].properties,
            associations=associations,
        )
    except HubSpotNotFoundError:
        return None
