"""Deals: create, list, search, read with tickets, update."""

from functools import partial

from crm_api.errors import DEFAULT_RETRY_AFTER_SECONDS, ApiError, invalid
from crm_api.hubspot import NewAssociation
from crm_api.hubspot.errors import HubSpotValidationError
from crm_api.schemas.common import or_none
from crm_api.schemas.deals import Deal, DealCreate, DealPage, DealResponse, DealUpdate, SingleDeal
from crm_api.schemas.overview import DealWithTickets
from crm_api.schemas.search import DealSearchPage, RecordSearch
from crm_api.services.idempotency import Attempt
from crm_api.services.properties.filters import parse_list_filters
from crm_api.services.properties.mapping import deal_from_record
from crm_api.services.records.access import own_contact_id, visible_deal
from crm_api.services.records.context import RecordContext
from crm_api.services.records.etags import etag_of
from crm_api.services.records.idempotent_create import create_record
from crm_api.services.records.nesting import with_tickets
from crm_api.services.records.queries import list_records, search_records
from crm_api.services.records.updates import update_record


async def create_deal(context: RecordContext, deal: DealCreate, attempt: Attempt) -> DealResponse:
    """Create a deal for the caller's contact, or for the contact that staff name.

    Raises 400 for an unknown pipeline, stage, value or contact, 403 for a customer who names a contact, 409
    `contact_missing` if the caller has no contact.
    """
    record = await create_record(
        context, "deals", deal, attempt, associate=partial(_associations, context, deal)
    )
    created = deal_from_record(record, context.fields)
    return DealResponse(message=DealResponse.CREATED, data=SingleDeal(deal=created))


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


async def list_deals(
    context: RecordContext,
    *,
    limit: int,
    cursor: str | None,
    pipeline: str | None,
    dealstage: str | None,
    sort: str | None,
) -> DealPage:
    """Return a page of deals."""
    query = await parse_list_filters(
        context.hubspot,
        context.fields["deals"],
        equal={"pipeline": pipeline, "dealstage": dealstage},
        sort=sort,
    )
    result, next_cursor = await list_records(context, "deals", query, limit=limit, cursor=cursor)
    return DealPage(
        results=[deal_from_record(record, context.fields) for record in result.records],
        next_cursor=next_cursor,
    )


async def get_deal(context: RecordContext, deal_id: str) -> tuple[DealWithTickets, str]:
    """Return the deal with its tickets, and its ETag. Raises 404."""
    record = await visible_deal(context, deal_id, associations=("tickets",))
    return await with_tickets(context, record), etag_of(record, context.fields["deals"])


async def update_deal(
    context: RecordContext, deal_id: str, changes: DealUpdate, *, if_match: str | None
) -> tuple[Deal, str]:
    """Update a deal; return it and its ETag. Raises 404, 400, 412."""
    record = await update_record(context, "deals", deal_id, changes, if_match=if_match)
    return deal_from_record(record, context.fields), etag_of(record, context.fields["deals"])


async def search_deals(context: RecordContext, search: RecordSearch) -> DealSearchPage:
    """Return a page of the deals that match the search."""
    result, next_cursor = await search_records(context, "deals", search)
    return DealSearchPage(
        results=[deal_from_record(record, context.fields) for record in result.records],
        total=result.total,
        next_cursor=next_cursor,
        truncated=result.truncated,
    )
