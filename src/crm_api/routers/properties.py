"""Route for the properties that the caller may read and write."""

from typing import Annotated

from fastapi import APIRouter, Path

from crm_api.dependencies.auth import CurrentUserIfSent
from crm_api.dependencies.records import SchemaContextIfSentDep
from crm_api.errors import ApiError
from crm_api.openapi.responses import HUBSPOT_ERRORS, responses
from crm_api.schemas.common import ObjectType
from crm_api.schemas.properties import RecordPropertiesResponse
from crm_api.services.records import property_list

router = APIRouter(prefix="/api", tags=["Schema"])


@router.get(
    "/properties/{object_type}",
    responses=responses(*HUBSPOT_ERRORS, message=RecordPropertiesResponse.MESSAGE),
    openapi_extra={"x-optional-login": True},
)
async def list_properties(
    object_type: Annotated[ObjectType, Path(description="Object type of the properties.")],
    user: CurrentUserIfSent,
    context: SchemaContextIfSentDep,
) -> RecordPropertiesResponse:
    """List the properties of contacts, deals or tickets.

    The list has the properties that you may read, with label, type and options, and whether you may write them.
    Without a login, only those of contacts can be listed: the properties that a registration may set.
    """
    if user is not None:
        data = await property_list.list_properties(context, object_type)
    elif object_type == "contacts":
        data = await property_list.list_registration_properties(context)
    else:
        raise ApiError("invalid_token")
    return RecordPropertiesResponse(message=RecordPropertiesResponse.MESSAGE, data=data)
