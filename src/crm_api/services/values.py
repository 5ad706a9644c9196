"""Values on their way to HubSpot and back: compared, translated, and checked before a call is spent on them."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from crm_api.errors import invalid_fields
from crm_api.hubspot import HubSpotClient, Property
from crm_api.hubspot.errors import HubSpotCredentialsError
from crm_api.hubspot.names import ObjectType
from crm_api.schemas.problems import FieldProblem
from crm_api.services.fields import Field, Kind, ObjectFields, kind_of
from crm_api.services.records import moment, moment_to_wire, plain_number

MAX_AGE_SECONDS: Final = 300.0
# A value that the schema does not know forces a fresh read; a burst of them shares one.
FRESH_SECONDS: Final = 1.0
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def comparable(kind: Kind, value: str | None) -> Any:
    """What a value is compared by; None where it is empty or not a value of its kind.

    Text ignores case, options do not. https://developers.hubspot.com/docs/api-reference/search/guide
    """
    if not value:
        return None
    if kind == "text":
        return value.casefold()
    if kind == "number":
        return _number(value)
    if kind == "moment":
        return moment(value)
    if kind == "date":
        found = moment(value)
        return found.date() if found else None
    if kind == "choices":
        return frozenset(part for part in value.split(";") if part)
    return value


def same(kind: Kind, one: str | None, other: str | None) -> bool:
    """Whether two texts are one value: `1500` and `1500.00`, or one moment in two spellings."""
    if (one or "") == (other or ""):
        return True
    if kind == "text" or not one or not other:
        return False
    left, right = comparable(kind, one), comparable(kind, other)
    return left is not None and left == right


def milliseconds(value: str) -> str:
    """A moment as HubSpot's filters take it."""
    found = moment(value)
    if found is None:
        raise ValueError("is not a moment")
    delta = found - _EPOCH
    return str((delta.days * 86_400 + delta.seconds) * 1000 + delta.microseconds // 1000)


def to_wire(kind: Kind, value: str) -> str:
    """A value as HubSpot takes it. Raises `ValueError` where it is none of its kind."""
    if kind == "number":
        if _number(value) is None:
            raise ValueError("must be a number in digits")
        return plain_number(value.strip()) or ""
    if kind == "moment":
        return moment_to_wire(_zoned(value))
    if kind == "date":
        try:
            return date.fromisoformat(value).isoformat()
        except ValueError:
            raise ValueError("must be a date, such as 2026-12-31") from None
    if kind == "bool":
        if value not in ("true", "false"):
            raise ValueError("must be true or false")
        return value
    return value


async def schema_of(
    hubspot: HubSpotClient, object_type: ObjectType, *, max_age_seconds: float = MAX_AGE_SECONDS
) -> dict[str, Property]:
    """The account's definitions by name; none where the credentials may not read them, so that nothing rests on it."""
    try:
        return await hubspot.properties.list(object_type, max_age_seconds=max_age_seconds)
    except HubSpotCredentialsError:
        return {}


async def require_valid(
    hubspot: HubSpotClient, fields: ObjectFields, values: Mapping[str, str]
) -> dict[str, str]:
    """Values by HubSpot's name as it takes them, checked against the account's types and options.

    Raises a 400 that names every field at fault; an option that the schema kept here lacks is looked for afresh.
    """
    if not values:
        return {}
    schema = await schema_of(hubspot, fields.object_type)
    if schema and _problems(fields, values, schema):
        schema = await schema_of(hubspot, fields.object_type, max_age_seconds=FRESH_SECONDS)
    if not schema:
        return dict(values)
    problems = _problems(fields, values, schema)
    if problems:
        raise invalid_fields(problems)
    return {
        name: to_wire(kind_of(schema[name]), value) if value and fields.by_property[name].nested else value
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
    kind = kind_of(definition)
    if kind in ("choice", "choices"):
        return _option_problem(kind, value, definition)
    if not field.nested:
        return None
    try:
        to_wire(kind, value)
    except ValueError as error:
        return str(error)
    return None


def _option_problem(kind: Kind, value: str, definition: Property) -> str | None:
    # Owners and the like have options that HubSpot does not list.
    if not definition.options:
        return None
    options = {option.value for option in definition.options}
    chosen = [part for part in value.split(";") if part] if kind == "choices" else [value]
    if all(each in options for each in chosen):
        return None
    return "is not one of the account's options; GET /api/properties lists them"


def _number(value: str) -> Decimal | None:
    try:
        number = Decimal(value.strip())
    except InvalidOperation:
        return None
    return number if number.is_finite() and "_" not in value else None


def _zoned(value: str) -> datetime:
    try:
        found = datetime.fromisoformat(value)
        if len(value) == 10:
            found = found.replace(tzinfo=UTC)
        if found.tzinfo is None:
            raise ValueError
        return found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("must be an RFC 3339 date-time with a zone, or a date") from None
