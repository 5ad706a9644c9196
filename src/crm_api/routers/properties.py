"""Route for the properties that the caller may read and write."""

from typing import Annotated

from fastapi import APIRouter, Path

from crm_api.dependencies.records import RecordContextDep
from crm_api.openapi.responses import HUBSPOT_ERRORS, responses
from crm_api.schemas.common import ObjectType
from crm_api.schemas.properties import RecordPropertiesResponse
from crm_api.services.records import property_list

router = APIRouter(prefix="/api", tags=["Schema"])


@router.get(
    "/properties/{object_type}",
    responses=responses(*HUBSPOT_ERRORS, message=RecordPropertiesResponse.MESSAGE),
)
async def list_properties(
    object_type: Annotated[ObjectType, Path(description="Object type of the properties.")],
    context: RecordContextDep,
) -> RecordPropertiesResponse:
    """List the properties of contacts, deals or tickets.

    The list has the properties that you may read, with label, type and options, and whether you may write them.
    """
    return RecordPropertiesResponse(
        message=RecordPropertiesResponse.MESSAGE,
        data=await property_list.list_properties(context, object_type),
    )
