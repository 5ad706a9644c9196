"""Properties, property groups and pipelines of a new HubSpot account."""

from collections.abc import Iterator
from typing import Any, Final

# HubSpot reports the epoch as the creation time of default stages.
_EPOCH: Final = "1970-01-01T00:00:00Z"
_CREATED: Final = "2019-08-06T02:41:08.377Z"

GROUPS: Final = {
    "contacts": (("contactinformation", "Contact information"),),
    "deals": (("dealinformation", "Deal information"),),
    "tickets": (("ticketinformation", "Ticket information"),),
}

# name: (type, fieldType, options); https://developers.hubspot.com/docs/api-reference/crm-properties/guide
_Table = dict[str, tuple[str, str, tuple[str, ...]]]

_TEXT = ("string", "text", ())
_AREA = ("string", "textarea", ())
_PHONE = ("string", "phonenumber", ())
_NUMBER = ("number", "number", ())
_DATETIME = ("datetime", "date", ())
_OWNER = ("enumeration", "select", ())

_CONTACTS: Final[_Table] = {
    **dict.fromkeys(
        ("email", "firstname", "lastname", "company", "jobtitle", "website", "address", "city", "state"),
        _TEXT,
    ),
    "country": _TEXT,
    "zip": _TEXT,
    "fax": _TEXT,
    "phone": _PHONE,
    "mobilephone": _PHONE,
    "message": _AREA,
    "closedate": _DATETIME,
    "lifecyclestage": (
        "enumeration",
        "radio",
        (
            "subscriber",
            "lead",
            "marketingqualifiedlead",
            "salesqualifiedlead",
            "opportunity",
            "customer",
            "evangelist",
            "other",
        ),
    ),
    "hs_lead_status": (
        "enumeration",
        "radio",
        (
            "NEW",
            "OPEN",
            "IN_PROGRESS",
            "OPEN_DEAL",
            "UNQUALIFIED",
            "ATTEMPTED_TO_CONTACT",
            "CONNECTED",
            "BAD_TIMING",
        ),
    ),
    "hubspot_owner_id": _OWNER,
}
_CONTACTS_READ_ONLY: Final[_Table] = {
    "hs_object_id": _NUMBER,
    **dict.fromkeys(
        (
            "createdate",
            "lastmodifieddate",
            "hs_createdate",
            "notes_last_updated",
            "hs_lifecyclestage_lead_date",
        ),
        _DATETIME,
    ),
    **dict.fromkeys(
        (
            "hs_additional_emails",
            "hs_email_domain",
            "hs_merged_object_ids",
            "hs_calculated_merged_vids",
            "hs_all_contact_vids",
            "hs_object_source",
            "hs_object_source_label",
            "hs_marketable_status",
            "hs_marketable_until_renewal",
            "hs_pipeline",
            "hs_searchable_calculated_phone_number",
        ),
        _TEXT,
    ),
    **dict.fromkeys(
        ("hs_is_contact", "hs_is_unworked", "hs_email_optout"), ("bool", "booleancheckbox", ("true", "false"))
    ),
    "num_notes": _NUMBER,
    "num_associated_deals": _NUMBER,
}

_DEALS: Final[_Table] = {
    "dealname": _TEXT,
    "amount": _NUMBER,
    "pipeline": ("enumeration", "select", ()),
    "dealstage": ("enumeration", "radio", ()),
    "closedate": _DATETIME,
    "description": _AREA,
    "dealtype": ("enumeration", "radio", ("newbusiness", "existingbusiness")),
    # Options of deals are in lower case, those of tickets in upper case.
    "hs_priority": ("enumeration", "select", ("low", "medium", "high")),
    "deal_currency_code": ("enumeration", "select", ("USD", "EUR", "GBP")),
    "hs_next_step": _TEXT,
    "closed_won_reason": _AREA,
    "closed_lost_reason": _AREA,
    "hs_manual_forecast_category": (
        "enumeration",
        "select",
        ("OMIT", "PIPELINE", "BEST_CASE", "COMMIT", "CLOSED"),
    ),
    "hubspot_owner_id": _OWNER,
}
_DEALS_READ_ONLY: Final[_Table] = {
    **dict.fromkeys(
        ("hs_is_closed", "hs_is_closed_won", "hs_is_closed_lost"),
        ("bool", "booleancheckbox", ("true", "false")),
    ),
    **dict.fromkeys(
        (
            "hs_deal_stage_probability",
            "amount_in_home_currency",
            "hs_forecast_amount",
            "days_to_close",
            "num_associated_contacts",
            "hs_object_id",
        ),
        _NUMBER,
    ),
    **dict.fromkeys(("createdate", "hs_createdate", "hs_lastmodifieddate", "hs_closed_won_date"), _DATETIME),
    **dict.fromkeys(("hs_object_source", "hs_object_source_label", "hs_merged_object_ids"), _TEXT),
}

