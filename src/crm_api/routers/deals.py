"""Deals over HTTP."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response, status
from pydantic.json_schema import SkipJsonSchema

from crm_api.dependencies.idempotency import IdempotentCreateDep
from crm_api.dependencies.records import (
    WITH_ETAG,
    DealPipelineFilter,
    DealStageFilter,
    IfMatch,
    RecordContextDep,
    SortBy,
)
from crm_api.openapi.document import problems
from crm_api.schemas.common import Cursor, Limit, RecordId
from crm_api.schemas.deals import DealCreate, DealPageResponse, DealResponse, DealUpdate, SingleDeal
from crm_api.schemas.overview import DealDetail, DealDetailResponse
from crm_api.schemas.search import DealSearchResponse, RecordSearch
from crm_api.services.records import deals
from crm_api.services.records import updates as record_changes

router = APIRouter(prefix="/api/deals", tags=["Deals"])

DealId = Annotated[RecordId, Path(description="The id of the deal.", examples=["9001"])]


@router.get("", responses=problems(400, 401, 429, 502, 503, 504))
async def list_deals(
    context: RecordContextDep,
    limit: Annotated[Limit, Query()] = 10,
    cursor: Annotated[Cursor | SkipJsonSchema[None], Query()] = None,
    pipeline: DealPipelineFilter = None,
    dealstage: DealStageFilter = None,
    sort: SortBy = None,
) -> DealPageResponse:
    """List deals. Staff page through the account; a customer through the deals of their own contact."""
    page = await deals.list_deals(
        context, limit=limit, cursor=cursor, pipeline=pipeline, dealstage=dealstage, sort=sort
    )
    return DealPageResponse(message="Deals retrieved successfully", data=page)


@router.post(
    "",
    status_code=status.HTTP_201_CREATED,
    response_model=DealResponse,
    responses=problems(400, 401, 403, 409, 422, 429, 502, 503, 504),
)
async def create_deal(
    deal: DealCreate, context: RecordContextDep, idempotent_create: IdempotentCreateDep
) -> Response:
    """Open a deal for your contact; staff name the contact whose deal it is.

    Creating always creates: two deals may bear one name.
    """
    return await idempotent_create.execute(
        partial(deals.create_deal, context, deal),
        operation="create_deal",
        owner=str(context.user.id),
        body=deal,
        location_prefix="/api/deals",
    )


@router.post("/search", responses=problems(400, 401, 429, 502, 503, 504))
async def search_deals(search: RecordSearch, context: RecordContextDep) -> DealSearchResponse:
    """Search deals by text, filters, or both. A customer searches their own deals, fresh and exact."""
    page = await deals.search_deals(context, search)
    return DealSearchResponse(message="Deals found successfully", data=page)


@router.get("/{id}", responses=problems(400, 401, 404, 429, 502, 503, 504) | WITH_ETAG)
async def get_deal(
    id: DealId,  # noqa: A002
    context: RecordContextDep,
    response: Response,
) -> DealDetailResponse:
    """Read a deal with the tickets raised on it."""
    deal, response.headers["ETag"] = await deals.get_deal(context, id)
    return DealDetailResponse(message="Deal retrieved successfully", data=DealDetail(deal=deal))


@router.patch("/{id}", responses=problems(400, 401, 404, 412, 429, 502, 503, 504) | WITH_ETAG)
async def update_deal(
    id: DealId,  # noqa: A002
    changes: DealUpdate,
    context: RecordContextDep,
    response: Response,
    if_match: IfMatch = None,
) -> DealResponse:
    """Change a deal: what is left out stays, null clears."""
    deal, response.headers["ETag"] = await deals.update_deal(context, id, changes, if_match=if_match)
    return DealResponse(message="Deal updated successfully", data=SingleDeal(deal=deal))


@router.delete(
    "/{id}",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(400, 401, 404, 412, 429, 502, 503, 504),
)
async def archive_deal(
    id: DealId,  # noqa: A002
    context: RecordContextDep,
    if_match: IfMatch = None,
) -> None:
    """Archive a deal; the company can restore it in HubSpot for 90 days."""
    await record_changes.archive_record(context, "deals", id, if_match=if_match)
