"""The pieces every part of the public contract is made of."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Generic, TypeVar

from pydantic import (
    MISSING,
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
)

Data = TypeVar("Data")
Value = TypeVar("Value")


class ResponseModel(BaseModel):
    """What we send: every key is always present."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True, use_attribute_docstrings=True)


class RequestModel(BaseModel):
    """What we accept: a key we do not know is refused by name, never dropped in silence."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True, use_attribute_docstrings=True)


class Envelope(ResponseModel, Generic[Data]):
    """A success under `/api`."""

    message: Annotated[str, Field(max_length=200, examples=["Done"])]
    """What happened, for a person."""
    data: Data
    """What was asked for."""


def _as_rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _require_zone(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("needs a time zone, such as Z")
    return moment


_RFC3339 = re.compile(
    r"(\d{4}-\d{2}-\d{2})(?:[Tt ](\d{2}:\d{2}):(\d{2})(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2}))?", re.ASCII
)


def parse_rfc3339(value: object) -> datetime:
    """A date-time with a zone (RFC 3339), or a date that means its first moment in UTC; in UTC.

    A leap second is the moment after it, as in POSIX time. Raises `ValueError`.
    """
    found = _RFC3339.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("must be an RFC 3339 date-time with a zone, or a date")
    day, time, seconds, fraction, zone = found.groups("")
    is_leap = seconds == "60"
    text = f"{day}T{time}:{'59' if is_leap else seconds}{fraction}{zone.upper()}" if time else f"{day}T00:00Z"
    try:
        moment = datetime.fromisoformat(text).astimezone(UTC)
        if is_leap:
            moment = moment.replace(microsecond=0) + timedelta(seconds=1)
    except (ValueError, OverflowError):
        moment = None
    # Leap seconds are added at the end of a day, in UTC.
    if moment is None or (is_leap and (moment.hour, moment.minute) != (0, 0)):
        raise ValueError("is not a date or time that exists between the years 1 and 9999")
    return moment


def or_none(value: Value | MISSING) -> Value | None:
    """Return the value of an optional field, or None if the field is absent."""
    return None if value is MISSING else value


Timestamp = Annotated[
    datetime,
    AfterValidator(_require_zone),
    PlainSerializer(_as_rfc3339, return_type=str),
    Field(json_schema_extra={"format": "date-time"}, examples=["2026-11-02T10:00:00.000Z"]),
]
"""A moment in UTC, RFC 3339 with milliseconds and `Z`."""

RecordId = Annotated[
    str,
    Field(
        pattern=r"^[0-9]{1,20}$",
        max_length=20,
        description="A HubSpot record id: digits, in a string.",
        examples=["512"],
    ),
]
SameId = Annotated[RecordId, Field(description="The same id, under HubSpot's own name.")]
Cursor = Annotated[
    str,
    Field(
        min_length=1,
        max_length=2048,
        pattern=r"^[A-Za-z0-9_.~-]+$",
        description="An opaque place in a list, as an earlier answer gave it.",
        examples=["eyJpZCI6IjkwMDEifQ.b733d5e874c6e9a4c8309491e136aec0"],
    ),
]
Limit = Annotated[int, Field(ge=1, le=100, description="How many to return at the most.", examples=[10])]

# Text without NUL, which PostgreSQL cannot store. The pattern means the same in Rust, JavaScript and Python.
NO_NUL = r"^[^\x00]*$"


def text(maximum: int, *, minimum: int = 0, example: str, description: str | None = None) -> object:
    """The field of a bounded string."""
    return Field(
        min_length=minimum, max_length=maximum, pattern=NO_NUL, examples=[example], description=description
    )


def _not_blank(value: str) -> str:
    if not value.strip():
        raise ValueError("must have at least 1 character that is not a space")
    return value


AS_SENT = StringConstraints(strip_whitespace=False)
"""Texts of several lines keep their spaces at both ends."""
NOT_BLANK = AfterValidator(_not_blank)

PropertyTexts = Annotated[
    dict[str, str | None],
    Field(
        max_length=100,
        description="Properties that the operator has added, by name; `GET /api/properties` lists them.",
        examples=[{"dealtype": "newbusiness"}],
    ),
]
PropertyChanges = Annotated[
    dict[str, Annotated[str, AS_SENT, text(65_536, example="newbusiness")] | None],
    Field(
        max_length=100,
        description="Properties that the operator has added, by name; null clears one.",
        examples=[{"dealtype": "newbusiness"}],
    ),
]


def _short(value: object) -> object:
    return value[:500] if isinstance(value, str) else value


def _ordinal(value: object) -> object:
    return min(max(value, -1), 2_147_483_647) if isinstance(value, int) else value


Label = Annotated[str, Field(max_length=500), BeforeValidator(_short)]
"""The account's words for something, cut where they are longer."""
DisplayOrder = Annotated[int, Field(ge=-1, le=2_147_483_647, examples=[1]), BeforeValidator(_ordinal)]
LongText = Annotated[str, AS_SENT, text(65_536, example="The third delivery is missing.")]
"""HubSpot keeps up to 65,536 characters in a string property.
https://developers.hubspot.com/docs/api-reference/crm-properties-v3/guide"""
