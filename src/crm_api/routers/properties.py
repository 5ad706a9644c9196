"""The properties that the caller may read and write."""

from typing import Annotated

from fastapi import APIRouter, Path

from crm_api.dependencies.records import RecordContextDep
from crm_api.openapi.responses import HUBSPOT_ERRORS, responses
from crm_api.schemas.properties import RecordPropertiesResponse
from crm_api.schemas.search import Part
from crm_api.services.records import property_list

router = APIRouter(prefix="/api", tags=["Schema"])


@router.get(
    "/properties/{object_type}",
    responses=responses(*HUBSPOT_ERRORS, message=RecordPropertiesResponse.MESSAGE),
)
async def list_properties(
    object_type: Annotated[Part, Path(description="Whose properties.")], context: RecordContextDep
) -> RecordPropertiesResponse:
    """List the properties of contacts, deals or tickets.

    Those that you may read, each with its label, type and options, and whether you may write it.
    """
    return RecordPropertiesResponse(
        message=RecordPropertiesResponse.MESSAGE,
        data=await property_list.list_properties(context, object_type),
    )