_TICKETS: Final[_Table] = {
    "subject": _TEXT,
    "content": _AREA,
    "hs_pipeline": ("enumeration", "select", ()),
    "hs_pipeline_stage": ("enumeration", "select", ()),
    "hs_ticket_priority": ("enumeration", "select", ("LOW", "MEDIUM", "HIGH", "URGENT")),
    "hs_ticket_category": (
        "enumeration",
        "checkbox",
        ("PRODUCT_ISSUE", "BILLING_ISSUE", "FEATURE_REQUEST", "GENERAL_INQUIRY"),
    ),
    "source_type": ("enumeration", "select", ("CHAT", "EMAIL", "FORM", "PHONE")),
    "hs_resolution": ("enumeration", "radio", ("ISSUE_FIXED", "REPLIED_TO_CUSTOMER", "CUSTOMER_DROPPED_OFF")),
    "hubspot_owner_id": _OWNER,
    "created_by": _NUMBER,
    "closed_date": _DATETIME,
}
_TICKETS_READ_ONLY: Final[_Table] = {
    **dict.fromkeys(("time_to_close", "hs_ticket_id", "hs_object_id"), _NUMBER),
    **dict.fromkeys(("createdate", "hs_lastmodifieddate", "hs_helpdesk_sort_timestamp"), _DATETIME),
    "hs_last_message_from_visitor": ("bool", "booleancheckbox", ("true", "false")),
    **dict.fromkeys(("hs_object_source", "hs_object_source_label", "hs_merged_object_ids"), _TEXT),
}

_TABLES: Final = {
    "contacts": (_CONTACTS, _CONTACTS_READ_ONLY),
    "deals": (_DEALS, _DEALS_READ_ONLY),
    "tickets": (_TICKETS, _TICKETS_READ_ONLY),
}


def definitions(object_type: str) -> Iterator[dict[str, Any]]:
    """Yield the default property definitions of an object type, in HubSpot's shape."""
    group = GROUPS[object_type][0][0]
    for read_only, table in zip((False, True), _TABLES[object_type], strict=True):
        for name, (kind, field_type, values) in table.items():
            yield {
                "updatedAt": _CREATED,
                "createdAt": _CREATED,
                "name": name,
                "label": _label(name),
                "type": kind,
                "fieldType": field_type,
                "description": "",
                "groupName": group,
                "options": options(values),
                "displayOrder": -1,
                "calculated": read_only and name not in ("hs_object_id", "createdate"),
                "externalOptions": name == "hubspot_owner_id",
                "showCurrencySymbol": name == "amount",
                **({"referencedObjectType": "OWNER"} if name == "hubspot_owner_id" else {}),
                "archived": False,
                # `hasUniqueValue` of `email` is false, although `email` identifies a contact.
                "hasUniqueValue": name in ("hs_object_id", "hs_ticket_id"),
                "hidden": False,
                "hubspotDefined": True,
                "modificationMetadata": {
                    "archivable": False,
                    "readOnlyDefinition": True,
                    "readOnlyOptions": kind == "bool",
                    "readOnlyValue": read_only,
                },
                "formField": not read_only,
                "dataSensitivity": "non_sensitive",
            }


def options(values: tuple[str, ...]) -> list[dict[str, Any]]:
    return [
        {"label": _label(value), "value": value, "displayOrder": position, "hidden": False}
        for position, value in enumerate(values)
    ]


