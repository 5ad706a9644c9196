"""Between HubSpot's properties and our fields: one table for each object type."""

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
# general_inquiry, technical_issue and billing are options that every account begins with;
# `crm-api hubspot provision` adds the other two. https://developers.hubspot.com/docs/api-reference/crm-tickets-v3/guide
TICKET_CATEGORIES: Final[Mapping[str, str]] = {
    "general_inquiry": "GENERAL_INQUIRY",
    "technical_issue": "PRODUCT_ISSUE",
    "billing": "BILLING_ISSUE",
    "service_request": "SERVICE_REQUEST",
    "meeting": "MEETING",
}
_BASE: Final = RecordFields(TICKET_CATEGORIES)
# Without what operators add.
CONTACT_PROPERTIES: Final = _BASE["contacts"].properties


def contact_from_record(record: CrmRecord, fields: RecordFields | None = None) -> Contact:
    """The contact that a HubSpot record is."""
    return Contact(**contact_fields(record, fields))


def deal_from_record(record: CrmRecord, fields: RecordFields | None = None) -> Deal:
    """The deal that a HubSpot record is."""
    return Deal(**deal_fields(record, fields))


def ticket_from_record(record: CrmRecord, fields: RecordFields) -> Ticket:
    """The ticket that a HubSpot record is, its category named as ours."""
    return Ticket(**ticket_fields(record, fields))


def contact_fields(record: CrmRecord, fields: RecordFields | None) -> dict[str, Any]:
    """A contact's fields."""
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
    """A deal's fields."""
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


def ticket_fields(record: CrmRecord, fields: RecordFields) -> dict[str, Any]:
    """A ticket's fields."""
    return {
        "id": record.id,
        "hs_object_id": record.id,
        "subject": record.get("subject"),
        "description": record.get("content"),
        "category": category_from_wire(record.get("hs_ticket_category"), fields.categories),
        "pipeline": record.get("hs_pipeline"),
        "hs_pipeline_stage": record.get("hs_pipeline_stage"),
        "hs_ticket_priority": record.get("hs_ticket_priority"),
        "createdate": parse_datetime(record.get("createdate")) or record.created_at,
        "hs_lastmodifieddate": parse_datetime(record.get("hs_lastmodifieddate")) or record.updated_at,
        "properties": _nested(record, "tickets", fields),
    }


def _nested(record: CrmRecord, object_type: ObjectType, fields: RecordFields | None) -> dict[str, str | None]:
    if fields is None:
        return {}
    return {field.name: record.get(field.wire_name) for field in fields[object_type].nested}


def category_from_wire(value: str | None, categories: Mapping[str, str]) -> str | None:
    """Our category; a value that is none of ours (or several, `A;B`) passes through as HubSpot has it."""
    if value is None:
        return None
    return next((ours for ours, theirs in categories.items() if theirs == value), value)


def plain_number(value: str | None) -> str | None:
    """A number without an exponent, its digits as HubSpot has them otherwise."""
    if value is None or "e" not in value.lower():
        return value
    try:
        number = Decimal(value)
    except InvalidOperation:
        return value
    return format(number, "f") if number.is_finite() and abs(number.adjusted()) < 100 else value


def parse_datetime(value: str | None) -> datetime | None:
    """A moment from HubSpot's text: ISO 8601 with a zone, a date, or epoch milliseconds.

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
    """A moment as HubSpot takes it: ISO 8601, UTC, milliseconds."""
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def map_validation_error(
    error: HubSpotValidationError, fields: Collection[str], names: Mapping[str, str] | None = None
) -> ApiError | None:
    """HubSpot's refusal of values as ours, on our field names; None where it names none that the caller could mend."""
    names = names or {}
    problems = []
    for problem in error.problems:
        field = names.get(problem.property or "", problem.property)
        if field in fields:
            problems.append(FieldProblem(field=field, message=problem.message))
        else:
            # For the operator: a rule of the account asks for what callers cannot give.
            logger.warning("HubSpot refuses %s: %s", problem.property, problem.code)
    return invalid_fields(problems) if problems else None


def write_error(error: HubSpotValidationError, fields: ObjectFields, role: str) -> Exception:
    """HubSpot's refusal of what this role sent: ours where it names what the role may write, else as it is."""
    return map_validation_error(error, fields.writable(role), fields.paths) or error
