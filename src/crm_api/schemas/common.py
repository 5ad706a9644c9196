"""Base models and field types of the public contract."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, ClassVar, Generic, Literal, TypeVar

from pydantic import (
    MISSING,
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    model_validator,
)

ObjectType = Literal["contacts", "deals", "tickets"]
Data = TypeVar("Data")
Value = TypeVar("Value")
MAX_MEMBERS = 100
"""Maximum members of one JSON object in a request."""


class ContractModel(BaseModel):
    """Base of the models of the contract. Their repr has no values, because most of them are personal or secret."""

    def __repr_args__(self) -> Iterator[tuple[str | None, object]]:
        return iter(())

    def __str__(self) -> str:
        return repr(self)


class ResponseModel(ContractModel):
    """Base of response models: every key is always present."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)


def _limit_members(value: object) -> object:
    # Pydantic builds an error for each unknown key, which takes half a second for the keys of a 1 MiB body.
    if isinstance(value, dict) and len(value) > MAX_MEMBERS:
        raise ValueError(f"has more than {MAX_MEMBERS} members")
    return value


class RequestModel(ContractModel):
    """Base of request models: unknown keys are refused by name."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    _limit_members = model_validator(mode="before")(_limit_members)


class Envelope(ResponseModel, Generic[Data]):
    """Body of a successful response under `/api`, except `POST /api/token`."""

    message: Annotated[str, Field(max_length=200, examples=["Done"])]
    """What the service did, for people."""
    data: Data
    """The result of the operation."""


def _to_rfc3339(timestamp: datetime) -> str:
    return timestamp.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _require_zone(timestamp: datetime) -> datetime:
    if timestamp.tzinfo is None:
        raise ValueError("needs a time zone, such as Z")
    return timestamp


_RFC3339 = re.compile(
    r"(\d{4}-\d{2}-\d{2})(?:[Tt ](\d{2}:\d{2}):(\d{2})(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2}))?", re.ASCII
)


def parse_rfc3339(value: object) -> datetime:
    """Parse an RFC 3339 date-time with a zone, or a date (00:00 UTC), into UTC. Raises `ValueError` for other values.

    As in POSIX time, a leap second becomes the second after it.
    """
    match = _RFC3339.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("must be an RFC 3339 date-time with a zone, or a date")
    day, time, seconds, fraction, zone = match.groups("")
    is_leap = seconds == "60"
    text = f"{day}T{time}:{'59' if is_leap else seconds}{fraction}{zone.upper()}" if time else f"{day}T00:00Z"
    try:
        timestamp = datetime.fromisoformat(text).astimezone(UTC)
        if is_leap:
            timestamp = timestamp.replace(microsecond=0) + timedelta(seconds=1)
    except (ValueError, OverflowError):
        timestamp = None
    # Leap seconds exist only at the end of a day in UTC.
    if timestamp is None or (is_leap and (timestamp.hour, timestamp.minute) != (0, 0)):
        raise ValueError("is not a date or time that exists between the years 1 and 9999")
    return timestamp


def or_none(value: Value | MISSING) -> Value | None:
    """Return the value of an optional field, or None if it is absent."""
    return None if value is MISSING else value


Timestamp = Annotated[
    datetime,
    AfterValidator(_require_zone),
    PlainSerializer(_to_rfc3339, return_type=str),
    Field(json_schema_extra={"format": "date-time"}, examples=["2026-11-02T10:00:00.000Z"]),
]
"""A timestamp in UTC, RFC 3339 with milliseconds and `Z`."""

RecordId = Annotated[
    str,
    Field(
        pattern=r"^[0-9]{1,20}$",
        max_length=20,
        description="ID of a HubSpot record: digits in a string.",
        examples=["512"],
    ),
]
SameId = Annotated[RecordId, Field(description="The same ID under HubSpot's name.")]
MAX_ASSOCIATED_IDS = 10_000
AssociatedIds = Annotated[list[RecordId], Field(max_length=MAX_ASSOCIATED_IDS)]
"""IDs of associated records, ascending."""
Include = Literal["associations"]
"""What a read adds to its records on request."""
_CURSOR_EXAMPLE = "eyJpZCI6IjkwMDEifQ.b733d5e874c6e9a4c8309491e136aec0"
Cursor = Annotated[
    str,
    Field(
        min_length=1,
        max_length=2048,
        pattern=r"^[A-Za-z0-9_.~-]+$",
        description="Opaque position in a list: the `next_cursor` of the previous page.",
        examples=[_CURSOR_EXAMPLE],
    ),
]
OptionalCursor = Annotated[
    str,
    Field(
        max_length=2048,
        pattern=r"^[A-Za-z0-9_.~-]*$",
        description="Opaque position in a list: the `next_cursor` of the previous page. Empty for the first page.",
        examples=[_CURSOR_EXAMPLE],
    ),
]
"""Cursor in a query string, where an empty value counts as absent."""
NextCursor = Annotated[
    Cursor | None, Field(description="The `cursor` of the next page; null on the last page.")
]


class RecordModel(ResponseModel):
    """Base of contacts, deals and tickets."""

    OBJECT_TYPE: ClassVar[ObjectType]
    id: RecordId
    hs_object_id: SameId


class Page(ResponseModel, Generic[Data]):
    """Base of the pages of a list."""

    results: Annotated[list[Data], Field(max_length=100)]
    next_cursor: NextCursor


class SearchPage(ResponseModel, Generic[Data]):
    """Base of the pages of a search."""

    total: Annotated[int, Field(ge=0, le=2_147_483_647, examples=[1])]
    """Number of matching records."""
    next_cursor: NextCursor
    truncated: bool
    """True if more than 10,000 records match, HubSpot's maximum for a search; narrow the search to see the others."""
    results: Annotated[list[Data], Field(max_length=100)]


