"""Updates and archiving of records. Only changed values are sent to HubSpot."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager

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
from crm_api.services.properties.bodies import body_to_properties
from crm_api.services.properties.fields import STAGE_FIELDS, ObjectFields, with_value_type
from crm_api.services.properties.mapping import Model
from crm_api.services.properties.pipelines import choose_stage
from crm_api.services.properties.refusals import refused_write
from crm_api.services.properties.values import check_values, load_schema_for, values_equal
from crm_api.services.records.access import visible_record
from crm_api.services.records.associations import inline_id_fields
from crm_api.services.records.context import RecordContext
from crm_api.services.records.etags import etag_of, require_match
from crm_api.services.records.leases import record_lease
from crm_api.services.records.recent_writes import note_write


async def update_record(
    context: RecordContext, model: type[Model], record_id: str, changes: BaseModel, *, if_match: str | None
) -> tuple[Model, str]:
    """Update a record and return it with its ETag. Omitted fields are unchanged; null clears a field.

    Costs two calls, or one if no value differs; more if a customer's ticket is associated only with a deal, and for
    definitions that are not cached. Raises 404 if the caller cannot see the record, 412 if `if_match` does not match,
    409 `contact_exists` if another contact has the e-mail address, 400 with the invalid fields.
    """
    fields = context.fields[model.OBJECT_TYPE]
    properties = body_to_properties(changes, fields, role=context.user.role)
    checked = await check_values(context.hubspot, fields, properties)
    properties = checked.values
    schema = await load_schema_for(context.hubspot, fields, properties)
    async with _leased_record(context, model.OBJECT_TYPE, record_id, if_match=if_match) as record:
        # A record may hold an option that was deleted since, and clients send back what they read.
        checked.require_valid(record.properties)
        await _require_stage(context, fields, record, properties)
        changed = {
            name: value
            for name, value in properties.items()
            if not values_equal(
                with_value_type(fields.by_property[name], schema).value_type, record.get(name), value
            )
        }
        if changed:
            try:
                async with context.writing(_contact_ids(model.OBJECT_TYPE, record)):
                    updated = await _send(context, fields, record.id, changed)
            except HubSpotError as error:
                if error.may_have_acted:
                    await _audit_change(context, fields, record.id, changed)
                raise
            await _audit_change(context, fields, record.id, changed)
            # HubSpot's response contains only the changed properties and some that HubSpot sets.
            properties_now = {**record.properties, **changed, **updated.properties}
            record = record.model_copy(
                update={"properties": properties_now, "updated_at": updated.updated_at}
            )
        else:
            # The response shows the current record, so the next one must not show a cached former state.
            await context.versions.increment(context.user)
    id_fields = inline_id_fields(context, model.OBJECT_TYPE, record)
    return context.to_model(model, record, **id_fields), etag_of(record, fields)


async def archive_record(
    context: RecordContext, object_type: ObjectType, record_id: str, *, if_match: str | None
) -> None:
    """Move a record to HubSpot's recycle bin, where it stays for 90 days. Costs two calls.

    Raises 404 if the caller cannot see the record, 412 if `if_match` does not match.
    https://developers.hubspot.com/docs/api-reference/crm-deals-v3/guide
    """
    async with (
        _leased_record(context, object_type, record_id, if_match=if_match) as record,
        context.writing(_contact_ids(object_type, record)),
    ):
        await context.hubspot.objects(object_type).archive(record.id)
    await audit.record_write(
        context.session_factory,
        "record_archived",
        context.user,
        f"{object_type} {record.id}",
        origin=context.origin,
    )


def _contact_ids(object_type: ObjectType, record: CrmRecord) -> list[str]:
    """Return the contact, or the contacts of a deal or ticket that `visible_record` has returned for staff."""
    return [record.id] if object_type == "contacts" else record.associated("contacts").ids


async def _audit_change(
    context: RecordContext, fields: ObjectFields, record_id: str, changed: Mapping[str, str]
) -> None:
    """Add an audit entry for a change by staff."""
    if context.is_staff:
        await audit.record_write(
            context.session_factory,
            "record_changed",
            context.user,
            f"{fields.object_type} {record_id}",
            origin=context.origin,
            fields=sorted(fields.paths[name] for name in changed),
        )


@asynccontextmanager
async def _leased_record(
    context: RecordContext, object_type: ObjectType, record_id: str, *, if_match: str | None
) -> AsyncGenerator[CrmRecord, None]:
    """Hold a record's lease, yield it, note the write. Raises 404 if the caller cannot see it, 412 if it changed."""
    async with record_lease(
        context.session_factory, object_type, record_id, lease_seconds=context.lease_seconds
    ):
        record = await visible_record(context, object_type, record_id)
        if record.id == record_id:
            try:
                require_match(if_match, record, context.fields[object_type])
            except ApiError:
                # After a 412, clients read the record again, and that must not return the cached ETag.
                await context.versions.increment(context.user)
                raise
            try:
                yield record
            except HubSpotError as error:
                if error.may_have_acted:
                    await note_write(context.session_factory, context.user, object_type, record_id)
                raise
            await note_write(context.session_factory, context.user, object_type, record_id)
            return
    # A merged record has several IDs, but one lease.
    async with _leased_record(context, object_type, record.id, if_match=if_match) as merged:
        yield merged


async def _send(
    context: RecordContext, fields: ObjectFields, record_id: str, changed: Mapping[str, str]
) -> CrmRecord:
    try:
        return await context.hubspot.objects(fields.object_type).update(record_id, changed)
    except HubSpotNotFoundError:
        raise ApiError("not_found") from None
    except HubSpotValidationError as error:
        settable = fields.writable(context.user.role)
        raise await refused_write(context.hubspot, error, fields, settable) from error
    except HubSpotConflictError:
        if fields.object_type != "contacts":
            raise
        raise ApiError("contact_exists") from None


async def _require_stage(
    context: RecordContext, fields: ObjectFields, record: CrmRecord, properties: Mapping[str, str]
) -> None:
    """Raise 400 if the update would put the record into a stage that its pipeline does not have."""
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
    await choose_stage(context.hubspot, fields.object_type, context.stages, pipeline=pipeline, stage=stage)
