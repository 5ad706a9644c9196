"""Values of properties: comparison, translation to HubSpot's format, and validation before a call is made."""

import re
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final

from crm_api.errors import ApiError, invalid_fields
from crm_api.hubspot import HubSpotClient, Property
from crm_api.hubspot.errors import HubSpotCredentialsError
from crm_api.hubspot.names import ObjectType
from crm_api.schemas.common import parse_rfc3339
from crm_api.schemas.problems import FieldProblem
from crm_api.services.properties.fields import Field, ObjectFields, ValueType, value_type_of
from crm_api.services.properties.mapping import EPOCH, datetime_to_wire, parse_datetime
from crm_api.services.properties.text import MAX_COMPARED_CHARACTERS, casefold_text

MAX_AGE_SECONDS: Final = 300.0
# If a value is invalid by the cached schema, the schema is read again unless it is younger than this.
MIN_REFRESH_SECONDS: Final = 1.0
# Operators grant scopes by hand.
RETRY_AFTER_SECONDS: Final = 60
_NUMBER: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)


def comparison_key(value_type: ValueType, value: str | None) -> Any:
    """Return what a value is compared by; None if it is empty or not a valid value of its type.

    Text ignores case, options do not. https://developers.hubspot.com/docs/api-reference/search/guide
    """
    if not value:
        return None
    if value_type == "text":
        return casefold_text(value[:MAX_COMPARED_CHARACTERS])
    if value_type == "number":
        return _number(value)
    if value_type in ("datetime", "date"):
        timestamp = parse_datetime(value)
        return timestamp.date() if timestamp and value_type == "date" else timestamp
    if value_type == "choices":
        return frozenset(_options(value))
    return value


def values_equal(value_type: ValueType, first: str | None, second: str | None) -> bool:
    """Return whether two texts mean one value: `1500` and `1500.00`, or one timestamp in two notations."""
    if (first or "") == (second or ""):
        return True
    if value_type == "text" or not first or not second:
        return False
    key = comparison_key(value_type, first)
    return key is not None and key == comparison_key(value_type, second)


def epoch_milliseconds(value: str) -> str:
    """Return a timestamp in the format of HubSpot's filters. Raises `ValueError` if it cannot be parsed."""
    timestamp = parse_datetime(value)
    if timestamp is None:
        raise ValueError("is not a date or time")
    return str((timestamp - EPOCH) // timedelta(milliseconds=1))


def to_wire(value_type: ValueType, value: str) -> str:
    """Return a value in HubSpot's format. Raises `ValueError` if it is not valid for its type."""
    if value_type == "number":
        number = _number(value)
        if number is None:
            raise ValueError("must be a number in digits")
        return format(number, "f")
    if value_type == "datetime":
        return datetime_to_wire(parse_rfc3339(value.strip()))
    if value_type == "date":
        return _date_to_wire(value.strip())
    if value_type == "bool" and value not in ("true", "false"):
        raise ValueError("must be true or false")
    if value_type == "choices":
        # HubSpot reads a leading `;` as "add to the current options", so it is removed.
        options = _options(value)
        if not options:
            raise ValueError("must name at least one option; null clears")
        return ";".join(options)
    return value


def _options(value: str) -> list[str]:
    return list(dict.fromkeys(option for option in value.split(";") if option))


def _date_to_wire(value: str) -> str:
    try:
        day = date.fromisoformat(value)
    except ValueError:
        day = None
    # Python also accepts 20261231 and 2026-W53-4.
    if day is None or day.isoformat() != value:
        raise ValueError("must be a date, such as 2026-12-31")
    return value


async def load_schema(
    hubspot: HubSpotClient, object_type: ObjectType, *, max_age_seconds: float = MAX_AGE_SECONDS
) -> dict[str, Property]:
    """Return the property definitions by name; empty if the credentials may not read them."""
    try:
        return await hubspot.properties.list(object_type, max_age_seconds=max_age_seconds)
    except HubSpotCredentialsError as error:
        if error.status_code != 403:
            raise
        return {}


async def load_schema_for(
    hubspot: HubSpotClient, fields: ObjectFields, names: Iterable[str]
) -> Mapping[str, Property]:
    """Return the property definitions, or nothing if no name is an operator's property.

    The types of the built-in properties are known without a call. Raises 503 if the credentials may not read the
    definitions: without its type a value would be compared and written as text.
    """
    nested = {field.name for field in fields.nested}
    if nested.isdisjoint(names):
        return {}
    schema = await load_schema(hubspot, fields.object_type)
    if not schema:
        raise _unknown_types(fields.object_type)
    return schema


def _unknown_types(object_type: ObjectType) -> ApiError:
    detail = (
        "The service may not read the types of the HubSpot account's properties; the operator has to grant the scope "
        f"crm.schemas.{object_type}.read."
    )
    return ApiError("service_unavailable", detail, retry_after=RETRY_AFTER_SECONDS)


async def require_valid(
    hubspot: HubSpotClient, fields: ObjectFields, values: Mapping[str, str]
) -> dict[str, str]:
    """Return the values in HubSpot's format, by HubSpot's property names.

    Raises a 400 that names every invalid field, 503 if the types of operators' properties are not readable. If a value
    is invalid by the cached schema, read the schema again.
    """
    if not values:
        return {}
    schema = await load_schema(hubspot, fields.object_type)
    if schema and _problems(fields, values, schema):
        schema = await load_schema(hubspot, fields.object_type, max_age_seconds=MIN_REFRESH_SECONDS)
    if not schema:
        if any(fields.by_property[name].nested for name in values):
            raise _unknown_types(fields.object_type)
        return dict(values)
    problems = _problems(fields, values, schema)
    if problems:
        raise invalid_fields(problems)
    return {
        name: to_wire(value_type_of(schema[name]), value)
        if value and fields.by_property[name].nested
        else value
        for name, value in values.items()
    }


def _problems(
    fields: ObjectFields, values: Mapping[str, str], schema: Mapping[str, Property]
) -> list[FieldProblem]:
    problems = []
    for name, value in values.items():
        field = fields.by_property[name]
        message = _problem(field, value, schema.get(name))
        if message is not None:
            problems.append(FieldProblem(field=field.path, message=message))
    return problems


def _problem(field: Field, value: str, definition: Property | None) -> str | None:
    if definition is None or definition.archived:
        return "is not a property of this account"
    if definition.is_read_only:
        return "is calculated by HubSpot and cannot be set"
    # Pipelines and stages are checked together, in `choose_stage`.
    if not value or field.name in ("pipeline", "dealstage", "hs_pipeline_stage"):
        return None
    value_type = value_type_of(definition)
    try:
        # Values of built-in properties are already in HubSpot's format.
        wire_value = to_wire(value_type, value) if field.nested else value
    except ValueError as error:
        return str(error)
    # HubSpot does not list the options of some properties, such as owners.
    if value_type not in ("choice", "choices") or not definition.options:
        return None
    chosen = wire_value.split(";") if value_type == "choices" else [wire_value]
    if {option.value for option in definition.options}.issuperset(chosen):
        return None
    return "is not one of the account's options; GET /api/properties lists them"


def _number(value: str) -> Decimal | None:
    # Decimal() also accepts 1_000, NaN, and the digits of other scripts.
    return Decimal(value) if _NUMBER.fullmatch(value.strip()) else None
