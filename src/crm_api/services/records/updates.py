"""Changing and archiving records: read afresh, checked, and only what differs is sent."""

from collections.abc import Awaitable, Callable, Mapping

from pydantic import BaseModel

from crm_api.errors import ApiError, invalid
from crm_api.hubspot import CrmRecord
from crm_api.hubspot.errors import (
    HubSpotConflictError,
    HubSpotError,
    HubSpotNotFoundError,
    HubSpotValidationError,
)
from crm_api.hubspot.names import ObjectType
from crm_api.services import audit
from crm_api.services.properties.fields import STAGE_FIELDS, ObjectFields, with_value_type
from crm_api.services.properties.mapping import write_error
from crm_api.services.properties.pipelines import choose_stage
from crm_api.services.properties.values import load_schema_for, require_valid, values_equal
from crm_api.services.records.access import visible_record
from crm_api.services.records.bodies import to_properties
from crm_api.services.records.context import RecordContext
from crm_api.services.records.etags import require_match
from crm_api.services.records.leases import record_lease
from crm_api.services.records.recent_writes import remember


async def change_record(
    context: RecordContext,
    object_type: ObjectType,
    record_id: str,
    changes: BaseModel,
    *,
    if_match: str | None,
) -> CrmRecord:
    """The record after the change. Absent is unchanged, null clears; what is equal already is not sent.

    Costs two calls, one where nothing differs. Raises 404, a 400 that names the fields, 412, 409 `contact_exists`.
    """
    fields = context.fields[object_type]
    properties = to_properties(context, fields, changes)
    properties = await require_valid(context.hubspot, fields, properties)
    schema = await load_schema_for(context.hubspot, fields, properties)

    async def change(record: CrmRecord) -> CrmRecord:
        await _require_stage(context, fields, record, properties)
        changed = {
            name: value
            for name, value in properties.items()
            if not values_equal(
                with_value_type(fields.by_property[name], schema).value_type, record.get(name), value
            )
        }
        if not changed:
            return record
        updated = await _send(context, fields, record.id, changed)
        # The answer holds only what changed and some of HubSpot's own.
        return record.model_copy(
            update={
                "properties": {**record.properties, **changed, **updated.properties},
                "updated_at": updated.updated_at,
            }
        )

    return await _write(context, object_type, record_id, change, if_match=if_match)


async def archive_record(
    context: RecordContext, object_type: ObjectType, record_id: str, *, if_match: str | None
) -> None:
    """Move the record to HubSpot's recycle bin, where it stays for 90 days. Costs two calls; raises 404, 412.

    https://developers.hubspot.com/docs/api-reference/crm-deals-v3/guide
    """

    async def archive(record: CrmRecord) -> CrmRecord:
        await context.hubspot.objects(object_type).archive(record.id)
        return record

    record = await _write(context, object_type, record_id, archive, if_match=if_match)
    if object_type == "deals":
        context.deal_ownership.invalidate(record.id)
    async with context.session_factory.begin() as database:
        detail = f"{object_type} {record.id}"
        audit.record(database, "record_archived", context.user.id, origin=context.origin, detail=detail)


async def _write(
    context: RecordContext,
    object_type: ObjectType,
    record_id: str,
    write: Callable[[CrmRecord], Awaitable[CrmRecord]],
    *,
    if_match: str | None,
) -> CrmRecord:
    async with record_lease(
        context.session_factory, object_type, record_id, lease_seconds=context.lease_seconds
    ):
        record = await visible_record(context, object_type, record_id)
        if record.id == record_id:
            require_match(if_match, record, context.fields[object_type])
            return await _written(context, object_type, record, write)
    # A record that was merged has several ids, and one lease.
    return await _write(context, object_type, record.id, write, if_match=if_match)


async def _written(
    context: RecordContext,
    object_type: ObjectType,
    record: CrmRecord,
    write: Callable[[CrmRecord], Awaitable[CrmRecord]],
) -> CrmRecord:
    try:
        written = await write(record)
    except HubSpotError as error:
        if error.may_have_acted:
            await remember(context, object_type, record.id)
        raise
    await remember(context, object_type, written.id)
    return written


async def _send(
    context: RecordContext, fields: ObjectFields, record_id: str, changed: Mapping[str, str]
) -> CrmRecord:
    try:
        return await context.hubspot.objects(fields.object_type).update(record_id, changed)
    except HubSpotNotFoundError:
        raise ApiError("not_found") from None
    except HubSpotValidationError as error:
        raise write_error(error, fields, context.user.role) from error
    except HubSpotConflictError:
        if fields.object_type != "contacts":
            raise
        raise ApiError("contact_exists") from None


async def _require_stage(
    context: RecordContext, fields: ObjectFields, record: CrmRecord, properties: Mapping[str, str]
) -> None:
    """Raise a 400 that names pipeline or stage where the record would be in a stage that its pipeline has not."""
    stage_field = STAGE_FIELDS.get(fields.object_type)
    if stage_field is None:
        return
    pipeline_property = fields.by_name["pipeline"].wire_name
    before = record.get(pipeline_property), record.get(stage_field)
    pipeline, stage = properties.get(pipeline_property, before[0]), properties.get(stage_field, before[1])
    if (pipeline, stage) == before:
        return
    if stage is None:
        raise invalid(stage_field, "is required with a pipeline")
    await choose_stage(
        context.hubspot,
        fields.object_type,
        pipeline=pipeline,
        stage=stage,
        stage_field=stage_field,
        stages=context.stages,
    )
