"""Routes for tickets."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Path, Response, status

from crm_api.dependencies.idempotency import IdempotentCreateDep
from crm_api.dependencies.records import (
    CachedRecordContextDep,
    CursorParameter,
    IfMatch,
    IncludeParameter,
    LimitParameter,
    NotModifiedDep,
    RecordContextDep,
    SortBy,
    TicketPipelineFilter,
    TicketStageFilter,
)
from crm_api.openapi.responses import CREATE_ERRORS, HUBSPOT_ERRORS, responses
from crm_api.schemas.common import DEFAULT_LIMIT, RecordId
from crm_api.schemas.search import RecordSearch, TicketSearchPage, TicketSearchResponse
from crm_api.schemas.tickets import (
    Ticket,
    TicketCreate,
    TicketPage,
    TicketPageResponse,
    TicketResponse,
    TicketUpdate,
)
from crm_api.services.records import tickets
from crm_api.services.records.access import require_visible
from crm_api.services.records.queries import list_records, search_records
from crm_api.services.records.updates import archive_record, update_record

router = APIRouter(prefix="/api/tickets", tags=["Tickets"])

# Every operation names its parameter `id`: templates that differ only in a name are the same path in OpenAPI.
TicketId = Annotated[RecordId, Path(description="ID of the **ticket**.", examples=["7001"])]


@router.get("", responses=responses(*HUBSPOT_ERRORS, message=TicketPageResponse.MESSAGE))
async def list_tickets(
    context: CachedRecordContextDep,
    limit: LimitParameter = DEFAULT_LIMIT,
    cursor: CursorParameter = None,
    pipeline: TicketPipelineFilter = None,
    hs_pipeline_stage: TicketStageFilter = None,
    sort: SortBy = None,
    include: IncludeParameter = None,
) -> TicketPageResponse:
    """List tickets.

    Staff get all tickets of the HubSpot account, a customer those of their own contact and its deals.
    """
    equal = {"pipeline": pipeline, "hs_pipeline_stage": hs_pipeline_stage}
    page = await list_records(
        context, TicketPage, Ticket, equal=equal, sort=sort, limit=limit, cursor=cursor, include=include
    )
    return TicketPageResponse(message=TicketPageResponse.MESSAGE, data=page)


@router.post("/search", responses=responses(*HUBSPOT_ERRORS, message=TicketSearchResponse.MESSAGE))
async def search_tickets(search: RecordSearch, context: CachedRecordContextDep) -> TicketSearchResponse:
    """Search tickets by text, filters, or both.

    A customer searches only their own tickets, with their current values.
    """
    page = await search_records(context, TicketSearchPage, Ticket, search)
    return TicketSearchResponse(message=TicketSearchResponse.MESSAGE, data=page)


@router.post(
    "/{id}",
    status_code=status.HTTP_201_CREATED,
    response_model=TicketResponse,
    responses=responses(
        "forbidden", "contact_missing", *CREATE_ERRORS, message=TicketResponse.CREATED, status=201
    ),
)
async def create_ticket(
    id: Annotated[
        RecordId, Path(description="**Deal** ID: the deal to create the ticket on.", examples=["9001"])
    ],
    ticket: TicketCreate,
    context: RecordContextDep,
    idempotent_create: IdempotentCreateDep,
) -> Response:
    """Create a ticket on the deal with this ID.

    The ticket is associated with the deal and with your contact; if staff create it, with the deal's contacts.
    """
    context.require_operation("create_ticket")
    return await idempotent_create.execute(
        partial(tickets.create_ticket, context, id, ticket),
        operation="create_ticket",
        owner=context.user.id,
        body=ticket,
        path_id=id,
        location_prefix="/api/tickets",
        require_access=partial(require_visible, context, "tickets"),
    )


@router.get(
    "/{id}",
    response_model=TicketResponse,
    responses=responses(*HUBSPOT_ERRORS, message=TicketResponse.RETRIEVED, etag=True, not_modified=True),
)
async def get_ticket(
    id: TicketId,
    context: CachedRecordContextDep,
    not_modified: NotModifiedDep,
    include: IncludeParameter = None,
) -> TicketResponse | Response:
    """Get a ticket. The `ETag` header has its version, for `If-Match`."""
    ticket, etag = await tickets.get_ticket(context, id, include=include)
    return not_modified.of(etag) or TicketResponse(message=TicketResponse.RETRIEVED, data=ticket)


@router.patch(
    "/{id}",
    responses=responses("forbidden", *HUBSPOT_ERRORS, message=TicketResponse.UPDATED, etag=True),
)
async def update_ticket(
    id: TicketId,
    changes: TicketUpdate,
    context: RecordContextDep,
    response: Response,
    if_match: IfMatch = None,
) -> TicketResponse:
    """Update a ticket. Omitted fields are unchanged; null clears a field."""
    context.require_operation("update_ticket")
    ticket, response.headers["ETag"] = await update_record(context, Ticket, id, changes, if_match=if_match)
    return TicketResponse(message=TicketResponse.UPDATED, data=ticket)


@router.delete(
    "/{id}",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=responses("forbidden", *HUBSPOT_ERRORS),
)
async def archive_ticket(id: TicketId, context: RecordContextDep, if_match: IfMatch = None) -> None:
    """Archive a ticket. The company can restore it in HubSpot for 90 days."""
    context.require_operation("archive_ticket")
    await archive_record(context, "tickets", id, if_match=if_match)
