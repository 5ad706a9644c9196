"""Checks that the HubSpot account has the properties that the service reads and writes."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from crm_api.hubspot import HubSpotClient, Property
from crm_api.hubspot.errors import HubSpotCredentialsError, HubSpotError
from crm_api.services.hubspot_account.setting_check import check_settings
from crm_api.services.properties.categories import missing_categories
from crm_api.services.properties.fields import (
    OBJECT_TYPES,
    PROPERTY_TYPES,
    ObjectFields,
    RecordFields,
    ValueType,
    value_type_of,
)
from crm_api.services.properties.pipelines import CustomerStages

logger = logging.getLogger(__name__)
MAX_LISTED_OPTIONS: Final = 10
# Types that a built-in field accepts because their values compare alike.
_COMPATIBLE: Final[Mapping[ValueType, frozenset[ValueType]]] = {
    "choice": frozenset({"choice", "choices", "text"}),
    "choices": frozenset({"choice", "choices"}),
}


async def check_schema(hubspot: HubSpotClient, fields: RecordFields) -> list[str]:
    """Return one line for each property of the HubSpot account that differs from what the service needs.

    Reads the property definitions without the cache. Raises HubSpot's error if a read fails.
    """
    schemas = await asyncio.gather(
        *(hubspot.properties.list(object_type, max_age_seconds=0) for object_type in OBJECT_TYPES)
    )
    problems: list[str] = []
    for object_type, schema in zip(OBJECT_TYPES, schemas, strict=True):
        problems += _schema_problems(fields[object_type], schema)
    return problems


async def check_categories(hubspot: HubSpotClient, fields: RecordFields) -> list[str]:
    """Return one line if ticket categories have no option in HubSpot. Raises HubSpot's error if the read fails."""
    category = (await hubspot.properties.list("tickets")).get("hs_ticket_category")
    if category is None:
        return []
    options = [option.value for option in category.options]
    missing = [
        f"{word} ({option})" for word, option in missing_categories(fields.categories, options).items()
    ]
    if not missing:
        return []
    present = ", ".join(options[:MAX_LISTED_OPTIONS]) or "none"
    problem = (
        f"tickets: hs_ticket_category has no option for {', '.join(missing)}, so these categories are rejected: "
        f"set HUBSPOT_TICKET_CATEGORIES to options of this account ({present}), or add the missing ones with "
        "crm-api hubspot provision"
    )
    return [problem]


def _schema_problems(fields: ObjectFields, schema: Mapping[str, Property]) -> list[str]:
    problems = []
    for field in fields.fields:
        subject = f"{fields.object_type}: {field.wire_name}"
        definition = schema.get(field.wire_name)
        if definition is None or definition.archived:
            problems.append(
                f"{subject} does not exist in this HubSpot account; the field is null in every record"
            )
            continue
        if definition.is_read_only and field.writers:
            problems.append(f"{subject} is calculated by HubSpot, which rejects writes to it")
        value_type = value_type_of(definition)
        if not field.nested and value_type not in _COMPATIBLE.get(
            field.value_type, frozenset({field.value_type})
        ):
            problems.append(f"{subject} is of type {definition.type}, not {PROPERTY_TYPES[field.value_type]}")
    return problems


async def watch_schema(
    hubspot: HubSpotClient,
    fields: RecordFields,
    stages: CustomerStages,
    *,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Try to check properties and settings until HubSpot responds, then log each difference."""
    wait_seconds = 1.0
    while True:
        try:
            problems = await check_schema(hubspot, fields) + await check_categories(hubspot, fields)
            setting_problems = await check_settings(hubspot, fields, stages)
        except HubSpotCredentialsError:
            logger.warning("these credentials may not read the properties; they are not checked")
            return
        except HubSpotError as error:
            logger.info("the properties are not checked yet: %s", type(error).__name__)
        else:
            for problem in problems:
                logger.warning("schema: %s", problem)
            for problem in setting_problems:
                logger.error("setting: %s", problem)
            return
        await sleep(wait_seconds)
        wait_seconds = min(60.0, wait_seconds * 2)