DEFAULT_LIMIT = 10
MAX_LIMIT = 100
Limit = Annotated[int, Field(ge=1, le=MAX_LIMIT, description="Maximum number of results.", examples=[10])]

# NUL is refused because PostgreSQL cannot store it. The pattern means the same in Rust, JavaScript and Python.
NO_NUL = r"^[^\x00]*$"


def text(maximum: int, *, minimum: int = 0, example: str, description: str | None = None) -> object:
    """Return the field of a bounded string."""
    return Field(
        min_length=minimum, max_length=maximum, pattern=NO_NUL, examples=[example], description=description
    )


def token(*, example: str, description: str) -> object:
    """Return the field of an opaque token."""
    pattern = r"^[A-Za-z0-9_-]+$"
    return Field(min_length=20, max_length=200, pattern=pattern, description=description, examples=[example])


def _not_blank(value: str) -> str:
    if not value.strip():
        raise ValueError("must have at least 1 character that is not a space")
    return value


AS_SENT = StringConstraints(strip_whitespace=False)
"""Constraint that keeps the spaces at both ends of a text."""
NOT_BLANK = AfterValidator(_not_blank)

PropertyTexts = Annotated[
    dict[str, str | None],
    Field(
        max_length=100,
        description="Properties that the operator has added, by name; `GET /api/properties/{object_type}` lists them.",
        examples=[{"dealtype": "newbusiness"}],
    ),
]
_PROPERTY_CHANGES = Field(
    max_length=MAX_MEMBERS,
    description="Properties that the operator has added, by name; null clears a property.",
    examples=[{"dealtype": "newbusiness"}],
)
PropertyChanges = Annotated[
    dict[str, Annotated[str, AS_SENT, text(65_536, example="newbusiness")] | None],
    _PROPERTY_CHANGES,
    BeforeValidator(_limit_members),
]
RegistrationProperties = Annotated[
    dict[str, Annotated[str, AS_SENT, text(2_000, example="newbusiness")] | None],
    _PROPERTY_CHANGES,
    BeforeValidator(_limit_members),
]
"""Properties of a registration, whose body has at most 16 KiB."""


def _shorten(value: object) -> object:
    return value[:500] if isinstance(value, str) else value


def _clamp_int32(value: object) -> object:
    return min(max(value, -1), 2_147_483_647) if isinstance(value, int) else value


Label = Annotated[str, Field(max_length=500), BeforeValidator(_shorten)]
"""A label from the HubSpot account, cut to 500 characters."""
DisplayOrder = Annotated[int, Field(ge=-1, le=2_147_483_647, examples=[1]), BeforeValidator(_clamp_int32)]
LongText = Annotated[str, AS_SENT, text(65_536, example="The third delivery is missing.")]
"""HubSpot stores up to 65,536 characters in a string property.
https://developers.hubspot.com/docs/api-reference/crm-properties-v3/guide"""