# Labels that cannot be built from the property name.
# https://knowledge.hubspot.com/properties/hubspots-default-contact-properties
# https://knowledge.hubspot.com/properties/hubspots-default-deal-properties
# https://knowledge.hubspot.com/properties/hubspots-default-ticket-properties
_LABELS: Final = {
    "closedate": "Close date",
    "content": "Ticket description",
    "createdate": "Create date",
    "deal_currency_code": "Currency",
    "dealname": "Deal name",
    "dealstage": "Deal stage",
    "dealtype": "Deal type",
    "description": "Deal description",
    "firstname": "First name",
    "hs_lastmodifieddate": "Last modified date",
    "hs_object_id": "Record ID",
    "hs_pipeline_stage": "Ticket status",
    "hs_ticket_category": "Category",
    "hs_ticket_priority": "Priority",
    "jobtitle": "Job title",
    "lastmodifieddate": "Last modified date",
    "lastname": "Last name",
    "lifecyclestage": "Lifecycle stage",
    "marketingqualifiedlead": "Marketing Qualified Lead",
    "mobilephone": "Mobile phone number",
    "phone": "Phone number",
    "salesqualifiedlead": "Sales Qualified Lead",
    "subject": "Ticket name",
    "zip": "Postal code",
}


def _label(name: str) -> str:
    return _LABELS.get(name, name.removeprefix("hs_").replace("_", " ").capitalize())


# https://developers.hubspot.com/docs/api-reference/crm-pipelines-v3/guide
_DEAL_STAGES: Final = (
    ("appointmentscheduled", "Appointment Scheduled", "0.2"),
    ("qualifiedtobuy", "Qualified To Buy", "0.4"),
    ("presentationscheduled", "Presentation Scheduled", "0.6"),
    ("decisionmakerboughtin", "Decision Maker Bought-In", "0.8"),
    ("contractsent", "Contract Sent", "0.9"),
    ("closedwon", "Closed Won", "1.0"),
    ("closedlost", "Closed Lost", "0.0"),
)
_TICKET_STAGES: Final = (
    ("1", "New", "OPEN"),
    ("2", "Waiting on contact", "OPEN"),
    ("3", "Waiting on us", "OPEN"),
    ("4", "Closed", "CLOSED"),
)


def pipelines(object_type: str) -> list[dict[str, Any]]:
    """Return the default pipeline of an object type; that of contacts has the lifecycle stages."""
    if object_type == "deals":
        rows = [
            (
                stage_id,
                label,
                {"isClosed": str(probability in ("1.0", "0.0")).lower(), "probability": probability},
            )
            for stage_id, label, probability in _DEAL_STAGES
        ]
        return [_pipeline("default", "Sales Pipeline", rows)]
    if object_type == "tickets":
        rows = [
            (stage_id, label, {"ticketState": state, "isClosed": str(state == "CLOSED").lower()})
            for stage_id, label, state in _TICKET_STAGES
        ]
        return [_pipeline("0", "Support Pipeline", rows)]
    _, _, stage_ids = _CONTACTS["lifecyclestage"]
    rows = [(stage_id, _label(stage_id), {}) for stage_id in stage_ids]
    return [_pipeline("contacts-lifecycle-pipeline", "Lifecycle Stage Pipeline", rows)]


def _pipeline(pipeline_id: str, label: str, rows: list[tuple[str, str, dict[str, str]]]) -> dict[str, Any]:
    stages = [
        {
            "label": stage_label,
            "displayOrder": position,
            "metadata": metadata,
            "createdAt": _EPOCH,
            "updatedAt": _EPOCH,
            "archived": False,
            "id": stage_id,
            "writePermissions": "CRM_PERMISSIONS_ENFORCEMENT",
        }
        for position, (stage_id, stage_label, metadata) in enumerate(rows)
    ]
    return {
        "label": label,
        "displayOrder": 0,
        # HubSpot does not sort stages by displayOrder.
        "stages": sorted(stages, key=lambda stage: str(stage["id"])),
        "createdAt": _EPOCH,
        "updatedAt": _EPOCH,
        "archived": False,
        "id": pipeline_id,
    }
