"""Records with their associated records: contacts with deals and tickets, deals with tickets."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any, Final

from crm_api.hubspot import AssociationResult, CrmRecord
from crm_api.hubspot.wire import BatchReadResult
from crm_api.schemas.overview import ContactWithDeals, DealWithTickets
from crm_api.schemas.tickets import Ticket
from crm_api.services.properties.mapping import Model
from crm_api.services.records.associations import (
    IdFields,
    partial_associations,
    partial_associations_by_id,
    sorted_ids,
)
from crm_api.services.records.context import RecordContext
from crm_api.services.records.customer_records import ByteBudget, read_within_budget, records_in_order

_WITHOUT_TICKETS: Final[Mapping[str, Any]] = {"tickets": (), "incomplete": False}


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
    return await _nested(context, contacts, deals, tickets)


async def with_own_tickets(
    context: RecordContext, contact: CrmRecord
) -> tuple[ContactWithDeals, list[Ticket], bool]:
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
    models = await _models(context, Ticket, records_in_order(tickets, ticket_ids))
    [nested] = await _nested(context, [contact], deals, tickets)
    return nested, list(models.values()), any(parts)


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


async def _nested(
    context: RecordContext, contacts: Sequence[CrmRecord], read: _Deals, tickets: BatchReadResult
) -> list[ContactWithDeals]:
    # A response can have thousands of small records, whose models take much longer than a slice.
    deal_models = await _models(context, DealWithTickets, read.deals.records.values(), **_WITHOUT_TICKETS)
    ticket_models = await _models(context, Ticket, tickets.records.values())
    await context.wait_to_respond(chain(read.deals.records.values(), tickets.records.values()))
    # A record that is associated with several others is read once, but is in the response several times.
    budget = ByteBudget()
    nested = []
    for contact in contacts:
        ids = read.deal_ids.targets.get(contact.id, [])
        own_deals = records_in_order(read.deals, ids)
        fitting = budget.fitting(own_deals)
        own = [
            _with_tickets(deal_models[deal.id], read.ticket_ids, tickets, ticket_models, budget)
            for deal in fitting
        ]
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
    ticket_models = await _models(context, Ticket, tickets.records.values())
    await context.wait_to_respond(chain([deal], tickets.records.values()))
    model = context.to_model(DealWithTickets, deal, **_WITHOUT_TICKETS, **id_fields)
    return _with_tickets(model, ticket_ids, tickets, ticket_models, ByteBudget())


def _with_tickets(
    deal: DealWithTickets,
    ticket_ids: AssociationResult,
    tickets: BatchReadResult,
    ticket_models: Mapping[str, Ticket],
    budget: ByteBudget,
) -> DealWithTickets:
    # A deal that was merged since has another ID than the one whose tickets were read.
    is_known = deal.id in ticket_ids.targets and deal.id not in ticket_ids.failed
    ids = ticket_ids.targets.get(deal.id, [])
    own_tickets = records_in_order(tickets, ids)
    fitting = budget.fitting(own_tickets)
    is_cut = len(fitting) < len(own_tickets)
    incomplete = is_cut or not is_known or not tickets.failed.isdisjoint(ids)
    own = [ticket_models[ticket.id] for ticket in fitting]
    return deal.model_copy(update={"tickets": own, "incomplete": incomplete})


async def _models(
    context: RecordContext, model: type[Model], records: Iterable[CrmRecord], **children: Any
) -> dict[str, Model]:
    """Return the models of these records by ID, each once."""
    by_id = {record.id: record for record in records}
    models = await context.time_slices.map(partial(context.to_model, model, **children), by_id.values())
    return dict(zip(by_id, models, strict=True))


def _distinct(id_lists: Iterable[Sequence[str]]) -> list[str]:
    return list(dict.fromkeys(record_id for ids in id_lists for record_id in ids))
