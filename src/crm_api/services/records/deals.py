"""Deals: create, and read with tickets."""

from functools import partial

from crm_api.errors import ApiError, invalid
from crm_api.hubspot import NewAssociation
from crm_api.hubspot.errors import HubSpotValidationError
from crm_api.models import User
from crm_api.schemas.common import or_none
from crm_api.schemas.deals import Deal, DealCreate, DealResponse, SingleDeal
from crm_api.schemas.overview import DealWithTickets
from crm_api.services.idempotency import Attempt
from crm_api.services.properties.mapping import from_record
from crm_api.services.records.access import require_contact, visible_deal
from crm_api.services.records.context import RecordContext
from crm_api.services.records.etags import etag_of
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
    created = from_record(Deal, record, context.fields)
    return DealResponse(message=DealResponse.CREATED, data=SingleDeal(deal=created))


async def _associations(
    context: RecordContext, deal: DealCreate, error: HubSpotValidationError | None
) -> list[NewAssociation]:
    if error is not None:
        if or_none(deal.contact_id):
            raise invalid("contact_id", "is not a contact of this HubSpot account") from error
        if not await context.relink():
            raise ApiError("contact_missing") from error
    return [NewAssociation("contacts", _contact_of(context.user, deal))]


def _contact_of(user: User, deal: DealCreate) -> str:
    if user.role != "staff":
        if or_none(deal.contact_id):
            raise ApiError(
                "forbidden", "contact_id is only for staff; omit it to create the deal for your own contact."
            )
        return require_contact(user)
    return or_none(deal.contact_id) or require_contact(user)


async def get_deal(context: RecordContext, deal_id: str) -> tuple[DealWithTickets, str]:
    """Return the deal with its tickets, and its ETag. Raises 404 if the caller cannot see it."""
    record = await visible_deal(context, deal_id, associations=("tickets",))
    return await with_tickets(context, record), etag_of(record, context.fields["deals"])
