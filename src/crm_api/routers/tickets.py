"""Tickets over HTTP."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response, status
from pydantic.json_schema import SkipJsonSchema

from crm_api.dependencies.idempotency import IdempotentCreateDep
from crm_api.dependencies.records import (
    WITH_ETAG,
    IfMatch,
    RecordContextDep,
    SortBy,
    TicketPipelineFilter,
    TicketStageFilter,
)
from crm_api.openapi.document import problems
from crm_api.schemas.common import Cursor, Limit, RecordId
from crm_api.schemas.search import RecordSearch, TicketSearchResponse
from crm_api.schemas.tickets import (
    SingleTicket,
    TicketCreate,
    TicketPageResponse,
    TicketResponse,
    TicketUpdate,
)
from crm_api.services.records import tickets
from crm_api.services.records import updates as record_changes

router = APIRouter(prefix="/api/tickets", tags=["Tickets"])

# One name for the parameter of all operations here: two templates that differ in it are one path in OpenAPI.
TicketId = Annotated[RecordId, Path(description="The id of the **ticket**.", examples=["7001"])]


@router.get("", responses=problems(400, 401, 429, 502, 503, 504))
async def list_tickets(
    context: RecordContextDep,
    limit: Annotated[Limit, Query()] = 10,
    cursor: Annotated[Cursor | SkipJsonSchema[None], Query()] = None,
    pipeline: TicketPipelineFilter = None,
    hs_pipeline_stage: TicketStageFilter = None,
    sort: SortBy = None,
) -> TicketPageResponse:
    """List tickets. Staff page through the account; a customer through those of their contact and its deals."""
    page = await tickets.list_tickets(
        context, limit=limit, cursor=cursor, pipeline=pipeline, stage=hs_pipeline_stage, sort=sort
    )
    return TicketPageResponse(message="Tickets retrieved successfully", data=page)


@router.post("/search", responses=problems(400, 401, 429, 502, 503, 504))
async def search_tickets(search: RecordSearch, context: RecordContextDep) -> TicketSearchResponse:
    """Search tickets by text, filters, or both. A customer searches their own tickets, fresh and exact."""
    page = await tickets.search_tickets(context, search)
    return TicketSearchResponse(message="Tickets found successfully", data=page)


@router.post(
    "/{id}",
    status_code=status.HTTP_201_CREATED,
    response_model=TicketResponse,
    responses=problems(400, 401, 404, 409, 422, 429, 502, 503, 504),
)
async def create_ticket(
    id: Annotated[  # noqa: A002
        RecordId, Path(description="The id of the **deal** to raise it on.", examples=["9001"])
    ],
    ticket: TicketCreate,
    context: RecordContextDep,
    idempotent_create: IdempotentCreateDep,
) -> Response:
    """Raise a ticket on the deal with this id.

    It is associated with the deal and with your contact; a ticket of staff's with the deal's contacts.
    """
    return await idempotent_create.execute(
        partial(tickets.create_ticket, context, id, ticket),
        operation="create_ticket",
        owner=str(context.user.id),
        body=ticket,
        path_id=id,
        location_prefix="/api/tickets",
    )


@router.get("/{id}", responses=problems(400, 401, 404, 429, 502, 503, 504) | WITH_ETAG)
async def get_ticket(
    id: TicketId,  # noqa: A002
    context: RecordContextDep,
    response: Response,
) -> TicketResponse:
    """Read a ticket."""
    ticket, response.headers["ETag"] = await tickets.get_ticket(context, id)
    return TicketResponse(message="Ticket retrieved successfully", data=SingleTicket(ticket=ticket))


@router.patch("/{id}", responses=problems(400, 401, 404, 412, 429, 502, 503, 504) | WITH_ETAG)
async def update_ticket(
    id: TicketId,  # noqa: A002
    changes: TicketUpdate,
    context: RecordContextDep,
    response: Response,
    if_match: IfMatch = None,
) -> TicketResponse:
    """Change a ticket: what is left out stays, null clears."""
    ticket, response.headers["ETag"] = await tickets.update_ticket(context, id, changes, if_match=if_match)
    return TicketResponse(message="Ticket updated successfully", data=SingleTicket(ticket=ticket))


@router.delete(
    "/{id}",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(400, 401, 404, 412, 429, 502, 503, 504),
)
async def archive_ticket(
    id: TicketId,  # noqa: A002
    context: RecordContextDep,
    if_match: IfMatch = None,
) -> None:
    """Archive a ticket; the company can restore it in HubSpot for 90 days."""
    await record_changes.archive_record(context, "tickets", id, if_match=if_match)
