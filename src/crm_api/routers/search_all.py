"""Route for searching contacts, deals and tickets at once."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import StringConstraints

from crm_api.dependencies.records import CachedRecordContextDep
from crm_api.openapi.responses import HUBSPOT_ERRORS, responses
from crm_api.schemas.search import FoundRecordsResponse, SearchText
from crm_api.services.records import search_all

router = APIRouter(prefix="/api", tags=["Overview"])


@router.get("/search", responses=responses(*HUBSPOT_ERRORS, message=FoundRecordsResponse.MESSAGE))
async def search_everything(
    context: CachedRecordContextDep,
    q: Annotated[SearchText, StringConstraints(strip_whitespace=True), Query(description="Words to find.")],
    limit: Annotated[
        int, Query(ge=1, le=20, description="Maximum number of results of each object type.", examples=[5])
    ] = 5,
) -> FoundRecordsResponse:
    """Search contacts, deals and tickets at once.

    Returns the first matches of each object type. `failed` lists the types that could not be searched.
    """
    result = await search_all.search_everything(context, q, limit=limit)
    return FoundRecordsResponse(message=FoundRecordsResponse.MESSAGE, data=result)
