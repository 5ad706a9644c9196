"""The pieces every part of the public contract is made of."""

from datetime import UTC, datetime
from typing import Annotated, Generic, TypeVar

from pydantic import MISSING, AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer

Data = TypeVar("Data")
Value = TypeVar("Value")


class Answer(BaseModel):
    """What we send: every key is always present."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True, use_attribute_docstrings=True)


class Request(BaseModel):
    """What we accept: a key we do not know is refused by name, never dropped in silence."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True, use_attribute_docstrings=True)


class Envelope(Answer, Generic[Data]):
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


def given(value: Value | MISSING) -> Value | None:
    """The value of a field that may have been left out; None where it was."""
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


PropertyTexts = Annotated[
    dict[str, str | None],
    Field(
        max_length=100,
        description="Properties that the operator has added, by name; `GET /api/properties` lists them.",
        examples=[{"dealtype": "newbusiness"}],
    ),
]
PropertyChanges = Annotated[
    dict[str, Annotated[str, text(65_536, example="newbusiness")] | None],
    Field(
        max_length=100,
        description="Properties that the operator has added, by name; null clears one.",
        examples=[{"dealtype": "newbusiness"}],
    ),
]
ShortText = Annotated[str, text(500, example="Fleet renewal")]
LongText = Annotated[str, text(65_536, example="The third delivery is missing.")]
"""HubSpot keeps up to 65,536 characters in a string property.
https://developers.hubspot.com/docs/api-reference/crm-properties-v3/guide"""
