"""The properties of records, as the contract has them: what a front end needs to draw a form."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from crm_api.schemas.common import Envelope, Label, ResponseModel


class RecordPropertyOption(ResponseModel):
    """A value to choose."""

    value: Annotated[str, Field(max_length=1000, examples=["lead"])]
    """What a request takes."""
    label: Annotated[Label, Field(examples=["Lead"])]


class RecordProperty(ResponseModel):
    """One property that the caller may read."""

    name: Annotated[str, Field(max_length=100, examples=["lifecyclestage"])]
    """Its key in records, or under their `properties` where `nested`."""
    label: Annotated[Label, Field(examples=["Lifecycle stage"])]
    """As the account has it."""
    type: Annotated[
        Literal["string", "number", "datetime", "date", "bool", "enumeration"],
        Field(examples=["enumeration"]),
    ]
    """How to read its text: every value is a string or null."""
    options: Annotated[list[RecordPropertyOption], Field(max_length=10_000)]
    """What an enumeration takes from you, in display order; empty for other types."""
    required: bool
    """Never empty: null is refused."""
    writable: bool
    """Whether the caller may set it."""
    filterable: bool
    """Whether searches filter and sort by it."""
    nested: bool
    """Whether it travels under `properties`."""


class RecordProperties(ResponseModel):
    """What the caller may read of a type."""

    results: Annotated[list[RecordProperty], Field(max_length=1000)]


class RecordPropertiesResponse(Envelope[RecordProperties]):
    """What the caller may read of a type."""

    MESSAGE: ClassVar = "Properties retrieved successfully"
