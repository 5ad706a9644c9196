"""Properties that HubSpot calculates: stage probability, closed flags, close dates, contact defaults."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from hubspot_emulator.state.schema import Schema
from hubspot_emulator.wire.names import PIPELINE_PROPERTIES

# Source of a record created through the API, as in captured create responses of 2024.
_SOURCE_PROPERTIES = {"hs_object_source": "INTEGRATION", "hs_object_source_label": "INTEGRATION"}


def values_on_create(object_type: str, properties: Mapping[str, str], now: str) -> dict[str, str]:
    """Return the system properties of a new record, except `hs_object_id`."""
    if object_type == "contacts":
        return {
            "createdate": now,
            "lastmodifieddate": now,
            "hs_is_contact": "true",
            "hs_is_unworked": "true",
            "hs_marketable_status": "false",
            "hs_marketable_until_renewal": "false",
            "hs_pipeline": "contacts-lifecycle-pipeline",
            "lifecyclestage": properties.get("lifecyclestage") or "lead",
            "hs_lifecyclestage_lead_date": now,
            **_SOURCE_PROPERTIES,
        }
    if object_type == "deals":
        return {"createdate": now, "hs_createdate": now, "hs_lastmodifieddate": now, **_SOURCE_PROPERTIES}
    return {
        "createdate": now,
        "hs_lastmodifieddate": now,
        "hs_helpdesk_sort_timestamp": now,
        "hs_last_message_from_visitor": "false",
        **_SOURCE_PROPERTIES,
    }


def values_on_write(
    schema: Schema, object_type: str, before: Mapping[str, str], changes: Mapping[str, str], now: str
) -> dict[str, str]:
    """Return the calculated properties that follow from changed ones."""
    if object_type == "contacts":
        return _contact(changes)
    after = {**before, **changes}
    pipeline, stage_name = (after.get(name) for name in PIPELINE_PROPERTIES[object_type])
    stage = schema.stage(object_type, pipeline, stage_name)
    metadata: Mapping[str, Any] = stage["metadata"] if stage else {}
    is_closed = metadata.get("isClosed", "false") == "true"
    if object_type == "deals":
        return _deal(before, changes, after, metadata.get("probability"), now, is_closed=is_closed)
    return _ticket(before, changes, after, now, is_closed=is_closed)


def _contact(changes: Mapping[str, str]) -> dict[str, str]:
    computed = {}
    if "email" in changes:
        computed["hs_email_domain"] = changes["email"].rpartition("@")[2]
    if "phone" in changes:
        computed["hs_searchable_calculated_phone_number"] = "".join(filter(str.isdigit, changes["phone"]))
    return computed


def _deal(
    before: Mapping[str, str],
    changes: Mapping[str, str],
    after: Mapping[str, str],
    probability: str | None,
    now: str,
    *,
    is_closed: bool,
) -> dict[str, str]:
    probability_number = Decimal(probability or 0)
    computed = {
        "hs_is_closed_won": str(is_closed and probability_number == 1).lower(),
        "hs_is_closed_lost": str(is_closed and probability_number == 0).lower(),
    }
    if probability is not None:
        computed["hs_is_closed"] = str(is_closed).lower()
        # HubSpot returns the exact value of the binary fraction: https://github.com/revertinc/revert/issues/552
        computed["hs_deal_stage_probability"] = format(Decimal(float(probability)), "f")
    if amount := after.get("amount"):
        computed["amount_in_home_currency"] = amount
        computed["hs_forecast_amount"] = amount
    elif changes.get("amount") == "":
        computed["amount_in_home_currency"] = ""
        computed["hs_forecast_amount"] = ""
    was_closed = before.get("hs_is_closed") == "true"
    # HubSpot sets the close date when a deal enters a closed stage, unless the caller sets it.
    # https://knowledge.hubspot.com/records/hubspots-default-deal-properties
    if is_closed and not was_closed and not changes.get("closedate"):
        computed["closedate"] = now
    closed_at = computed.get("closedate") or after.get("closedate")
    if is_closed and closed_at:
        created_at = after.get("createdate") or now
        days = (datetime.fromisoformat(closed_at) - datetime.fromisoformat(created_at)).days
        computed["days_to_close"] = str(max(days, 0))
    return {name: value for name, value in computed.items() if before.get(name) != value}


def _ticket(
    before: Mapping[str, str],
    changes: Mapping[str, str],
    after: Mapping[str, str],
    now: str,
    *,
    is_closed: bool,
) -> dict[str, str]:
    # https://knowledge.hubspot.com/properties/hubspots-default-ticket-properties
    if is_closed and not before.get("closed_date") and not changes.get("closed_date"):
        created_at = after.get("createdate") or now
        seconds = (datetime.fromisoformat(now) - datetime.fromisoformat(created_at)).total_seconds()
        return {"closed_date": now, "time_to_close": str(int(seconds * 1000))}
    if not is_closed and before.get("closed_date") and "closed_date" not in changes:
        return {"closed_date": "", "time_to_close": ""}
    return {}
