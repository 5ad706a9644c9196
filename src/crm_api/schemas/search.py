"""Contract of searches."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import MISSING, BeforeValidator, Field, model_validator

from crm_api.schemas.common import (
    DEFAULT_LIMIT,
    Cursor,
    Envelope,
    Include,
    Limit,
    ObjectType,
    RequestModel,
    ResponseModel,
    SearchPage,
    text,
)
from crm_api.schemas.contacts import Contact
from crm_api.schemas.deals import Deal
from crm_api.schemas.tickets import Ticket

Operator = Literal["EQ", "NEQ", "LT", "LTE", "GT", "GTE", "BETWEEN", "IN", "HAS_PROPERTY", "NOT_HAS_PROPERTY"]
_MAX_NUMBER = 10**15


def _to_text(value: Any) -> Any:
    """Convert a JSON number or boolean to the text that filters compare."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        # Python parses inf and nan, which are not JSON; a double rounds larger numbers.
        if not -_MAX_NUMBER <= value <= _MAX_NUMBER:
            raise ValueError("is out of range; send a string")
        return format(value, "d") if isinstance(value, int) else repr(value)
    return value


def _refuse_boolean_and_text(value: Any) -> Any:
    """Refuse `true` and `"10"`, which Pydantic would accept as integers."""
    if isinstance(value, bool | str):
        raise ValueError("must be an integer")
    return value


FilterValue = Annotated[str, text(500, minimum=1, example="1500"), BeforeValidator(_to_text)]
FieldName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=100,
        pattern=r"^[a-z][a-z0-9_]*$",
        description="Name of a filterable property in `GET /api/properties/{object_type}`.",
        examples=["amount"],
    ),
]
SearchText = Annotated[
    str,
    text(
        500,
        minimum=1,
        example="fleet",
        description="Words to find in names, subjects, descriptions, e-mail addresses and phone numbers.",
    ),
]


class SearchFilter(RequestModel):
    """Condition. Only NOT_HAS_PROPERTY matches records without a value of the property."""

    property: FieldName
    operator: Operator
    value: FilterValue | MISSING = MISSING
    """For EQ, NEQ, LT, LTE, GT, GTE; the lower end for BETWEEN. JSON numbers and booleans are accepted too."""
    high_value: FilterValue | MISSING = MISSING
    """The upper end for BETWEEN; both ends are included. JSON numbers are accepted too."""
    values: Annotated[list[FilterValue], Field(max_length=50)] | MISSING = MISSING
    """For IN. JSON numbers and booleans are accepted too; with other operators an empty list counts as absent."""

    @model_validator(mode="after")
    def _require_fields_of_operator(self) -> "SearchFilter":
        expected = {"BETWEEN": {"value", "high_value"}, "IN": {"values"}}.get(self.operator, {"value"})
        if self.operator.endswith("HAS_PROPERTY"):
            expected = set()
        # Some generated clients send every list, also an empty one.
        sent = {
            name
            for name in ("value", "high_value", "values")
            if getattr(self, name) is not MISSING and getattr(self, name) != []
        }
        if sent != expected:
            names = " and ".join(sorted(expected, reverse=True)) or "no value"
            raise ValueError(f"{self.operator} takes {names}")
        return self


class SearchSort(RequestModel):
    """Sort order; records without a value come last."""

    property: FieldName
    direction: Literal["ascending", "descending"] = "ascending"


class RecordSearch(RequestModel):
    """Search for records that match the text and all filters."""

    query: SearchText | MISSING = MISSING
    filters: Annotated[list[SearchFilter], Field(max_length=5)] | MISSING = MISSING
    sort: SearchSort | MISSING = MISSING
    """Default: by ascending ID."""
    limit: Annotated[Limit, BeforeValidator(_refuse_boolean_and_text)] = DEFAULT_LIMIT
    cursor: Cursor | MISSING = MISSING
    include: Include | MISSING = MISSING
    """`associations` reads `contact_ids` and `deal_ids`, which staff do not get otherwise. Contacts have neither."""


class ContactSearchPage(SearchPage[Contact]):
    """Page of contacts that match."""


class ContactSearchResponse(Envelope[ContactSearchPage]):
    """Contacts that match."""

    MESSAGE: ClassVar = "Contacts found successfully"


class DealSearchPage(SearchPage[Deal]):
    """Page of deals that match."""


class DealSearchResponse(Envelope[DealSearchPage]):
    """Deals that match."""

    MESSAGE: ClassVar = "Deals found successfully"


class TicketSearchPage(SearchPage[Ticket]):
    """Page of tickets that match."""


class TicketSearchResponse(Envelope[TicketSearchPage]):
    """Tickets that match."""

    MESSAGE: ClassVar = "Tickets found successfully"


class FoundRecords(ResponseModel):
    """The first matches of each object type."""

    contacts: Annotated[list[Contact], Field(max_length=20)]
    deals: Annotated[list[Deal], Field(max_length=20)]
    tickets: Annotated[list[Ticket], Field(max_length=20)]
    failed: Annotated[list[ObjectType], Field(max_length=3, examples=[["tickets"]])]
    """Object types that could not be searched; their lists are empty."""


class FoundRecordsResponse(Envelope[FoundRecords]):
    """Contacts, deals and tickets that match."""

    MESSAGE: ClassVar = "Search completed successfully"
