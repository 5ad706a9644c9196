"""Route for pipelines and their stages."""

from fastapi import APIRouter

from crm_api.dependencies.records import SchemaContextDep
from crm_api.openapi.responses import HUBSPOT_ERRORS, responses
from crm_api.schemas.pipelines import PipelinesResponse
from crm_api.services.properties import pipelines

router = APIRouter(prefix="/api", tags=["Schema"])


@router.get("/pipelines", responses=responses(*HUBSPOT_ERRORS, message=PipelinesResponse.MESSAGE))
async def list_pipelines(context: SchemaContextDep) -> PipelinesResponse:
    """List deal and ticket pipelines with their stages. Pipelines and stages are in display order."""
    return PipelinesResponse(
        message=PipelinesResponse.MESSAGE,
        data=await pipelines.list_pipelines(context.hubspot, context.stages),
    )
