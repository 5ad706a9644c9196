"""Exactly-once creation: find the record of an earlier attempt by the idempotency property, or create the record."""

from collections.abc import Awaitable, Callable, Sequence

from pydantic import BaseModel

from crm_api.errors import ApiError
from crm_api.hubspot import CrmRecord, HubSpotClient, NewAssociation, UniqueValue
from crm_api.hubspot.errors import HubSpotNotFoundError, HubSpotValidationError
from crm_api.hubspot.names import ObjectType
from crm_api.services import audit
from crm_api.services.idempotency import Attempt
from crm_api.services.properties.bodies import body_to_properties
from crm_api.services.properties.fields import REQUEST_ID_PROPERTY, STAGE_FIELDS, ObjectFields
from crm_api.services.properties.pipelines import choose_stage
from crm_api.services.properties.refusals import refused_write
from crm_api.services.properties.values import load_schema, require_valid
from crm_api.services.records.associations import ASSOCIATED_TYPES
from crm_api.services.records.context import RecordContext
from crm_api.services.records.recent_writes import note_write

Associate = Callable[[HubSpotValidationError | None], Awaitable[list[NewAssociation]]]
"""Returns the associations of a new record. Called again with the error if HubSpot does not know one of the records."""


async def create_record(
    context: RecordContext,
    object_type: ObjectType,
    body: BaseModel,
    attempt: Attempt,
    *,
    associate: Associate | None = None,
    unique: UniqueValue | None = None,
) -> CrmRecord:
    """Create a record with the properties of this request body, or return the record of an earlier attempt.

    The record contains its associations.
    Raises 400 for an unknown pipeline, stage or value, and what `associate` raises.
    """
    fields = context.fields[object_type]
    if unique is None:
        # Look up the record before validating: input that was valid on the first attempt may be invalid now.
        created = await find_created_record(context.hubspot, object_type, attempt, read=fields.properties)
        if created is not None:
            # The earlier attempt may have ended between its write and its second increment.
            await context.versions.increment(context.user)
            if not context.sees(object_type, created):
                raise ApiError("not_found")
            return created
    properties = body_to_properties(body, fields, role=context.user.role)
    # A read that gets its quota too late for the create would use it in vain.
    with context.hubspot.before_create():
        associations = [] if associate is None else await associate(None)
        pipeline = await _chosen_pipeline(context, fields, properties)
        properties = await require_valid(context.hubspot, fields, properties) | pipeline
    record = None
    while record is None:
        contact_ids = [association.to_id for association in associations if association.to_type == "contacts"]
        reserved = unique or await reserve_idempotency_property(context.hubspot, object_type, attempt)
        try:
            async with context.writing(contact_ids):
                record = await context.hubspot.objects(object_type).create(
                    {name: value for name, value in properties.items() if value},
                    associations=associations,
                    unique=reserved,
                    is_retry=attempt.is_retry,
                    lookup_properties=fields.properties,
                )
        except HubSpotValidationError as error:
            if associate is None or not error.names_unknown_association:
                settable = fields.writable(context.user.role)
                raise await refused_write(context.hubspot, error, fields, settable) from error
            associations = await associate(error)
    await note_write(context.session_factory, context.user, object_type, record.id)
    if context.is_staff:
        await audit.record_write(
            context.session_factory,
            "record_created",
            context.user,
            f"{object_type} {record.id}",
            origin=context.origin,
            fields=sorted(fields.paths[name] for name, value in properties.items() if value),
        )
    # HubSpot's response does not contain them.
    return record.with_associations(associations)


async def _chosen_pipeline(
    context: RecordContext, fields: ObjectFields, properties: dict[str, str]
) -> dict[str, str]:
    """Return pipeline and stage of a new record; {} for contacts. Raises 400 for an unknown pipeline or stage."""
    stage_field = STAGE_FIELDS.get(fields.object_type)
    if stage_field is None:
        return {}
    name = fields.by_name["pipeline"].wire_name
    pipeline, stage = await choose_stage(
        context.hubspot,
        fields.object_type,
        context.stages,
        pipeline=properties.get(name),
        stage=properties.get(stage_field),
    )
    return {name: pipeline, stage_field: stage}


async def reserve_idempotency_property(
    hubspot: HubSpotClient, object_type: ObjectType, attempt: Attempt
) -> UniqueValue | None:
    """Return the idempotency property for the new record, or None if the HubSpot account is not provisioned.

    Raises `outcome_unknown` if an earlier attempt may have created the record without the property, or if the property
    is missing now. Raises HubSpot's errors if the schema cannot be read.
    """
    definition = (await load_schema(hubspot, object_type)).get(REQUEST_ID_PROPERTY)
    is_provisioned = definition is not None and definition.has_unique_value and not definition.archived
    if attempt.is_retry and not (is_provisioned and attempt.request_id):
        raise ApiError("outcome_unknown")
    if is_provisioned:
        return UniqueValue(REQUEST_ID_PROPERTY, attempt.request_id)
    await attempt.mark_untracked()
    return None


async def find_created_record(
    hubspot: HubSpotClient, object_type: ObjectType, attempt: Attempt, *, read: Sequence[str]
) -> CrmRecord | None:
    """Return the record of an earlier attempt, or None. Raises `outcome_unknown` if it cannot be looked up."""
    if not attempt.is_retry:
        return None
    unique = await reserve_idempotency_property(hubspot, object_type, attempt)
    if unique is None:
        return None
    try:
        return await hubspot.objects(object_type).get(
            unique.value,
            properties=read,
            id_property=unique.property,
            associations=ASSOCIATED_TYPES[object_type],
        )
    except HubSpotNotFoundError:
        return None
