"""Values on their way to HubSpot and back: compared, translated, and checked before a call is spent on them."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any, Final

from crm_api.errors import invalid_fields
from crm_api.hubspot import HubSpotClient, Property
from crm_api.hubspot.errors import HubSpotCredentialsError
from crm_api.hubspot.names import ObjectType
from crm_api.schemas.common import parse_rfc3339
from crm_api.schemas.problems import FieldProblem
from crm_api.services.properties.fields import Field, ObjectFields, ValueType, value_type_of
from crm_api.services.properties.mapping import EPOCH, datetime_to_wire, parse_datetime

MAX_AGE_SECONDS: Final = 300.0
# A value that the schema does not know forces a fresh read; a burst of them shares one.
FRESH_SECONDS: Final = 1.0
_NUMBER: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)


def comparison_key(value_type: ValueType, value: str | None) -> Any:
    """What a value is compared by; None where it is empty or not a value of its kind.

    Text ignores case, options do not. https://developers.hubspot.com/docs/api-reference/search/guide
    """
    if not value:
        return None
    if value_type == "text":
        return casefold_text(value)
    if value_type == "number":
        return _number(value)
    if value_type == "datetime":
        return parse_datetime(value)
    if value_type == "date":
        found = parse_datetime(value)
        return found.date() if found else None
    if value_type == "choices":
        return frozenset(part for part in value.split(";") if part)
    return value


def casefold_text(text: str) -> str:
    """A text without regard to case, and to whether an accent is a character of its own."""
    return unicodedata.normalize("NFC", text).casefold()


def values_equal(value_type: ValueType, one: str | None, other: str | None) -> bool:
    """Whether two texts are one value: `1500` and `1500.00`, or one moment in two spellings."""
    if (one or "") == (other or ""):
        return True
    if value_type == "text" or not one or not other:
        return False
    left, right = comparison_key(value_type, one), comparison_key(value_type, other)
    return left is not None and left == right


def epoch_milliseconds(value: str) -> str:
    """A moment as HubSpot's filters take it."""
    found = parse_datetime(value)
    if found is None:
        raise ValueError("is not a moment")
    delta = found - EPOCH
    return str((delta.days * 86_400 + delta.seconds) * 1000 + delta.microseconds // 1000)


def to_wire(value_type: ValueType, value: str) -> str:
    """A value as HubSpot takes it. Raises `ValueError` where it is none of its kind."""
    if value_type == "number":
        number = _number(value)
        if number is None:
            raise ValueError("must be a number in digits")
        return format(number, "f")
    if value_type == "datetime":
        return datetime_to_wire(parse_rfc3339(value.strip()))
    if value_type == "date":
        return _day(value.strip())
    if value_type == "bool":
        if value not in ("true", "false"):
            raise ValueError("must be true or false")
        return value
    return _options(value) if value_type == "choices" else value


def _options(value: str) -> str:
    # To HubSpot a `;` in front means "and these too", which a caller of ours does not mean.
    chosen = dict.fromkeys(part for part in value.split(";") if part)
    if not chosen:
        raise ValueError("must name at least one option; null clears")
    return ";".join(chosen)


def _day(value: str) -> str:
    try:
        found = date.fromisoformat(value)
    except ValueError:
        found = None
    # Python also reads 20261231 and 2026-W53-4.
    if found is None or found.isoformat() != value:
        raise ValueError("must be a date, such as 2026-12-31")
    return value


async def load_schema(
    hubspot: HubSpotClient, object_type: ObjectType, *, max_age_seconds: float = MAX_AGE_SECONDS
) -> dict[str, Property]:
    """The account's definitions by name; none where the credentials may not read them, so that nothing rests on it."""
    try:
        return await hubspot.properties.list(object_type, max_age_seconds=max_age_seconds)
    except HubSpotCredentialsError:
        return {}


async def load_schema_for(
    hubspot: HubSpotClient, fields: ObjectFields, names: Iterable[str]
) -> Mapping[str, Property]:
    """The account's definitions where one of the operator's properties is named; of ours the kinds are known."""
    nested = {field.name for field in fields.nested}
    return await load_schema(hubspot, fields.object_type) if nested & set(names) else {}


async def require_valid(
    hubspot: HubSpotClient, fields: ObjectFields, values: Mapping[str, str]
) -> dict[str, str]:
    """Values by HubSpot's name as it takes them, checked against the account's types and options.

    Raises a 400 that names every field at fault; an option that the schema kept here lacks is looked for afresh.
    """
    if not values:
        return {}
    schema = await load_schema(hubspot, fields.object_type)
    if schema and _problems(fields, values, schema):
        schema = await load_schema(hubspot, fields.object_type, max_age_seconds=FRESH_SECONDS)
    if not schema:
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
    found = []
    for name, value in values.items():
        field = fields.by_property[name]
        message = _problem(field, value, schema.get(name))
        if message is not None:
            found.append(FieldProblem(field=field.path, message=message))
    return found


def _problem(field: Field, value: str, definition: Property | None) -> str | None:
    if definition is None or definition.archived:
        return "is not a property of this account"
    if definition.is_read_only:
        return "is calculated by HubSpot and cannot be set"
    # Stages are checked against their pipeline; what the operator added is checked here alone.
    if not value or field.name in ("pipeline", "dealstage", "hs_pipeline_stage"):
        return None
    value_type = value_type_of(definition)
    try:
        checked = to_wire(value_type, value) if field.nested else value
    except ValueError as error:
        return str(error)
    return _option_problem(value_type, checked, definition) if value_type in ("choice", "choices") else None


def _option_problem(value_type: ValueType, value: str, definition: Property) -> str | None:
    # Owners and the like have options that HubSpot does not list.
    if not definition.options:
        return None
    options = {option.value for option in definition.options}
    chosen = value.split(";") if value_type == "choices" else [value]
    if all(each in options for each in chosen):
        return None
    return "is not one of the account's options; GET /api/properties lists them"


def _number(value: str) -> Decimal | None:
    # Python also reads 1_000, NaN, and the digits of other scripts.
    return Decimal(value) if _NUMBER.fullmatch(value.strip()) else None
