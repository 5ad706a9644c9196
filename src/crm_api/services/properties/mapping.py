"""Translation between HubSpot records and the contract's contacts, deals and tickets."""

import logging
import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from crm_api.errors import ApiError, invalid_fields
from crm_api.hubspot import CrmRecord
from crm_api.hubspot.errors import HubSpotValidationError
from crm_api.hubspot.names import ObjectType
from crm_api.schemas.contacts import Contact
from crm_api.schemas.deals import Deal
from crm_api.schemas.problems import FieldProblem
from crm_api.schemas.tickets import Ticket
from crm_api.services.properties.fields import ObjectFields, RecordFields

logger = logging.getLogger(__name__)

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# Every HubSpot account has the first three options by default; `crm-api hubspot provision` adds the other two.
# https://developers.hubspot.com/docs/api-reference/crm-tickets-v3/guide
TICKET_CATEGORIES: Final[Mapping[str, str]] = {
    "general_inquiry": "GENERAL_INQUIRY",
    "technical_issue": "PRODUCT_ISSUE",
    "billing": "BILLING_ISSUE",
    "service_request": "SERVICE_REQUEST",
    "meeting": "MEETING",
}
# Without the properties that operators add.
CONTACT_PROPERTIES: Final = RecordFields(TICKET_CATEGORIES)["contacts"].properties


def contact_from_record(record: CrmRecord, fields: RecordFields | None = None) -> Contact:
    return Contact(**contact_fields(record, fields))


def deal_from_record(record: CrmRecord, fields: RecordFields | None = None) -> Deal:
    return Deal(**deal_fields(record, fields))


def contact_fields(record: CrmRecord, fields: RecordFields | None) -> dict[str, Any]:
    """Return the contract's fields of a contact."""
    return {
        "id": record.id,
        "hs_object_id": record.id,
        "email": record.get("email"),
        "firstname": record.get("firstname"),
        "lastname": record.get("lastname"),
        "phone": record.get("phone"),
        "lifecyclestage": record.get("lifecyclestage"),
        "createdate": parse_datetime(record.get("createdate")) or record.created_at,
        "lastmodifieddate": parse_datetime(record.get("lastmodifieddate")) or record.updated_at,
        "properties": _nested(record, "contacts", fields),
    }


def deal_fields(record: CrmRecord, fields: RecordFields | None) -> dict[str, Any]:
    """Return the contract's fields of a deal."""
    return {
        "id": record.id,
        "hs_object_id": record.id,
        "dealname": record.get("dealname"),
        "dealstage": record.get("dealstage"),
        "pipeline": record.get("pipeline"),
        "amount": plain_number(record.get("amount")),
        "closedate": parse_datetime(record.get("closedate")),
        "description": record.get("description"),
        "createdate": parse_datetime(record.get("createdate")) or record.created_at,
        "hs_lastmodifieddate": parse_datetime(record.get("hs_lastmodifieddate")) or record.updated_at,
        "properties": _nested(record, "deals", fields),
    }


def ticket_from_record(record: CrmRecord, fields: RecordFields) -> Ticket:
    return Ticket(
        id=record.id,
        hs_object_id=record.id,
        subject=record.get("subject"),
        description=record.get("content"),
        category=category_from_wire(record.get("hs_ticket_category"), fields.categories),
        pipeline=record.get("hs_pipeline"),
        hs_pipeline_stage=record.get("hs_pipeline_stage"),
        hs_ticket_priority=record.get("hs_ticket_priority"),
        createdate=parse_datetime(record.get("createdate")) or record.created_at,
        hs_lastmodifieddate=parse_datetime(record.get("hs_lastmodifieddate")) or record.updated_at,
        properties=_nested(record, "tickets", fields),
    )


def _nested(record: CrmRecord, object_type: ObjectType, fields: RecordFields | None) -> dict[str, str | None]:
    if fields is None:
        return {}
    return {field.name: record.get(field.wire_name) for field in fields[object_type].nested}


def category_from_wire(value: str | None, categories: Mapping[str, str]) -> str | None:
    """Return the contract's category, or HubSpot's value if it has none (or is several, `A;B`)."""
    return next((name for name, wire_value in categories.items() if wire_value == value), value)


def plain_number(value: str | None) -> str | None:
    """Return a number without an exponent, with HubSpot's digits otherwise unchanged."""
    if value is None or "e" not in value.lower():
        return value
    try:
        number = Decimal(value)
    except InvalidOperation:
        return value
    return format(number, "f") if number.is_finite() and abs(number.adjusted()) < 100 else value


def parse_datetime(value: str | None) -> datetime | None:
    """Return the UTC datetime of a HubSpot value: ISO 8601, a date, or epoch milliseconds. None if it is none of these.

    https://developers.hubspot.com/docs/api-reference/crm-properties-v3/guide
    """
    if value is None:
        return None
    try:
        if re.fullmatch(r"-?\d{1,18}", value, re.ASCII):
            return EPOCH + timedelta(milliseconds=int(value))
        parsed = datetime.fromisoformat(value)
        return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def datetime_to_wire(value: datetime) -> str:
    """Return a datetime in HubSpot's format: ISO 8601, UTC, milliseconds."""
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def map_validation_error(
    error: HubSpotValidationError, fields: Collection[str], names: Mapping[str, str] | None = None
) -> ApiError | None:
    """Map HubSpot's validation error to a 400 on the caller's fields; None if it names none of them.

    `names` maps HubSpot's property names to the contract's.
    """
    problems = []
    for problem in error.problems:
        field = (names or {}).get(problem.property or "", problem.property)
        if field in fields:
            problems.append(FieldProblem(field=field, message=problem.message))
        else:
            # The operator must act: a rule of the HubSpot account requires a value that callers cannot send.
            logger.warning("HubSpot refuses %s: %s", problem.property, problem.code)
    return invalid_fields(problems) if problems else None


def write_error(error: HubSpotValidationError, fields: ObjectFields, role: str) -> Exception:
    """Return a 400 if HubSpot's error names a field that the role may write, else the original error."""
    return map_validation_error(error, fields.writable(role), fields.paths) or error
