"""Deals: opened, listed, read with their tickets, changed, archived."""

from crm_api.errors import ApiError, invalid
from crm_api.hubspot import CrmRecord, NewAssociation
from crm_api.hubspot.errors import HubSpotValidationError
from crm_api.models import User
from crm_api.schemas.common import or_none
from crm_api.schemas.deals import Deal, DealCreate, DealPage, DealUpdate
from crm_api.schemas.overview import DealWithTickets
from crm_api.schemas.search import DealSearchPage, RecordSearch
from crm_api.services.idempotency import Attempt
from crm_api.services.properties.filters import parse_list_filters
from crm_api.services.properties.mapping import deal_from_record, write_error
from crm_api.services.properties.pipelines import choose_stage
from crm_api.services.properties.values import require_valid
from crm_api.services.records.access import require_contact, visible_deal
from crm_api.services.records.context import RecordContext
from crm_api.services.records.etags import etag_of
from crm_api.services.records.idempotent_create import find_created_record, reserve_idempotency_property
from crm_api.services.records.nesting import with_tickets
from crm_api.services.records.queries import list_records, search_records
from crm_api.services.records.recent_writes import remember
from crm_api.services.records.updates import change_record, to_properties


async def create_deal(context: RecordContext, deal: DealCreate, *, attempt: Attempt) -> Deal:
    """Open a deal for the caller's contact, or for the one that staff name.

    Raises 400 for an unknown pipeline, stage, value or contact, 403 for a customer who names a contact, 409
    `contact_missing` where there is no contact to open it for.
    """
    fields = context.fields["deals"]
    made = await find_created_record(context.hubspot, "deals", attempt, read=fields.properties)
    if made is not None:
        return deal_from_record(made, context.fields)
    contact_id = _contact_of(context.user, deal)
    properties = to_properties(context, fields, deal)
    pipeline = await choose_stage(
        context.hubspot,
        "deals",
        pipeline=or_none(deal.pipeline),
        stage=deal.dealstage,
        stage_field="dealstage",
        stages=context.stages,
    )
    properties = await require_valid(context.hubspot, fields, properties) | {"pipeline": pipeline}
    sent = {name: value for name, value in properties.items() if value}
    try:
        record = await _create(context, sent, contact_id, attempt)
    except HubSpotValidationError as error:
        if not error.names_unknown_association:
            raise write_error(error, fields, context.user.role) from error
        if or_none(deal.contact_id):
            raise invalid("contact_id", "is not a contact of this account") from error
        if not await context.relink():
            raise ApiError("contact_missing") from error
        contact_id = require_contact(context.user)
        record = await _create(context, sent, contact_id, attempt)
    context.deal_ownership.add(contact_id, record.id)
    await remember(context, "deals", record.id)
    return deal_from_record(record, context.fields)


async def _create(
    context: RecordContext, properties: dict[str, str], contact_id: str, attempt: Attempt
) -> CrmRecord:
    return await context.hubspot.deals.create(
        properties,
        associations=[NewAssociation("contacts", contact_id)],
        unique=await reserve_idempotency_property(context.hubspot, "deals", attempt),
        is_retry=attempt.is_retry,
        lookup_properties=context.fields["deals"].properties,
    )


def _contact_of(user: User, deal: DealCreate) -> str:
    if user.role != "staff":
        if or_none(deal.contact_id):
            raise ApiError(
                "forbidden", "contact_id is for staff; a deal of yours is always your own contact's."
            )
        return require_contact(user)
    return or_none(deal.contact_id) or require_contact(user)


async def list_deals(
    context: RecordContext,
    *,
    limit: int,
    cursor: str | None,
    pipeline: str | None,
    dealstage: str | None,
    sort: str | None,
) -> DealPage:
    """A page of deals."""
    query = await parse_list_filters(
        context.hubspot,
        context.fields["deals"],
        equal={"pipeline": pipeline, "dealstage": dealstage},
        sort=sort,
    )
    records, next_cursor = await list_records(context, "deals", query, limit=limit, cursor=cursor)
    return DealPage(
        results=[deal_from_record(record, context.fields) for record in records], next_cursor=next_cursor
    )


async def get_deal(context: RecordContext, deal_id: str) -> tuple[DealWithTickets, str]:
    """The deal with its tickets, and its ETag; 404."""
    record = await visible_deal(context, deal_id, associations=("tickets",))
    return await with_tickets(context, record), etag_of(record, context.fields["deals"])


async def update_deal(
    context: RecordContext, deal_id: str, changes: DealUpdate, *, if_match: str | None
) -> tuple[Deal, str]:
    """The deal after the change, and its ETag. Raises 404, 400, 412."""
    record = await change_record(context, "deals", deal_id, changes, if_match=if_match)
    return deal_from_record(record, context.fields), etag_of(record, context.fields["deals"])


async def search_deals(context: RecordContext, search: RecordSearch) -> DealSearchPage:
    """A page of the deals that answer the search."""
    found = await search_records(context, "deals", search)
    return DealSearchPage(
        results=[deal_from_record(record, context.fields) for record in found.records],
        total=found.total,
        next_cursor=found.next_cursor,
        truncated=found.truncated,
    )
