"""Contract of the deal operations."""

import re
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, ClassVar

from pydantic import MISSING, BeforeValidator, Field, WithJsonSchema

from crm_api.schemas.common import (
    AssociatedIds,
    Envelope,
    LongText,
    Page,
    PropertyChanges,
    PropertyTexts,
    RecordId,
    RecordModel,
    RequestModel,
    Timestamp,
    parse_rfc3339,
    text,
)

_AMOUNT_PATTERN = r"^-?\d{1,15}(\.\d{1,6})?$"


def plain_amount(value: Any) -> str:
    """Return the amount as plain decimal text, from a JSON number or a string. Raises `ValueError` if it is not valid.

    A number may have up to 15 significant digits, which a double represents exactly.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("must be a number or a string of digits")
    if isinstance(value, str):
        plain = value.strip()
    else:
        # repr returns the shortest text of the same double: 0.1, not 0.1000000000000000055.
        exact = Decimal(repr(value))
        if not exact.is_finite() or len(exact.normalize().as_tuple().digits) > 15:
            raise ValueError("must have at most 15 significant digits; send a string for more")
        plain = format(exact, "f")
        if "." in plain:
            plain = plain.rstrip("0").rstrip(".")
    if not re.fullmatch(_AMOUNT_PATTERN, plain, flags=re.ASCII):
        raise ValueError(
            "must be a number such as 1500.50, with at most 15 digits before the decimal point and six after it"
        )
    return plain if plain.strip("-0.") else plain.removeprefix("-")


Amount = Annotated[
    str,
    BeforeValidator(plain_amount),
    # The document has no union of string and number: some generators make an empty type of it.
    WithJsonSchema(
        {"type": "string", "pattern": _AMOUNT_PATTERN, "maxLength": 23, "examples": ["1500.50"]},
    ),
]


def _parse_close_date(value: Any) -> datetime | date:
    """Return a datetime, or a date without time, whose beginning depends on the HubSpot account's time zone."""
    parsed = parse_rfc3339(value)
    return parsed.date() if len(value) == len("2026-12-31") else parsed


CloseDate = Annotated[
    datetime | date,
    BeforeValidator(_parse_close_date),
    # The document has one format, so that generated clients have a type for timestamps.
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-12-31T17:00:00Z"]}),
]
PipelineId = Annotated[
    str, text(100, minimum=1, example="default", description="ID of a pipeline in `GET /api/pipelines`.")
]
StageId = Annotated[
    str, text(100, minimum=1, example="qualifiedtobuy", description="ID of a stage of that pipeline.")
]


class DealCreate(RequestModel):
    """Deal to create for the caller's contact."""

    dealname: Annotated[str, text(500, minimum=1, example="Fleet renewal")]
    dealstage: StageId | MISSING = MISSING
    """Default: the pipeline's first open stage that you may set, in display order."""
    amount: Amount | MISSING = MISSING
    """In the HubSpot account's currency. A JSON number of up to 15 significant digits is accepted too."""
    description: LongText | MISSING = MISSING
    closedate: CloseDate | MISSING = MISSING
    """Expected closing time, to the millisecond. A date such as `2026-12-31` means that day in the account's zone."""
    pipeline: PipelineId | MISSING = MISSING
    """Default: the first deal pipeline of the HubSpot account."""
    contact_id: RecordId | MISSING = MISSING
    """Only for staff: the contact of the deal. A customer's deal always belongs to their own contact."""
    properties: PropertyChanges | MISSING = MISSING


class DealUpdate(RequestModel):
    """Changes to a deal. Omitted fields are unchanged; null clears a field."""

    dealname: Annotated[str, text(500, minimum=1, example="Fleet renewal")] | MISSING = MISSING
    dealstage: StageId | MISSING = MISSING
    pipeline: PipelineId | MISSING = MISSING
    """Another pipeline needs one of its stages in the same request."""
    amount: Amount | MISSING | None = MISSING
    """In the deal's `currency`. A JSON number of up to 15 significant digits is accepted too."""
    description: LongText | MISSING | None = MISSING
    closedate: CloseDate | MISSING | None = MISSING
    """Expected closing time, to the millisecond. A date such as `2026-12-31` means that day in the account's zone."""
    properties: PropertyChanges | MISSING = MISSING


class Deal(RecordModel):
    """Deal in the CRM."""

    OBJECT_TYPE = "deals"
    dealname: Annotated[str | None, Field(examples=["Fleet renewal"])]
    dealstage: Annotated[str | None, Field(examples=["qualifiedtobuy"])]
    pipeline: Annotated[str | None, Field(examples=["default"])]
    amount: Annotated[str | None, Field(examples=["1500.50"])]
    """Decimal number in the deal's `currency`."""
    currency: Annotated[str | None, Field(examples=["USD"])]
    """ISO 4217 code: the deal's own currency, otherwise the HubSpot account's; null while the service knows neither."""
    closedate: Timestamp | None
    description: Annotated[str | None, Field(examples=["Twelve vans"])]
    createdate: Timestamp | None
    hs_lastmodifieddate: Timestamp | None
    contact_ids: AssociatedIds | None = None
    """The deal's contacts, for a customer only their own. Null if not read: `include=associations` reads them."""
    properties: PropertyTexts


class DealResponse(Envelope[Deal]):
    """The deal with its current values."""

    CREATED: ClassVar = "Deal created successfully"
    UPDATED: ClassVar = "Deal updated successfully"


class DealPage(Page[Deal]):
    """A page of deals."""


class DealPageResponse(Envelope[DealPage]):
    """A page of deals."""

    MESSAGE: ClassVar = "Deals retrieved successfully"
