"""Route for contacts with their deals and tickets."""

from fastapi import APIRouter

from crm_api.dependencies.records import CachedRecordContextDep, CursorParameter, OverviewLimit
from crm_api.openapi.responses import HUBSPOT_ERRORS, responses
from crm_api.schemas.common import DEFAULT_LIMIT
from crm_api.schemas.overview import CrmObjects, CrmObjectsResponse
from crm_api.services.records import overview

router = APIRouter(prefix="/api", tags=["Overview"])


@router.get("/new-crm-objects", responses=responses(*HUBSPOT_ERRORS, message=CrmObjectsResponse.MESSAGE))
async def list_crm_objects(
    context: CachedRecordContextDep,
    limit: OverviewLimit = DEFAULT_LIMIT,
    cursor: CursorParameter = None,
) -> CrmObjectsResponse:
    """List contacts with their deals and tickets.

    Staff get all contacts of the HubSpot account in HubSpot's order, a customer only their own.
    """
    page = await overview.list_crm_objects(context, limit=limit, cursor=cursor)
    return CrmObjectsResponse(message=CrmObjectsResponse.MESSAGE, data=CrmObjects(data=page))
