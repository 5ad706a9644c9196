"""Properties that the caller may read and write, for the forms of front ends."""

import asyncio
from collections.abc import Collection, Mapping

from crm_api.hubspot import Property
from crm_api.hubspot.errors import HubSpotCredentialsError
from crm_api.hubspot.names import ObjectType
from crm_api.schemas.properties import RecordProperties, RecordProperty, RecordPropertyOption
from crm_api.services.properties.fields import (
    PROPERTY_TYPES,
    STAGE_FIELDS,
    Field,
    ValueType,
    value_type_of,
)
from crm_api.services.properties.form_fields import form_field
from crm_api.services.properties.pipelines import visible_pipelines
from crm_api.services.properties.values import load_schema
from crm_api.services.records.context import RecordContext


async def list_properties(context: RecordContext, object_type: ObjectType) -> RecordProperties:
    """Return the readable properties of this type, with the labels, types and options of the HubSpot account.

    Costs one call each for definitions, object schema and pipelines, unless they are cached.
    """
    fields = context.fields[object_type]
    schema, pipelines, required = await asyncio.gather(
        load_schema(context.hubspot, object_type),
        _pipeline_options(context, object_type),
        _required_properties(context, object_type),
    )
    return RecordProperties(
        results=[
            _property(
                context,
                field,
                schema.get(field.wire_name),
                pipelines,
                is_required=field.required or field.wire_name in required,
            )
            for field in fields.fields
        ]
    )


async def _required_properties(context: RecordContext, object_type: ObjectType) -> Collection[str]:
    """Return the properties that the HubSpot account requires of new records; none if they cannot be read."""
    try:
        return (await context.hubspot.object_schemas.list(object_type)).required_properties
    except HubSpotCredentialsError:
        return ()


async def list_registration_properties(context: RecordContext) -> RecordProperties:
    """Return the contact properties that a registration may set, for callers without a login."""
    listed = await list_properties(context, "contacts")
    return RecordProperties(results=[item for item in listed.results if item.writable])


async def _pipeline_options(
    context: RecordContext, object_type: ObjectType
) -> Mapping[str, list[RecordPropertyOption]]:
    """Return the pipelines and stages that the caller may choose, by field."""
    if object_type not in STAGE_FIELDS:
        return {}
    pipelines = await visible_pipelines(context.hubspot, object_type, context.stages)
    return {
        "pipeline": [
            RecordPropertyOption(value=pipeline.id, label=pipeline.label, pipeline=None)
            for pipeline in pipelines
        ],
        STAGE_FIELDS[object_type]: [
            RecordPropertyOption(value=stage.id, label=stage.label, pipeline=pipeline.id)
            for pipeline in pipelines
            for stage in pipeline.stages
            if context.stages.may_set(object_type, pipeline.id, stage.id)
        ],
    }


def _property(
    context: RecordContext,
    field: Field,
    definition: Property | None,
    pipelines: Mapping[str, list[RecordPropertyOption]],
    *,
    is_required: bool,
) -> RecordProperty:
    value_type = value_type_of(definition) if definition is not None and field.nested else field.value_type
    read_only = definition is not None and definition.is_read_only
    return RecordProperty(
        name=field.name,
        label=definition.label if definition is not None else field.label,
        type=PROPERTY_TYPES[value_type],
        field_type=form_field(field, value_type, definition),
        multiple=value_type == "choices",
        options=_options(field, value_type, definition, pipelines),
        required=is_required,
        writable=context.user.role in field.writers and not read_only,
        filterable=field.filterable,
        nested=field.nested,
    )


def _options(
    field: Field,
    value_type: ValueType,
    definition: Property | None,
    pipelines: Mapping[str, list[RecordPropertyOption]],
) -> list[RecordPropertyOption]:
    if field.name in pipelines:
        return pipelines[field.name]
    if definition is None or definition.is_owner or value_type not in ("choice", "choices", "bool"):
        return []
    options = [option for option in definition.options if not option.hidden]
    # HubSpot's -1 means that an option has no position, so such options come last.
    options.sort(key=lambda option: (option.display_order < 0, option.display_order))
    words = {option: word for word, option in field.words.items()}
    return [
        RecordPropertyOption(value=words.get(option.value, option.value), label=option.label, pipeline=None)
        for option in options
    ]
