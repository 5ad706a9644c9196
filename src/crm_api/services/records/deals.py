"""Deals: create, and read with tickets."""

from functools import partial

from crm_api.errors import DEFAULT_RETRY_AFTER_SECONDS, ApiError, invalid
from crm_api.hubspot import NewAssociation
from crm_api.hubspot.errors import HubSpotValidationError
from crm_api.schemas.common import Include, or_none
from crm_api.schemas.deals import Deal, DealCreate, DealResponse
from crm_api.schemas.overview import DealWithTickets
from crm_api.services.idempotency import Attempt
from crm_api.services.records.access import id_fields_of, own_contact_id, visible_deal
from crm_api.services.records.associations import inline_id_fields
from crm_api.services.records.context import RecordContext
from crm_api.services.records.etags import representation_etag
from crm_api.services.records.idempotent_create import create_record
from crm_api.services.records.nesting import with_tickets


async def create_deal(context: RecordContext, deal: DealCreate, attempt: Attempt) -> DealResponse:
    """Create a deal for the caller's contact, or for the contact that staff name.

    Raises 400 for an unknown pipeline, stage, value or contact, 403 for a customer who names a contact, 409
    `contact_missing` if the caller has no contact.
    """
    record = await create_record(
        context, "deals", deal, attempt, associate=partial(_associations, context, deal)
    )
    created = context.to_model(Deal, record, **inline_id_fields(context, "deals", record))
    return DealResponse(message=DealResponse.CREATED, data=created)


async def _associations(
    context: RecordContext, deal: DealCreate, error: HubSpotValidationError | None
) -> list[NewAssociation]:
    contact_id = or_none(deal.contact_id)
    if contact_id and not context.is_staff:
        raise ApiError(
            "forbidden", "contact_id is only for staff; omit it to create the deal for your own contact."
        )
    if contact_id and error is not None:
        raise invalid("contact_id", "is not a contact of this HubSpot account") from error
    before = context.user.contact_id
    contact_id = contact_id or await own_contact_id(context)
    if error is not None and contact_id == before:
        # HubSpot finds the contact and yet refuses the association, so the next attempt may succeed.
        raise ApiError("hubspot_unavailable", retry_after=DEFAULT_RETRY_AFTER_SECONDS) from error
    return [NewAssociation("contacts", contact_id)]


async def get_deal(
    context: RecordContext, deal_id: str, *, include: Include | None
) -> tuple[DealWithTickets, str]:
    """Return the deal with its tickets, and its ETag. Raises 404 if the caller cannot see it."""
    record = await visible_deal(context, deal_id, associations=("tickets",))
    id_fields = await id_fields_of(context, "deals", record, include)
    deal = await with_tickets(context, record, id_fields)
    return deal, representation_etag(record, context.fields["deals"], deal)
