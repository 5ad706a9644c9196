"""Exactly-once creation: find the record of an earlier attempt by the idempotency property."""

from collections.abc import Sequence

from crm_api.errors import ApiError
from crm_api.hubspot import CrmRecord, HubSpotClient, UniqueValue
from crm_api.hubspot.errors import HubSpotNotFoundError
from crm_api.hubspot.names import ObjectType
from crm_api.services.idempotency import Attempt
from crm_api.services.properties.fields import REQUEST_ID_PROPERTY
from crm_api.services.properties.values import load_schema


async def reserve_idempotency_property(
    hubspot: HubSpotClient, object_type: ObjectType, attempt: Attempt
) -> UniqueValue | None:
    """What the new record is to bear, so that a lost answer can be looked up; None in an account without our property.

    Raises `outcome_unknown` where an earlier try may have created the record and it cannot be looked up: there is no
    property now, or there was none then. Raises HubSpot's errors where the schema cannot be read.
    """
    found = (await load_schema(hubspot, object_type)).get(REQUEST_ID_PROPERTY)
    is_there = found is not None and found.has_unique_value and not found.archived
    if attempt.is_retry and not (is_there and attempt.request_id):
        raise ApiError("outcome_unknown")
    if is_there:
        return UniqueValue(REQUEST_ID_PROPERTY, attempt.request_id)
    if attempt.mark_untracked is not None:
        await attempt.mark_untracked()
    return None


async def find_created_record(
    hubspot: HubSpotClient, object_type: ObjectType, attempt: Attempt, *, read: Sequence[str]
) -> CrmRecord | None:
    """The record that an earlier try with this key has made.

    Looked for before anything is checked: what was valid then may not be now. Raises as `unique_value` does.
    """
    unique = await reserve_idempotency_property(hubspot, object_type, attempt) if attempt.is_retry else None
    if unique is None:
        return None
    try:
        return await hubspot.objects(object_type).get(
            unique.value, properties=read, id_property=unique.property
        )
    except HubSpotNotFoundError:
        return None
