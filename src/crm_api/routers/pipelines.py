"""Pipelines and their stages."""

from fastapi import APIRouter

from crm_api.dependencies.records import AccessDep
from crm_api.openapi.document import problems
from crm_api.schemas.pipelines import PipelinesResponse
from crm_api.services.properties import pipelines

router = APIRouter(prefix="/api", tags=["Schema"])


@router.get("/pipelines", responses=problems(401, 429, 502, 503, 504))
async def list_pipelines(access: AccessDep) -> PipelinesResponse:
    """List the deal and ticket pipelines with their stages, in display order."""
    return PipelinesResponse(
        message="Pipelines retrieved successfully",
        data=await pipelines.list_pipelines(access.hubspot, access.stages),
    )
