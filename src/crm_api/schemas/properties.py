"""Contract of the property list, from which a front end can build a form."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from crm_api.schemas.common import Envelope, Label, ResponseModel

FieldType = Literal[
    "text", "textarea", "rich_text", "phone", "file", "number", "currency", "date", "select", "radio", "checkbox",
    "checkboxes", "owner",
]  # fmt: skip


class RecordPropertyOption(ResponseModel):
    """Option of an enumeration."""

    value: Annotated[str, Field(max_length=65_536, examples=["lead"])]
    """Value in requests."""
    label: Annotated[Label, Field(examples=["Lead"])]
    pipeline: Annotated[str | None, Field(max_length=100, examples=["default"])]
    """The stage's pipeline if the option is a stage, else null."""


class RecordProperty(ResponseModel):
    """Property that the caller may read."""

    name: Annotated[str, Field(max_length=100, examples=["lifecyclestage"])]
    """Key in records, or in their `properties` if `nested`."""
    label: Annotated[Label, Field(examples=["Lifecycle stage"])]
    """Label in the HubSpot account."""
    type: Annotated[
        Literal["string", "number", "datetime", "date", "bool", "enumeration"],
        Field(examples=["enumeration"]),
    ]
    """How to parse the value, which is a string or null."""
    field_type: Annotated[FieldType, Field(examples=["radio"])]
    """Which form field the HubSpot account shows; `file` and `owner` have IDs of HubSpot as values."""
    multiple: bool
    """Whether a value can have several options, joined by `;`."""
    options: Annotated[list[RecordPropertyOption], Field(max_length=100_000)]
    """Options of an enumeration that you may set, in display order; empty for owners, because they are not listed."""
    required: bool
    """Whether a new record needs it, by a rule of the service or of the HubSpot account."""
    writable: bool
    """Whether you may set it."""
    filterable: bool
    """Whether searches can filter and sort by it."""
    nested: bool
    """Whether records have the property as a member of `properties`."""


class RecordProperties(ResponseModel):
    """The properties of an object type that the caller may read."""

    results: Annotated[list[RecordProperty], Field(max_length=1000)]


class RecordPropertiesResponse(Envelope[RecordProperties]):
    """The properties of an object type that the caller may read."""

    MESSAGE: ClassVar = "Properties retrieved successfully"
