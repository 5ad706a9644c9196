"""Translation of request bodies to HubSpot properties."""

from datetime import datetime
from typing import Any

from pydantic import MISSING, BaseModel

from crm_api.errors import invalid_fields
from crm_api.schemas.problems import FieldProblem
from crm_api.services.properties.fields import Field, ObjectFields
from crm_api.services.properties.mapping import datetime_to_wire
from crm_api.services.records.context import RecordContext


def to_properties(context: RecordContext, fields: ObjectFields, body: BaseModel) -> dict[str, str]:
    """The properties that a body sets, as HubSpot takes them; "" clears one.

    https://github.com/HubSpot/hubspot-api-nodejs/issues/324: null would leave the old value.
    Raises a 400 that names what the caller's role may not write and what is not a property here.
    """
    problems: list[FieldProblem] = []
    found: dict[str, str] = {}
    for path, name, value in _sent(body):
        field = fields.by_name.get(name)
        problem = _problem(context, field, path)
        if problem is not None:
            problems.append(FieldProblem(field=path, message=problem))
        elif field is not None:
            found[field.wire_name] = _to_wire(context, field, value)
    if problems:
        raise invalid_fields(problems)
    return found


def _problem(context: RecordContext, field: Field | None, path: str) -> str | None:
    if field is None or field.path != path:
        return "is not a field of this request"
    if context.user.role not in field.writers:
        return "may not be changed by you"
    return None


def _sent(body: BaseModel) -> list[tuple[str, str, Any]]:
    """Path, name and value of everything that the body sets."""
    sent: list[tuple[str, str, Any]] = []
    for name in sorted(body.model_fields_set):
        value = getattr(body, name)
        if name == "properties" and value is not MISSING:
            sent += [(f"properties.{_printable(each)}", each, text) for each, text in value.items()]
        elif name != "contact_id" and value is not MISSING:
            sent.append((name, name, value))
    return sent


def _printable(name: str) -> str:
    # A name that the caller made up is echoed.
    return "".join(char for char in name if char.isprintable())[:100]


def _to_wire(context: RecordContext, field: Field, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return datetime_to_wire(value)
    if field.name == "category":
        return context.fields.categories[value]
    return str(value)
