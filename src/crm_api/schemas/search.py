"""Searches, as the contract has them."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import MISSING, BeforeValidator, Field, WithJsonSchema, model_validator

from crm_api.schemas.common import Cursor, Envelope, Limit, RequestModel, ResponseModel, text
from crm_api.schemas.contacts import Contact
from crm_api.schemas.deals import Deal
from crm_api.schemas.tickets import Ticket

Operator = Literal["EQ", "NEQ", "LT", "LTE", "GT", "GTE", "BETWEEN", "IN", "HAS_PROPERTY", "NOT_HAS_PROPERTY"]
Part = Literal["contacts", "deals", "tickets"]
_LARGEST_NUMBER = 10**15


def _as_text(value: Any) -> Any:
    """A JSON number or boolean as the text that it is compared as."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        # inf and nan are not JSON, and Python reads them; what is larger is no amount, and a double rounds it.
        if not -_LARGEST_NUMBER <= value <= _LARGEST_NUMBER:
            raise ValueError("is out of range; send a string")
        return format(value, "d") if isinstance(value, int) else repr(value)
    return value


def _number(value: Any) -> Any:
    """JSON's `true` and `"10"` are no numbers."""
    if isinstance(value, bool | str):
        raise ValueError("should be a valid integer")
    return value


FilterValue = Annotated[
    str,
    BeforeValidator(_as_text),
    text(500, minimum=1, example="1500"),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "minLength": 1, "maxLength": 500},
                {"type": "number", "minimum": -_LARGEST_NUMBER, "maximum": _LARGEST_NUMBER},
                {"type": "boolean"},
            ],
            "examples": ["1500"],
        }
    ),
]
FieldName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=100,
        pattern=r"^[a-z][a-z0-9_]*$",
        description="A filterable name of `GET /api/properties`.",
        examples=["amount"],
    ),
]
SearchText = Annotated[
    str,
    text(
        500,
        minimum=1,
        example="fleet",
        description="Words to look for in names, subjects, descriptions, addresses and phone numbers.",
    ),
]


class SearchFilter(RequestModel):
    """One condition. Every operator but NOT_HAS_PROPERTY passes over records where the property is empty."""

    property: FieldName
    operator: Operator
    value: FilterValue | MISSING = MISSING
    """For EQ, NEQ, LT, LTE, GT, GTE; the lower end for BETWEEN."""
    high_value: FilterValue | MISSING = MISSING
    """The upper end for BETWEEN; both ends belong to it."""
    values: Annotated[list[FilterValue], Field(min_length=1, max_length=50)] | MISSING = MISSING
    """For IN."""

    @model_validator(mode="after")
    def _has_what_its_operator_takes(self) -> "SearchFilter":
        wanted = {"BETWEEN": {"value", "high_value"}, "IN": {"values"}}.get(self.operator, {"value"})
        if self.operator.endswith("HAS_PROPERTY"):
            wanted = set()
        given = {name for name in ("value", "high_value", "values") if getattr(self, name) is not MISSING}
        if given != wanted:
            takes = " and ".join(sorted(wanted, reverse=True)) or "no value"
            raise ValueError(f"{self.operator} takes {takes}")
        return self


class SearchSort(RequestModel):
    """What to sort by; records without a value come last."""

    property: FieldName
    direction: Literal["ascending", "descending"] = "ascending"


class RecordSearch(RequestModel):
    """A search: all filters hold, and the text is found."""

    query: SearchText | MISSING = MISSING
    filters: Annotated[list[SearchFilter], Field(max_length=5)] | MISSING = MISSING
    sort: SearchSort | MISSING = MISSING
    """By ascending id where it is left out."""
    limit: Annotated[Limit, BeforeValidator(_number)] = 10
    cursor: Cursor | MISSING = MISSING


class _Found(ResponseModel):
    total: Annotated[int, Field(ge=0, le=2_147_483_647, examples=[1])]
    """How many there are in all."""
    next_cursor: Cursor | None
    """The `cursor` of the next page; null on the last."""
    truncated: bool
    """True where there are more than HubSpot shows of one search, 10,000; narrow the search to see them."""


class ContactSearchPage(_Found):
    """A page of contacts that were found."""

    results: Annotated[list[Contact], Field(max_length=100)]


class ContactSearchResponse(Envelope[ContactSearchPage]):
    """Contacts that were found."""

    MESSAGE: ClassVar = "Contacts found successfully"


class DealSearchPage(_Found):
    """A page of deals that were found."""

    results: Annotated[list[Deal], Field(max_length=100)]


class DealSearchResponse(Envelope[DealSearchPage]):
    """Deals that were found."""

    MESSAGE: ClassVar = "Deals found successfully"


class TicketSearchPage(_Found):
    """A page of tickets that were found."""

    results: Annotated[list[Ticket], Field(max_length=100)]


class TicketSearchResponse(Envelope[TicketSearchPage]):
    """Tickets that were found."""

    MESSAGE: ClassVar = "Tickets found successfully"


class FoundRecords(ResponseModel):
    """The first few of each."""

    contacts: Annotated[list[Contact], Field(max_length=20)]
    deals: Annotated[list[Deal], Field(max_length=20)]
    tickets: Annotated[list[Ticket], Field(max_length=20)]
    failed: Annotated[list[Part], Field(max_length=3, examples=[["tickets"]])]
    """The parts that could not be searched; their lists are empty for that reason alone."""


class FoundRecordsResponse(Envelope[FoundRecords]):
    """Contacts, deals and tickets that were found."""

    MESSAGE: ClassVar = "Search completed successfully"
