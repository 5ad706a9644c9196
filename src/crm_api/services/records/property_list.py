"""The properties that callers read and write: listed for front ends, and checked against the account."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from crm_api.hubspot import HubSpotClient, Property
from crm_api.hubspot.errors import HubSpotCredentialsError, HubSpotError
from crm_api.hubspot.names import ObjectType
from crm_api.schemas.properties import RecordProperties, RecordProperty, RecordPropertyOption
from crm_api.services.properties.fields import (
    OBJECT_TYPES,
    STAGE_FIELDS,
    Field,
    Kind,
    ObjectFields,
    RecordFields,
    kind_of,
)
from crm_api.services.properties.pipelines import visible_pipelines
from crm_api.services.properties.values import schema_of
from crm_api.services.records.access import Access

logger = logging.getLogger(__name__)

_TYPES: Final = {
    "text": "string",
    "number": "number",
    "moment": "datetime",
    "date": "date",
    "bool": "bool",
    "choice": "enumeration",
    "choices": "enumeration",
}
# Each compares its values in the same way.
_ALIKE: Final[Mapping[Kind, frozenset[Kind]]] = {
    "choice": frozenset({"choice", "choices", "text"}),
    "choices": frozenset({"choice", "choices"}),
}


async def list_properties(access: Access, object_type: ObjectType) -> RecordProperties:
    """What the caller may read of this type, with labels, types and options as the account has them.

    Costs nothing while schema and pipelines are known; else one call for each.
    """
    fields = access.fields[object_type]
    schema, pipelines = await asyncio.gather(
        schema_of(access.hubspot, object_type), _pipeline_options(access, object_type)
    )
    return RecordProperties(
        results=[_property(access, field, schema.get(field.wire_name), pipelines) for field in fields.fields]
    )


async def _pipeline_options(access: Access, object_type: ObjectType) -> Mapping[str, Mapping[str, str]]:
    """Labels by value of what the caller may choose for pipeline and stage, by field."""
    if object_type not in STAGE_FIELDS:
        return {}
    pipelines = await visible_pipelines(access.hubspot, object_type, access.stages)
    return {
        "pipeline": {pipeline.id: pipeline.label for pipeline in pipelines},
        STAGE_FIELDS[object_type]: {
            stage.id: stage.label
            for pipeline in pipelines
            for stage in pipeline.stages
            if access.stages.allows(object_type, pipeline.id, stage.id)
        },
    }


def _property(
    access: Access, field: Field, definition: Property | None, pipelines: Mapping[str, Mapping[str, str]]
) -> RecordProperty:
    kind = kind_of(definition) if definition is not None and field.nested else field.kind
    read_only = definition is not None and definition.is_read_only
    return RecordProperty(
        name=field.name,
        label=definition.label if definition is not None else field.label,
        type=_TYPES[kind],
        options=_options(access.fields, field, kind, definition, pipelines),
        required=field.required,
        writable=access.user.role in field.writers and not read_only,
        filterable=field.filterable,
        nested=field.nested,
    )


def _options(
    fields: RecordFields,
    field: Field,
    kind: Kind,
    definition: Property | None,
    pipelines: Mapping[str, Mapping[str, str]],
) -> list[RecordPropertyOption]:
    if field.name in pipelines:
        return [
            RecordPropertyOption(value=each, label=label) for each, label in pipelines[field.name].items()
        ]
    if definition is None or kind not in ("choice", "choices", "bool"):
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


async def check_schema(hubspot: HubSpotClient, fields: RecordFields) -> list[str]:
    """What of the properties that we read and write the account does not have so; a line each, empty where all is well.

    Reads the schema afresh. Raises HubSpot's errors.
    """
    schemas = await asyncio.gather(
        *(hubspot.properties.list(each, max_age_seconds=0) for each in OBJECT_TYPES)
    )
    problems: list[str] = []
    for object_type, schema in zip(OBJECT_TYPES, schemas, strict=True):
        problems += _schema_problems(fields[object_type], schema)
    category = schemas[OBJECT_TYPES.index("tickets")].get("hs_ticket_category")
    if category is not None:
        present = {option.value for option in category.options}
        problems += [
            f"tickets: hs_ticket_category has no option {theirs}, so category {ours} is refused; "
            "crm-api hubspot provision adds it"
            for ours, theirs in fields.categories.items()
            if theirs not in present
        ]
    return problems


def _schema_problems(fields: ObjectFields, schema: Mapping[str, Property]) -> list[str]:
    problems = []
    for field in fields.fields:
        where = f"{fields.object_type}: {field.wire_name}"
        definition = schema.get(field.wire_name)
        if definition is None or definition.archived:
            problems.append(f"{where} is not a property of this account; it reads as null")
            continue
        if definition.is_read_only and field.writers:
            problems.append(f"{where} is calculated by HubSpot; writing it is refused")
        kind = kind_of(definition)
        if not field.nested and kind not in _ALIKE.get(field.kind, frozenset({field.kind})):
            problems.append(f"{where} is of type {definition.type}, not {_TYPES[field.kind]}")
    return problems


async def watch_schema(
    hubspot: HubSpotClient,
    fields: RecordFields,
    *,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Check the schema once HubSpot answers, and warn of what is not as it should be; ends then."""
    wait_seconds = 1.0
    while True:
        try:
            problems = await check_schema(hubspot, fields)
        except HubSpotCredentialsError:
            logger.warning("the properties cannot be read with these credentials; they are not checked")
            return
        except HubSpotError as error:
            logger.info("the properties are not checked yet: %s", type(error).__name__)
        else:
            for problem in problems:
                logger.warning("schema: %s", problem)
            return
        await sleep(wait_seconds)
        wait_seconds = min(60.0, wait_seconds * 2)
