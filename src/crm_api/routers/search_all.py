"""The search across contacts, deals and tickets."""

from typing import Annotated

from fastapi import APIRouter, Query

from crm_api.dependencies.records import RecordContextDep
from crm_api.openapi.responses import HUBSPOT_ERRORS, responses
from crm_api.schemas.search import FoundRecordsResponse, SearchText
from crm_api.services.records import search_all

router = APIRouter(prefix="/api", tags=["Overview"])


@router.get("/search", responses=responses(*HUBSPOT_ERRORS, message=FoundRecordsResponse.MESSAGE))
async def search_everything(
    context: RecordContextDep,
    q: Annotated[SearchText, Query(description="Words to look for.")],
    limit: Annotated[int, Query(ge=1, le=20, description="How many of each at the most.", examples=[5])] = 5,
) -> FoundRecordsResponse:
    """Search contacts, deals and tickets at once, and return the first few of each.

    A part that could not be searched is named in `failed`; the others stand.
    """
    found = await search_all.search_everything(context, q, limit=limit)
    return FoundRecordsResponse(message=FoundRecordsResponse.MESSAGE, data=found)
