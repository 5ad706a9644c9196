"""The properties that the caller may read and write, for front ends."""

import asyncio
from collections.abc import Mapping

from crm_api.hubspot import Property
from crm_api.hubspot.names import ObjectType
from crm_api.schemas.properties import RecordProperties, RecordProperty, RecordPropertyOption
from crm_api.services.properties.fields import (
    PROPERTY_TYPES,
    STAGE_FIELDS,
    Field,
    RecordFields,
    ValueType,
    value_type_of,
)
from crm_api.services.properties.pipelines import visible_pipelines
from crm_api.services.properties.values import load_schema
from crm_api.services.records.context import RecordContext


async def list_properties(context: RecordContext, object_type: ObjectType) -> RecordProperties:
    """What the caller may read of this type, with labels, types and options as the account has them.

    Costs nothing while schema and pipelines are known; else one call for each.
    """
    fields = context.fields[object_type]
    schema, pipelines = await asyncio.gather(
        load_schema(context.hubspot, object_type), _pipeline_options(context, object_type)
    )
    return RecordProperties(
        results=[_property(context, field, schema.get(field.wire_name), pipelines) for field in fields.fields]
    )


async def _pipeline_options(
    context: RecordContext, object_type: ObjectType
) -> Mapping[str, Mapping[str, str]]:
    """Labels by value of what the caller may choose for pipeline and stage, by field."""
    if object_type not in STAGE_FIELDS:
        return {}
    pipelines = await visible_pipelines(context.hubspot, object_type, context.stages)
    return {
        "pipeline": {pipeline.id: pipeline.label for pipeline in pipelines},
        STAGE_FIELDS[object_type]: {
            stage.id: stage.label
            for pipeline in pipelines
            for stage in pipeline.stages
            if context.stages.may_set(object_type, pipeline.id, stage.id)
        },
    }


def _property(
    context: RecordContext,
    field: Field,
    definition: Property | None,
    pipelines: Mapping[str, Mapping[str, str]],
) -> RecordProperty:
    value_type = value_type_of(definition) if definition is not None and field.nested else field.value_type
    read_only = definition is not None and definition.is_read_only
    return RecordProperty(
        name=field.name,
        label=definition.label if definition is not None else field.label,
        type=PROPERTY_TYPES[value_type],
        options=_options(context.fields, field, value_type, definition, pipelines),
        required=field.required,
        writable=context.user.role in field.writers and not read_only,
        filterable=field.filterable,
        nested=field.nested,
    )


def _options(
    fields: RecordFields,
    field: Field,
    value_type: ValueType,
    definition: Property | None,
    pipelines: Mapping[str, Mapping[str, str]],
) -> list[RecordPropertyOption]:
    if field.name in pipelines:
        return [
            RecordPropertyOption(value=each, label=label) for each, label in pipelines[field.name].items()
        ]
    if definition is None or value_type not in ("choice", "choices", "bool"):
        return []
    # Those without a number come last.
    shown = [option for option in definition.options if not option.hidden]
    shown.sort(key=lambda option: (option.display_order < 0, option.display_order))
    if field.name == "category":
        ours = {theirs: name for name, theirs in fields.categories.items()}
        # Requests take our closed list.
        return [
            RecordPropertyOption(value=ours[option.value], label=option.label)
            for option in shown
            if option.value in ours
        ]
    return [RecordPropertyOption(value=option.value, label=option.label) for option in shown]
