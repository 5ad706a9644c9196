"""Values of properties: comparison, translation to HubSpot's format, and validation before a call is made."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, timedelta, tzinfo
from decimal import Decimal
from typing import Any, Final

from crm_api.errors import ApiError, invalid_fields
from crm_api.hubspot import HubSpotClient, Property
from crm_api.hubspot.errors import HubSpotCredentialsError, HubSpotGrantError
from crm_api.hubspot.names import ObjectType
from crm_api.schemas.common import parse_rfc3339
from crm_api.schemas.problems import FieldProblem
from crm_api.services.properties.categories import words_to_wire
from crm_api.services.properties.days import day_bounds, is_day
from crm_api.services.properties.fields import (
    STAGE_FIELDS,
    Field,
    ObjectFields,
    ValueType,
    value_type_of,
    with_value_type,
)
from crm_api.services.properties.mapping import EPOCH, datetime_to_wire, parse_datetime
from crm_api.services.properties.text import MAX_COMPARED_CHARACTERS, casefold_text

MAX_AGE_SECONDS: Final = 300.0
# If a value is invalid by the cached schema, the schema is read again unless it is younger than this.
MIN_REFRESH_SECONDS: Final = 1.0
# A scope stays missing until an operator grants it, so a retry after a few seconds would fail too.
RETRY_AFTER_SECONDS: Final = 60
_NUMBER: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)


def comparison_key(value_type: ValueType, value: str | None) -> Any:
    """Return the key by which a value is compared; None if it is empty or not a valid value of its type.

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
            raise ValueError("must name at least one option; null clears the field")
        return ";".join(options)
    return value


def _options(value: str) -> list[str]:
    return list(dict.fromkeys(option for option in value.split(";") if option))


def _date_to_wire(value: str) -> str:
    try:
        day = date.fromisoformat(value)
    except Exception:  # noqa: BLE001 - the errors of the parser differ between versions of Python
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
        if error.status_code == 401 or isinstance(error, HubSpotGrantError):
            raise
        return {}


async def load_schema_for(
    hubspot: HubSpotClient, fields: ObjectFields, names: Iterable[str]
) -> Mapping[str, Property]:
    """Return the property definitions, or nothing if no field needs them.

    The types of the built-in properties are known without a call. Raises 503 if the credentials may not read the
    definitions: without its type a value would be compared and written as text.
    """
    needed = {field.name for field in fields.fields if field.nested or field.words}
    if needed.isdisjoint(names):
        return {}
    schema = await load_schema(hubspot, fields.object_type)
    if not schema and any(field.nested and field.name in names for field in fields.fields):
        raise _unknown_types(fields.object_type)
    return schema


def _unknown_types(object_type: ObjectType) -> ApiError:
    detail = (
        "The service may not read the types of the HubSpot account's properties; the operator has to grant the scope "
        f"crm.schemas.{object_type}.read."
    )
    return ApiError("service_unavailable", detail, retry_after=RETRY_AFTER_SECONDS)


@dataclass(frozen=True)
class CheckedValues:
    """Values in HubSpot's format and the problems that they have by the HubSpot account's schema.

    Both are by the names of HubSpot's properties.
    """

    values: dict[str, str] = field(repr=False)
    problems: dict[str, FieldProblem]

    def require_valid(self, current: Mapping[str, str | None] | None = None) -> None:
        """Raise a 400 that names every invalid field. A value that the record has now is valid."""
        problems = [
            problem
            for name, problem in self.problems.items()
            if not self.values[name] or self.values[name] != (current or {}).get(name)
        ]
        if problems:
            raise invalid_fields(problems)


async def require_valid(
    hubspot: HubSpotClient, fields: ObjectFields, values: Mapping[str, str]
) -> dict[str, str]:
    """Return the values in HubSpot's format. Raises a 400 that names every invalid field."""
    checked = await check_values(hubspot, fields, values)
    checked.require_valid()
    return checked.values


async def check_values(
    hubspot: HubSpotClient, fields: ObjectFields, values: Mapping[str, str]
) -> CheckedValues:
    """Check values against the schema. If one is invalid by the cached schema, read the schema again.

    Raises 503 if the credentials may not read the schema and a value needs its type.
    """
    if not values:
        return CheckedValues({}, {})
    schema = await load_schema(hubspot, fields.object_type)
    if not schema and any(_needs_type(fields.by_property[name], value) for name, value in values.items()):
        raise _unknown_types(fields.object_type)
    has_day = any(
        is_day(value) and with_value_type(fields.by_property[name], schema).value_type == "datetime"
        for name, value in values.items()
    )
    zone = await hubspot.account.time_zone() if has_day else UTC
    checked = _check(fields, values, schema, zone)
    if checked.problems:
        schema = await load_schema(hubspot, fields.object_type, max_age_seconds=MIN_REFRESH_SECONDS)
        checked = _check(fields, values, schema, zone)
    return checked


def _needs_type(field: Field, value: str) -> bool:
    # A ticket category in the API's words needs no type. Other options do: HubSpot reads a leading `;` as "add to the
    # current options", which `to_wire` removes.
    is_own_option = field.words and value and value not in field.words
    return field.nested or bool(is_own_option)


def _check(
    fields: ObjectFields, values: Mapping[str, str], schema: Mapping[str, Property], zone: tzinfo
) -> CheckedValues:
    checked = CheckedValues({}, {})
    for name, value in values.items():
        field, definition = fields.by_property[name], schema.get(name)
        options = {option.value for option in definition.options} if definition is not None else set()
        checked.values[name] = words_to_wire(value, field.words, options)
        try:
            if with_value_type(field, schema).value_type == "datetime" and is_day(value):
                checked.values[name], _ = day_bounds(value, zone)
            if schema:
                checked.values[name] = _to_wire(field, checked.values[name], definition)
                _require_options(fields, field, checked.values[name], definition, options)
        except ValueError as error:
            checked.problems[name] = FieldProblem(field=field.path, message=str(error))
    return checked


def _to_wire(field: Field, value: str, definition: Property | None) -> str:
    if definition is None or definition.archived:
        raise ValueError("is not a property of this account")
    if definition.is_read_only:
        raise ValueError("is calculated by HubSpot and cannot be set")
    # Values of other built-in properties are already in HubSpot's format.
    is_text = field.nested or field.words
    return to_wire(value_type_of(definition), value) if value and is_text else value


def _require_options(
    fields: ObjectFields, field: Field, value: str, definition: Property | None, options: Collection[str]
) -> None:
    # Pipelines and stages are checked together, in `choose_stage`. HubSpot does not list the options of some
    # properties, such as owners.
    if not (value and definition and options) or field.name in ("pipeline", *STAGE_FIELDS.values()):
        return
    value_type = value_type_of(definition)
    chosen = value.split(";") if value_type == "choices" else [value]
    if value_type in ("choice", "choices") and not set(options).issuperset(chosen):
        raise ValueError(
            f"is not one of the account's options; GET /api/properties/{fields.object_type} lists them"
        )


def _number(value: str) -> Decimal | None:
    # Decimal() also accepts 1_000, NaN, and the digits of other scripts.
    return Decimal(value) if _NUMBER.fullmatch(value.strip()) else None
