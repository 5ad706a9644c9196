"""Records with their associated records: contacts with deals and tickets, deals with tickets."""

import asyncio
from collections.abc import Iterable, Sequence

from crm_api.hubspot import AssociationResult, CrmRecord
from crm_api.hubspot.wire import BatchReadResult
from crm_api.schemas.overview import ContactWithDeals, DealWithTickets
from crm_api.schemas.tickets import Ticket
from crm_api.services.properties.mapping import from_record
from crm_api.services.records.associations import partial_associations, partial_associations_by_id
from crm_api.services.records.context import RecordContext
from crm_api.services.records.customer_records import ByteBudget, read_within_budget, records_in_order


async def with_deals_and_tickets(
    context: RecordContext, contacts: Sequence[CrmRecord]
) -> list[ContactWithDeals]:
    """Return contacts, which were read with their deals' IDs, with their deals and the deals' tickets.

    Costs ceil(deals/100) + ceil(deals/1000) + ceil(tickets/100) calls in two dependent steps, and one more for
    each further page of associations.
    """
    deal_ids = await partial_associations(context, "contacts", contacts, "deals")
    all_deal_ids = _distinct(deal_ids.targets.values())
    budget = ByteBudget()
    deals, ticket_ids = await asyncio.gather(
        read_within_budget(context, "deals", all_deal_ids, budget),
        partial_associations_by_id(context, "deals", all_deal_ids, "tickets"),
    )
    # Hidden deals are not among the records, so their tickets are not read.
    shown_ids = [ids for deal_id, ids in ticket_ids.targets.items() if deal_id in deals.records]
    tickets = await read_within_budget(context, "tickets", _distinct(shown_ids), budget)
    # A record that is associated with several others is read once, but is in the response several times.
    budget = ByteBudget()
    nested = []
    for contact in contacts:
        ids = deal_ids.targets.get(contact.id, [])
        own_deals = records_in_order(deals, ids)
        fitting = budget.fitting(own_deals)
        own = [_with_tickets(context, deal, ticket_ids, tickets, budget) for deal in fitting]
        is_cut = len(fitting) < len(own_deals)
        incomplete = is_cut or contact.id in deal_ids.failed or not deals.failed.isdisjoint(ids)
        nested.append(
            from_record(ContactWithDeals, contact, context.fields, deals=own, incomplete=incomplete)
        )
    return nested


async def with_tickets(context: RecordContext, deal: CrmRecord) -> DealWithTickets:
    """Return a deal, which was read with its tickets' IDs, with its tickets."""
    ticket_ids = await partial_associations(context, "deals", [deal], "tickets")
    tickets = await read_within_budget(
        context, "tickets", _distinct(ticket_ids.targets.values()), ByteBudget()
    )
    return _with_tickets(context, deal, ticket_ids, tickets, ByteBudget())


def _with_tickets(
    context: RecordContext,
    deal: CrmRecord,
    ticket_ids: AssociationResult,
    tickets: BatchReadResult,
    budget: ByteBudget,
) -> DealWithTickets:
    # A deal that was merged since has another ID than the one whose tickets were read.
    is_known = deal.id in ticket_ids.targets and deal.id not in ticket_ids.failed
    ids = ticket_ids.targets.get(deal.id, [])
    own_tickets = records_in_order(tickets, ids)
    fitting = budget.fitting(own_tickets)
    is_cut = len(fitting) < len(own_tickets)
    return from_record(
        DealWithTickets,
        deal,
        context.fields,
        tickets=[from_record(Ticket, ticket, context.fields) for ticket in fitting],
        incomplete=is_cut or not is_known or not tickets.failed.isdisjoint(ids),
    )


def _distinct(id_lists: Iterable[Sequence[str]]) -> list[str]:
    return list(dict.fromkeys(record_id for ids in id_lists for record_id in ids))
