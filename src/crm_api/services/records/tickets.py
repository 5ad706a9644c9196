"""Tickets: create on a deal, list, search, read, update."""

from functools import partial

from crm_api.errors import ApiError
from crm_api.hubspot import NewAssociation
from crm_api.hubspot.errors import HubSpotValidationError
from crm_api.schemas.search import RecordSearch, TicketSearchPage
from crm_api.schemas.tickets import (
    SingleTicket,
    Ticket,
    TicketCreate,
    TicketPage,
    TicketResponse,
    TicketUpdate,
)
from crm_api.services.idempotency import Attempt
from crm_api.services.properties.filters import parse_list_filters
from crm_api.services.properties.mapping import ticket_from_record
from crm_api.services.records.access import ticket_contacts, visible_ticket
from crm_api.services.records.context import RecordContext
from crm_api.services.records.etags import etag_of
from crm_api.services.records.idempotent_create import create_record
from crm_api.services.records.queries import list_records, search_records
from crm_api.services.records.updates import update_record


async def create_ticket(
    context: RecordContext, deal_id: str, ticket: TicketCreate, attempt: Attempt
) -> TicketResponse:
    """Create a ticket on a deal, associated with the deal and the caller's contact (staff: the deal's contacts).

    Raises 404 if the caller cannot see the deal, 400 for an unknown pipeline, stage or value.
    """
    record = await create_record(
        context, "tickets", ticket, attempt, associate=partial(_associations, context, deal_id)
    )
    created = ticket_from_record(record, context.fields)
    return TicketResponse(message=TicketResponse.CREATED, data=SingleTicket(ticket=created))


async def _associations(
    context: RecordContext, deal_id: str, error: HubSpotValidationError | None
) -> list[NewAssociation]:
    if error is not None:
        # The deal was archived after `ticket_contacts` had read it.
        raise ApiError("not_found") from error
    contact_ids = await ticket_contacts(context, deal_id)
    return [NewAssociation("deals", deal_id), *(NewAssociation("contacts", each) for each in contact_ids)]


async def list_tickets(
    context: RecordContext,
    *,
    limit: int,
    cursor: str | None,
    pipeline: str | None,
    stage: str | None,
    sort: str | None,
) -> TicketPage:
    """Return a page of tickets."""
    query = await parse_list_filters(
        context.hubspot,
        context.fields["tickets"],
        equal={"pipeline": pipeline, "hs_pipeline_stage": stage},
        sort=sort,
    )
    result, next_cursor = await list_records(context, "tickets", query, limit=limit, cursor=cursor)
    return TicketPage(
        results=[ticket_from_record(record, context.fields) for record in result.records],
        next_cursor=next_cursor,
    )


async def get_ticket(context: RecordContext, ticket_id: str) -> tuple[Ticket, str]:
    """Return the ticket and its ETag. Raises 404."""
    record = await visible_ticket(context, ticket_id)
    return ticket_from_record(record, context.fields), etag_of(record, context.fields["tickets"])


async def update_ticket(
    context: RecordContext, ticket_id: str, changes: TicketUpdate, *, if_match: str | None
) -> tuple[Ticket, str]:
    """Update a ticket; return it and its ETag. Raises 404, 400, 412."""
    record = await update_record(context, "tickets", ticket_id, changes, if_match=if_match)
    return ticket_from_record(record, context.fields), etag_of(record, context.fields["tickets"])


async def search_tickets(context: RecordContext, search: RecordSearch) -> TicketSearchPage:
    """Return a page of the tickets that match the search."""
    result, next_cursor = await search_records(context, "tickets", search)
    return TicketSearchPage(
        results=[ticket_from_record(record, context.fields) for record in result.records],
        total=result.total,
        next_cursor=next_cursor,
        truncated=result.truncated,
    )
