"""What hangs on a record: a contact's deals and a deal's tickets, complete or marked as incomplete."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from crm_api.hubspot import AssociationResult, CrmRecord
from crm_api.hubspot.errors import HubSpotCredentialsError, HubSpotError
from crm_api.hubspot.names import ObjectType
from crm_api.schemas.overview import MAX_CHILDREN, ContactWithDeals, DealWithTickets
from crm_api.services.properties.mapping import contact_fields, deal_fields, ticket_from_record
from crm_api.services.records.context import RecordContext

# https://developers.hubspot.com/docs/api-reference/crm-contacts-v3/guide
_BATCH: Final = 100


@dataclass(frozen=True, slots=True)
class _Records:
    """What was read of some ids; in `failed` those that HubSpot did not answer for."""

    found: dict[str, CrmRecord]
    failed: set[str]

    def of(self, ids: Sequence[str]) -> list[CrmRecord]:
        """Those of these ids that are there, each once: ids of records that were merged lead to one."""
        records = (self.found[each] for each in ids if each in self.found)
        return list({record.id: record for record in records}.values())


async def with_deals_and_tickets(
    context: RecordContext, contacts: Sequence[CrmRecord]
) -> list[ContactWithDeals]:
    """The contacts, read with their deals' ids, each with its deals, each deal with its tickets.

    Costs ceil(deals/100) + ceil(deals/1000) + ceil(tickets/100) calls in two dependent steps, and one more for
    each association page that overflows.
    """
    deal_ids = await _linked(context, "contacts", contacts, "deals")
    ids = _all_ids(deal_ids.targets)
    deals, ticket_ids = await asyncio.gather(
        _read(context, "deals", ids), _associations(context, "deals", "tickets", ids)
    )
    tickets = await _read(context, "tickets", _all_ids(ticket_ids.targets))

    def nested(contact: CrmRecord) -> ContactWithDeals:
        wanted = deal_ids.targets.get(contact.id, [])
        return ContactWithDeals(
            **contact_fields(contact, context.fields),
            deals=[_deal(context, deal, ticket_ids, tickets) for deal in deals.of(wanted)],
            incomplete=contact.id in deal_ids.failed or not deals.failed.isdisjoint(wanted),
        )

    return [nested(contact) for contact in contacts]


async def with_tickets(context: RecordContext, deal: CrmRecord) -> DealWithTickets:
    """The deal, read with its tickets' ids, and its tickets."""
    ticket_ids = await _linked(context, "deals", [deal], "tickets")
    tickets = await _read(context, "tickets", _all_ids(ticket_ids.targets))
    return _deal(context, deal, ticket_ids, tickets)


def _deal(
    context: RecordContext, deal: CrmRecord, ticket_ids: AssociationResult, tickets: _Records
) -> DealWithTickets:
    wanted = ticket_ids.targets.get(deal.id)
    # One that was merged meanwhile has an id whose tickets nobody asked for.
    incomplete = wanted is None or deal.id in ticket_ids.failed or not tickets.failed.isdisjoint(wanted)
    return DealWithTickets(
        **deal_fields(deal, context.fields),
        tickets=[ticket_from_record(ticket, context.fields) for ticket in tickets.of(wanted or [])],
        incomplete=incomplete,
    )


async def _linked(
    context: RecordContext, from_type: ObjectType, records: Sequence[CrmRecord], to_type: ObjectType
) -> AssociationResult:
    """The ids that hang on each record: those read with it, and the rest where they did not fit."""
    inline = {record.id: record.associated(to_type) for record in records}
    overflowing = [record_id for record_id, linked in inline.items() if linked.after is not None]
    rest = await _associations(context, from_type, to_type, overflowing)
    targets = {record_id: linked.ids for record_id, linked in inline.items()}
    # What could not be read afresh is at least what came with the record.
    read = {each: rest.targets.get(each) or targets[each] for each in overflowing}
    return _bounded(targets | read, rest.failed)


async def _associations(
    context: RecordContext, from_type: ObjectType, to_type: ObjectType, ids: Sequence[str]
) -> AssociationResult:
    if not ids:
        return AssociationResult(targets={}, failed=set())
    try:
        result = await context.hubspot.associations.batch_read(from_type, to_type, ids)
    except HubSpotCredentialsError:
        raise
    except HubSpotError:
        return AssociationResult(targets={each: [] for each in ids}, failed=set(ids))
    return _bounded(result.targets, result.failed)


def _bounded(targets: Mapping[str, list[str]], failed: set[str]) -> AssociationResult:
    """No more on one record than an answer holds; a record with more is not complete."""
    too_many = {each for each, ids in targets.items() if len(ids) > MAX_CHILDREN}
    return AssociationResult(
        targets={each: ids[:MAX_CHILDREN] for each, ids in targets.items()}, failed=failed | too_many
    )


async def _read(context: RecordContext, object_type: ObjectType, ids: Sequence[str]) -> _Records:
    """Records by id, a batch at a time, so that one that fails does not take the others with it."""
    properties = context.fields[object_type].properties
    objects = context.hubspot.objects(object_type)

    async def read(batch: Sequence[str]) -> _Records:
        try:
            return _Records((await objects.batch_read(batch, properties=properties)).records, set())
        except HubSpotCredentialsError:
            raise
        except HubSpotError:
            return _Records({}, set(batch))

    parts = await asyncio.gather(*(read(ids[start : start + _BATCH]) for start in range(0, len(ids), _BATCH)))
    found = {each: record for part in parts for each, record in part.found.items()}
    return _Records(found, {each for part in parts for each in part.failed})


def _all_ids(targets: Mapping[str, Iterable[str]]) -> list[str]:
    return list(dict.fromkeys(each for ids in targets.values() for each in ids))
