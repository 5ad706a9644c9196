"""Tickets: create on a deal, and read."""

from functools import partial

from crm_api.errors import ApiError
from crm_api.hubspot import NewAssociation
from crm_api.hubspot.errors import HubSpotValidationError
from crm_api.schemas.common import Include
from crm_api.schemas.tickets import Ticket, TicketCreate, TicketResponse
from crm_api.services.idempotency import Attempt
from crm_api.services.records.access import id_fields_of, ticket_contacts, visible_ticket
from crm_api.services.records.associations import inline_id_fields
from crm_api.services.records.context import RecordContext
from crm_api.services.records.etags import representation_etag
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
    # A customer's new ticket is associated with this deal only, which they see.
    id_fields = {**inline_id_fields(context, "tickets", record), "deal_ids": [deal_id]}
    created = context.to_model(Ticket, record, **id_fields)
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


async def get_ticket(
    context: RecordContext, ticket_id: str, *, include: Include | None
) -> tuple[Ticket, str]:
    """Return the ticket and its ETag. Raises 404 if the caller cannot see it."""
    record = await visible_ticket(context, ticket_id)
    id_fields = await id_fields_of(context, "tickets", record, include)
    ticket = context.to_model(Ticket, record, **id_fields)
    return ticket, representation_etag(record, context.fields["tickets"], ticket)
