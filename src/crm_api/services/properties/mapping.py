"""Translation between HubSpot records and the contract's contacts, deals and tickets."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, TypeVar

from crm_api.hubspot import CrmRecord
from crm_api.schemas.common import RecordModel
from crm_api.services.properties.categories import TICKET_CATEGORIES, words_from_wire
from crm_api.services.properties.fields import RecordFields

Model = TypeVar("Model", bound=RecordModel)

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_MILLISECONDS: Final = re.compile(r"-?\d{1,18}", re.ASCII)
# The fields that every installation has; operators can add others with HUBSPOT_PROPERTIES.
BUILT_IN_FIELDS: Final = RecordFields(TICKET_CATEGORIES)


def from_record(
    model: type[Model], record: CrmRecord, fields: RecordFields = BUILT_IN_FIELDS, **children: Any
) -> Model:
    """Translate a HubSpot record to a contact, deal or ticket of the contract. `children` sets further fields."""
    values: dict[str, Any] = {}
    nested: dict[str, str | None] = {}
    for field in fields[model.OBJECT_TYPE].fields:
        value = record.get(field.wire_name)
        if field.nested:
            nested[field.name] = value
        elif field.value_type == "datetime":
            values[field.name] = parse_datetime(value)
        elif field.value_type == "number":
            values[field.name] = plain_number(value)
        elif field.words:
            values[field.name] = words_from_wire(value, field.words)
        else:
            values[field.name] = value
    values["createdate"] = values["createdate"] or record.created_at
    changed = "lastmodifieddate" if model.OBJECT_TYPE == "contacts" else "hs_lastmodifieddate"
    values[changed] = values[changed] or record.updated_at
    return model(**values | {"id": record.id, "hs_object_id": record.id, "properties": nested} | children)


def plain_number(value: str | None) -> str | None:
    """Return a number without an exponent (up to about 100 digits), with HubSpot's digits otherwise unchanged."""
    if value is None or "e" not in value.lower():
        return value
    try:
        number = Decimal(value)
    except Exception:  # noqa: BLE001 - the errors of the parser differ between versions of Python
        return value
    return format(number, "f") if number.is_finite() and abs(number.adjusted()) < 100 else value


def parse_datetime(value: str | None) -> datetime | None:
    """Return the UTC datetime of a HubSpot value: ISO 8601, a date, or epoch milliseconds. None if it is none of these.

    https://developers.hubspot.com/docs/api-reference/crm-properties-v3/guide
    """
    if value is None:
        return None
    try:
        if _EPOCH_MILLISECONDS.fullmatch(value):
            return EPOCH + timedelta(milliseconds=int(value))
        parsed = datetime.fromisoformat(value)
        return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    except Exception:  # noqa: BLE001 - the errors of the parser differ between versions of Python
        return None


def datetime_to_wire(value: datetime) -> str:
    """Return a datetime in HubSpot's format: ISO 8601, UTC, milliseconds."""
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
