"""Records with their associated records: contacts with deals and tickets, deals with tickets."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from crm_api.hubspot import AssociationResult, CrmRecord
from crm_api.hubspot.wire import BatchReadResult
from crm_api.schemas.overview import ContactWithDeals, DealWithTickets
from crm_api.schemas.tickets import Ticket
from crm_api.services.records.associations import (
    IdFields,
    partial_associations,
    partial_associations_by_id,
    sorted_ids,
)
from crm_api.services.records.context import RecordContext
from crm_api.services.records.customer_records import ByteBudget, read_within_budget, records_in_order


async def with_deals_and_tickets(
    context: RecordContext, contacts: Sequence[CrmRecord]
) -> list[ContactWithDeals]:
    """Return contacts, which were read with their deals' IDs, with their deals and the deals' tickets.

    Costs ceil(deals/100) + ceil(deals/1000) + ceil(tickets/100) calls in two dependent steps, and one more for
    each further page of associations.
    """
    budget = ByteBudget()
    deals = await _read_deals(context, contacts, budget)
    tickets = await read_within_budget(context, "tickets", deals.all_ticket_ids, budget)
    return _nested(context, contacts, deals, tickets)


async def with_own_tickets(
    context: RecordContext, contact: CrmRecord
) -> tuple[ContactWithDeals, list[CrmRecord], bool]:
    """Return a contact as `with_deals_and_tickets` does, and its own tickets together with those of its deals.

    The contact was read with the IDs of its deals and tickets. The third value is True if tickets are missing.
    """
    deals, own_ids = await asyncio.gather(
        _read_deals(context, [contact], ByteBudget()),
        partial_associations(context, "contacts", [contact], "tickets"),
    )
    ticket_ids = sorted_ids([*own_ids.targets[contact.id], *deals.all_ticket_ids])
    tickets = await read_within_budget(context, "tickets", ticket_ids, ByteBudget())
    parts = (
        tickets.failed,
        own_ids.failed,
        deals.deal_ids.failed,
        deals.deals.failed,
        deals.ticket_ids.failed,
    )
    [nested] = _nested(context, [contact], deals, tickets)
    return nested, records_in_order(tickets, ticket_ids), any(parts)


@dataclass(frozen=True, slots=True)
class _Deals:
    """Deals of some contacts, and the IDs of their tickets."""

    deal_ids: AssociationResult
    deals: BatchReadResult
    ticket_ids: AssociationResult

    @property
    def all_ticket_ids(self) -> list[str]:
        # Hidden deals are not among the records, so their tickets are not read.
        targets = self.ticket_ids.targets.items()
        return _distinct(ids for deal_id, ids in targets if deal_id in self.deals.records)


async def _read_deals(context: RecordContext, contacts: Sequence[CrmRecord], budget: ByteBudget) -> _Deals:
    deal_ids = await partial_associations(context, "contacts", contacts, "deals")
    all_deal_ids = _distinct(deal_ids.targets.values())
    deals, ticket_ids = await asyncio.gather(
        read_within_budget(context, "deals", all_deal_ids, budget),
        partial_associations_by_id(context, "deals", all_deal_ids, "tickets"),
    )
    return _Deals(deal_ids, deals, ticket_ids)


def _nested(
    context: RecordContext, contacts: Sequence[CrmRecord], read: _Deals, tickets: BatchReadResult
) -> list[ContactWithDeals]:
    # A record that is associated with several others is read once, but is in the response several times.
    budget = ByteBudget()
    nested = []
    for contact in contacts:
        ids = read.deal_ids.targets.get(contact.id, [])
        own_deals = records_in_order(read.deals, ids)
        fitting = budget.fitting(own_deals)
        own = [_with_tickets(context, deal, read.ticket_ids, tickets, budget) for deal in fitting]
        is_cut = len(fitting) < len(own_deals)
        incomplete = is_cut or contact.id in read.deal_ids.failed or not read.deals.failed.isdisjoint(ids)
        nested.append(context.to_model(ContactWithDeals, contact, deals=own, incomplete=incomplete))
    return nested


async def with_tickets(context: RecordContext, deal: CrmRecord, id_fields: IdFields) -> DealWithTickets:
    """Return a deal, which was read with its tickets' IDs, with its tickets and these ID fields."""
    ticket_ids = await partial_associations(context, "deals", [deal], "tickets")
    tickets = await read_within_budget(
        context, "tickets", _distinct(ticket_ids.targets.values()), ByteBudget()
    )
    return _with_tickets(context, deal, ticket_ids, tickets, ByteBudget(), id_fields)


def _with_tickets(
    context: RecordContext,
    deal: CrmRecord,
    ticket_ids: AssociationResult,
    tickets: BatchReadResult,
    budget: ByteBudget,
    id_fields: IdFields = MappingProxyType({}),
) -> DealWithTickets:
    # A deal that was merged since has another ID than the one whose tickets were read.
    is_known = deal.id in ticket_ids.targets and deal.id not in ticket_ids.failed
    ids = ticket_ids.targets.get(deal.id, [])
    own_tickets = records_in_order(tickets, ids)
    fitting = budget.fitting(own_tickets)
    is_cut = len(fitting) < len(own_tickets)
    return context.to_model(
        DealWithTickets,
        deal,
        tickets=[context.to_model(Ticket, ticket) for ticket in fitting],
        incomplete=is_cut or not is_known or not tickets.failed.isdisjoint(ids),
        **id_fields,
    )


def _distinct(id_lists: Iterable[Sequence[str]]) -> list[str]:
    return list(dict.fromkeys(record_id for ids in id_lists for record_id in ids))
