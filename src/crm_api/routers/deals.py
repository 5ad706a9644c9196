"""Routes for deals."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Path, Response, status

from crm_api.dependencies.idempotency import IdempotentCreateDep
from crm_api.dependencies.records import (
    CachedRecordContextDep,
    CursorParameter,
    DealPipelineFilter,
    DealStageFilter,
    IfMatch,
    IncludeParameter,
    LimitParameter,
    NotModifiedDep,
    RecordContextDep,
    SortBy,
)
from crm_api.openapi.responses import CREATE_ERRORS, HUBSPOT_ERRORS, responses
from crm_api.schemas.common import DEFAULT_LIMIT, RecordId
from crm_api.schemas.deals import (
    Deal,
    DealCreate,
    DealPage,
    DealPageResponse,
    DealResponse,
    DealUpdate,
)
from crm_api.schemas.overview import DealDetailResponse
from crm_api.schemas.search import DealSearchPage, DealSearchResponse, RecordSearch
from crm_api.services.records import deals
from crm_api.services.records.access import require_visible
from crm_api.services.records.queries import list_records, search_records
from crm_api.services.records.updates import archive_record, update_record

router = APIRouter(prefix="/api/deals", tags=["Deals"])

DealId = Annotated[RecordId, Path(description="ID of the deal.", examples=["9001"])]


@router.get("", responses=responses(*HUBSPOT_ERRORS, message=DealPageResponse.MESSAGE))
async def list_deals(
    context: CachedRecordContextDep,
    limit: LimitParameter = DEFAULT_LIMIT,
    cursor: CursorParameter = None,
    pipeline: DealPipelineFilter = None,
    dealstage: DealStageFilter = None,
    sort: SortBy = None,
    include: IncludeParameter = None,
) -> DealPageResponse:
    """List deals. Staff get all deals of the HubSpot account, a customer the deals of their own contact."""
    equal = {"pipeline": pipeline, "dealstage": dealstage}
    page = await list_records(
        context, DealPage, Deal, equal=equal, sort=sort, limit=limit, cursor=cursor, include=include
    )
    return DealPageResponse(message=DealPageResponse.MESSAGE, data=page)


@router.post(
    "",
    status_code=status.HTTP_201_CREATED,
    response_model=DealResponse,
    responses=responses(
        # 404: a replay of a create whose deal the caller may not see any more.
        "forbidden",
        "not_found",
        "contact_missing",
        *CREATE_ERRORS,
        message=DealResponse.CREATED,
        status=201,
    ),
)
async def create_deal(
    deal: DealCreate, context: RecordContextDep, idempotent_create: IdempotentCreateDep
) -> Response:
    """Create a deal.

    A customer creates it for their own contact; staff can name the contact in `contact_id`.
    Two deals may have the same name.
    """
    context.require_operation("create_deal")
    return await idempotent_create.execute(
        partial(deals.create_deal, context, deal),
        operation="create_deal",
        owner=context.user.id,
        body=deal,
        location_prefix="/api/deals",
        require_access=partial(require_visible, context, "deals"),
    )


@router.post("/search", responses=responses(*HUBSPOT_ERRORS, message=DealSearchResponse.MESSAGE))
async def search_deals(search: RecordSearch, context: CachedRecordContextDep) -> DealSearchResponse:
    """Search deals by text, filters, or both. A customer searches only their own deals, with their current values."""
    page = await search_records(context, DealSearchPage, Deal, search)
    return DealSearchResponse(message=DealSearchResponse.MESSAGE, data=page)


@router.get(
    "/{id}",
    response_model=DealDetailResponse,
    responses=responses(*HUBSPOT_ERRORS, message=DealDetailResponse.MESSAGE, etag=True, not_modified=True),
)
async def get_deal(
    id: DealId,
    context: CachedRecordContextDep,
    not_modified: NotModifiedDep,
    include: IncludeParameter = None,
) -> DealDetailResponse | Response:
    """Get a deal with its tickets. The `ETag` header has the version of the deal, for `If-Match`."""
    deal, etag = await deals.get_deal(context, id, include=include)
    return not_modified.of(etag) or DealDetailResponse(message=DealDetailResponse.MESSAGE, data=deal)


@router.patch(
    "/{id}",
    responses=responses("forbidden", *HUBSPOT_ERRORS, message=DealResponse.UPDATED, etag=True),
)
async def update_deal(
    id: DealId, changes: DealUpdate, context: RecordContextDep, response: Response, if_match: IfMatch = None
) -> DealResponse:
    """Update a deal. Omitted fields are unchanged; null clears a field."""
    context.require_operation("update_deal")
    deal, response.headers["ETag"] = await update_record(context, Deal, id, changes, if_match=if_match)
    return DealResponse(message=DealResponse.UPDATED, data=deal)


@router.delete(
    "/{id}",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=responses("forbidden", *HUBSPOT_ERRORS),
)
async def archive_deal(id: DealId, context: RecordContextDep, if_match: IfMatch = None) -> None:
    """Archive a deal. The company can restore it in HubSpot for 90 days."""
    context.require_operation("archive_deal")
    await archive_record(context, "deals", id, if_match=if_match)
