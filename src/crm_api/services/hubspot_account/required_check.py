"""Check that callers can set the properties that the HubSpot account requires of new records."""

import asyncio
from typing import Literal

from crm_api.hubspot import HubSpotClient
from crm_api.services.properties.fields import OBJECT_TYPES, ObjectFields, RecordFields
from crm_api.services.properties.values import load_schema

Problem = tuple[Literal["warning", "failed"], str]


async def check_required(hubspot: HubSpotClient, fields: RecordFields) -> list[Problem]:
    """Return each required property that customers or all callers cannot set. Raises HubSpot's error.

    HubSpot does not list the properties that a conditional rule requires.
    """
    schemas = await asyncio.gather(
        *(hubspot.object_schemas.list(object_type, max_age_seconds=0) for object_type in OBJECT_TYPES)
    )
    problems: list[Problem] = []
    for object_type, schema in zip(OBJECT_TYPES, schemas, strict=True):
        names = schema.required_properties
        definitions = await load_schema(hubspot, object_type) if names else {}
        for name in dict.fromkeys(names):
            label = definitions[name].label if name in definitions else name
            problem = _problem(fields[object_type], name)
            if problem is not None:
                state, text = problem
                problems.append((state, f"{object_type}: {label} ({name}) is required, and {text}"))
    return problems


def _problem(fields: ObjectFields, name: str) -> Problem | None:
    field = fields.by_property.get(name)
    writers = field.writers if field is not None else frozenset()
    is_contact = fields.object_type == "contacts"
    # A registration always sets the e-mail address.
    if "customer" in writers or (is_contact and name == "email"):
        return None
    who = "only staff can set it" if writers else "no caller can set it"
    if is_contact:
        result = "every registration is refused"
    else:
        result = f"{'customers' if writers else 'callers'} cannot create {fields.object_type}"
    advice = "name it in HUBSPOT_PROPERTIES, also in writable_by_customer, or make it optional in HubSpot"
    return "warning" if writers and not is_contact else "failed", f"{who}: {result}; {advice}"
