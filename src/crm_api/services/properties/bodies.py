"""Translation of request bodies to HubSpot properties."""

from datetime import datetime
from typing import Any

from pydantic import MISSING, BaseModel

from crm_api.errors import invalid_fields
from crm_api.schemas.problems import FieldProblem
from crm_api.services.properties.fields import ObjectFields
from crm_api.services.properties.mapping import datetime_to_wire


def body_to_properties(body: BaseModel, fields: ObjectFields, *, role: str) -> dict[str, str]:
    """Return the HubSpot properties that a request body sets; "" clears a property, null would not.

    https://github.com/HubSpot/hubspot-api-nodejs/issues/324
    Raises 400 with the names that are unknown or that this role may not change.
    """
    problems: list[FieldProblem] = []
    properties: dict[str, str] = {}
    for path, name, value in _given_values(body):
        field = fields.by_name.get(name)
        if field is None or field.path != path:
            problems.append(FieldProblem(field=path, message="is not a field of this request"))
        elif role not in field.writers:
            problems.append(FieldProblem(field=path, message="may not be changed by you"))
        else:
            properties[field.wire_name] = _to_wire(value)
    if problems:
        raise invalid_fields(problems)
    return properties


def _given_values(body: BaseModel) -> list[tuple[str, str, Any]]:
    """Return the path, name and value of each field in the body. `contact_id` is an association, not a property."""
    values: list[tuple[str, str, Any]] = []
    for name in sorted(body.model_fields_set):
        value = getattr(body, name)
        if name == "properties" and value is not MISSING:
            values += [(f"properties.{_printable(key)}", key, text) for key, text in value.items()]
        elif name != "contact_id" and value is not MISSING:
            values.append((name, name, value))
    return values


def _printable(name: str) -> str:
    # The response repeats this name, which the caller may have chosen freely.
    return "".join(char for char in name[:1000] if char.isprintable())[:100]


def _to_wire(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return datetime_to_wire(value)
    return str(value)
