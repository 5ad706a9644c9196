"""Reads of association IDs."""

from crm_api.errors import ApiError
from crm_api.hubspot import CrmRecord, HubSpotClient
from crm_api.hubspot.names import ObjectType


async def linked_ids(
    hubspot: HubSpotClient, object_type: ObjectType, record: CrmRecord, to_type: ObjectType
) -> list[str]:
    """All records of a type that this one was read with, the rest read where they did not fit.

    Raises 502 where they could not all be read.
    """
    linked = record.associated(to_type)
    if linked.after is None:
        return linked.ids
    result = await hubspot.associations.batch_read(object_type, to_type, [record.id])
    if result.failed:
        raise ApiError("hubspot_error")
    return result.targets[record.id]
