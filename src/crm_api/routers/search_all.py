"""The search across contacts, deals and tickets."""

from typing import Annotated

from fastapi import APIRouter, Query

from crm_api.dependencies.records import AccessDep
from crm_api.openapi.document import problems
from crm_api.schemas.search import FoundRecordsResponse, SearchText
from crm_api.services.records import search_all

router = APIRouter(prefix="/api", tags=["Overview"])


@router.get("/search", responses=problems(400, 401, 429, 502, 503, 504))
async def search_everything(
    access: AccessDep,
    q: Annotated[SearchText, Query(description="Words to look for.")],
    limit: Annotated[int, Query(ge=1, le=20, description="How many of each at the most.", examples=[5])] = 5,
) -> FoundRecordsResponse:
    """Search contacts, deals and tickets at once, and return the first few of each.

    A part that could not be searched is named in `failed`; the others stand.
    """
    found = await search_all.search_everything(access, q, limit=limit)
    return FoundRecordsResponse(message="Search completed successfully", data=found)
