"""Tickets: create on a deal, and read."""

from functools import partial

from crm_api.errors import ApiError
from crm_api.hubspot import NewAssociation
from crm_api.hubspot.errors import HubSpotValidationError
from crm_api.schemas.tickets import Ticket, TicketCreate, TicketResponse
from crm_api.services.idempotency import Attempt
from crm_api.services.properties.mapping import from_record
from crm_api.services.records.access import ticket_contacts, visible_ticket
from crm_api.services.records.context import RecordContext
from crm_api.services.records.etags import etag_of
from crm_api.services.records.idempotent_create import create_record


async def create_ticket(
    context: RecordContext, deal_id: str, ticket: TicketCreate, attempt: Attempt
) -> TicketResponse:
    """Create a ticket on a deal, associated with the deal and the caller's contact (staff: the deal's contacts).

    Raises 404 if the caller cannot see the deal, 400 for an unknown pipeline, stage or value.
    """
    record = await create_record(
        context, "tickets", ticket, attempt, associate=partial(_associations, context, deal_id)
    )
    created = from_record(Ticket, record, context.fields)
    return TicketResponse(message=TicketResponse.CREATED, data=created)


async def _associations(
    context: RecordContext, deal_id: str, error: HubSpotValidationError | None
) -> list[NewAssociation]:
    if error is not None:
        # The deal was archived after `ticket_contacts` had read it.
        raise ApiError("not_found") from error
    contact_ids = await ticket_contacts(context, deal_id)
    return [
        NewAssociation("deals", deal_id),
        *(NewAssociation("contacts", contact_id) for contact_id in contact_ids),
    ]


async def get_ticket(context: RecordContext, ticket_id: str) -> tuple[Ticket, str]:
    """Return the ticket and its ETag. Raises 404 if the caller cannot see it."""
    record = await visible_ticket(context, ticket_id)
    return from_record(Ticket, record, context.fields), etag_of(record, context.fields["tickets"])
