"""The examples in the OpenAPI document: requests that work as they stand, answers and errors as they come."""

from collections.abc import Iterable
from typing import Any, Final

from crm_api.errors import ErrorType

_REQUEST_ID: Final = "5f0c8a52c2f04d6c8a1d0a2b7c9e4f11"
# What the operations say when they succeed.
_MESSAGES: Final = {
    "register": "User registered successfully",
    "verifyEmail": "E-mail verified successfully",
    "resendVerification": "Check your e-mail to finish",
    "logIn": "User authenticated successfully",
    "refreshToken": "Token refreshed successfully",
    "getMe": "Profile retrieved successfully",
    "updateMe": "Profile updated successfully",
    "forgotPassword": "Check your e-mail to finish",
    "exportMe": "Export created successfully",
    "listPipelines": "Pipelines retrieved successfully",
    "listDeals": "Deals retrieved successfully",
    "createDeal": "Deal created successfully",
    "getDeal": "Deal retrieved successfully",
    "updateDeal": "Deal updated successfully",
    "getTicket": "Ticket retrieved successfully",
    "createTicket": "Ticket created successfully",
    "updateTicket": "Ticket updated successfully",
    "listTickets": "Tickets retrieved successfully",
    "listCrmObjects": "CRM objects retrieved successfully",
    "searchEverything": "Search completed successfully",
    "searchDeals": "Deals found successfully",
    "searchTickets": "Tickets found successfully",
    "listContacts": "Contacts retrieved successfully",
    "createContact": "Contact created successfully",
    "getContact": "Contact retrieved successfully",
    "updateContact": "Contact updated successfully",
    "searchContacts": "Contacts found successfully",
    "listProperties": "Properties retrieved successfully",
}
# One story through all examples: Ada's contact, her deal, and the ticket on it, in an account as HubSpot sets it up.
_CONTACT: Final = {"id": "501", "hs_object_id": "501", "properties": {}}
_DEAL: Final = {
    "id": "9001",
    "hs_object_id": "9001",
    "closedate": "2026-12-31T00:00:00.000Z",
    "createdate": "2026-11-02T10:05:00.000Z",
    "hs_lastmodifieddate": "2026-11-02T10:05:00.000Z",
    "properties": {},
}
_TICKET: Final = {
    "id": "7001",
    "hs_object_id": "7001",
    "createdate": "2026-11-02T10:10:00.000Z",
    "hs_lastmodifieddate": "2026-11-02T10:10:00.000Z",
    "properties": {},
}
_LAST_PAGE: Final = {"next_cursor": None, "total": 1, "truncated": False}
_DEAL_STAGES: Final = (
    ("appointmentscheduled", "Appointment Scheduled", False),
    ("qualifiedtobuy", "Qualified To Buy", False),
    ("closedwon", "Closed Won", True),
)
_TICKET_STAGES: Final = (("1", "New", False), ("2", "Waiting on contact", False), ("4", "Closed", True))


def _pipeline(name: str, label: str, stages: Iterable[tuple[str, str, bool]]) -> dict[str, Any]:
    return {
        "id": name,
        "label": label,
        "display_order": 0,
        "stages": [
            {"id": stage, "label": words, "display_order": order, "is_closed": closed, "may_set": True}
            for order, (stage, words, closed) in enumerate(stages)
        ],
    }


# Where the examples of a schema's fields, put together, would contradict each other.
_ANSWERS: Final[dict[str, dict[str, Any]]] = {
    "Contact": _CONTACT,
    "ContactWithDeals": _CONTACT,
    "Deal": _DEAL,
    "DealWithTickets": _DEAL,
    "Ticket": _TICKET,
    "ContactSearchPage": _LAST_PAGE,
    "DealSearchPage": _LAST_PAGE,
    "TicketSearchPage": _LAST_PAGE,
    "FoundRecords": {"failed": []},
    "Profile": {"contact_id": "501", "email_verified": True},
    "AuditRecord": {"actor": "anonymous", "detail": None},
    "SessionRecord": {"expires_at": "2027-01-31T10:00:00.000Z", "revoked_at": None},
    "Pipelines": {
        "deals": [_pipeline("default", "Sales Pipeline", _DEAL_STAGES)],
        "tickets": [_pipeline("0", "Support Pipeline", _TICKET_STAGES)],
    },
    "RecordProperty": {"filterable": True},
    "Dependency": {"problem": None},
}
# Where sending every field at once would be refused, or would not be what anybody does.
_REQUESTS: Final[dict[str, dict[str, Any]]] = {
    "PasswordChange": {
        "request": {
            "current_password": "correct horse battery",
            "new_password": "a lighthouse in the fog",
        }
    },
    "PasswordReset": {
        "request": {
            "token": "pQd3x7c1V9yqk2b0nS8mT5uW4zA6eR1fJ7hG0lK2xYc",
            "password": "a lighthouse in the fog",
        }
    },
    "DealCreate": {
        "deal": {
            "dealname": "Fleet renewal",
            "dealstage": "qualifiedtobuy",
            "amount": "1500.50",
            "closedate": "2026-12-31",
            "description": "Twelve vans",
        },
        "shortest": {"dealname": "Fleet renewal", "dealstage": "appointmentscheduled"},
        "amount_as_number": {"dealname": "Fleet renewal", "dealstage": "qualifiedtobuy", "amount": 1500.5},
    },
    "DealUpdate": {
        "next_stage": {"dealstage": "presentationscheduled"},
        "clear": {"closedate": None, "amount": "1750.00"},
    },
    "TicketCreate": {
        "ticket": {
            "subject": "Third van is late",
            "description": "It was due on Monday.",
            "hs_pipeline_stage": "1",
            "category": "technical_issue",
            "hs_ticket_priority": "HIGH",
        }
    },
    "TicketUpdate": {"next_stage": {"hs_pipeline_stage": "2"}, "clear": {"hs_ticket_priority": None}},
    "ContactCreate": {
        "contact": {"email": "grace@example.com", "firstname": "Grace", "lastname": "Hopper"},
    },
    "ContactUpdate": {"phone": {"phone": "+44 20 7946 0099"}},
    "ProfileUpdate": {"phone": {"phone": "+44 20 7946 0099"}},
    "Logout": {"this_session": {"everywhere": False}, "all_sessions": {"everywhere": True}},
    "RecordSearch": {
        "text": {"query": "fleet", "limit": 10},
        "filters": {
            "filters": [{"property": "createdate", "operator": "GTE", "value": "2026-01-01T00:00:00Z"}],
            "sort": {"property": "createdate", "direction": "descending"},
        },
    },
    "TokenGrant": {
        "password": {
            "grant_type": "password",
            "username": "ada@example.com",
            "password": "correct horse battery",
        },
        "refresh_token": {
            "grant_type": "refresh_token",
            "refresh_token": "rt_pQd3x7c1V9yqk2b0nS8mT5uW4zA6eR1f",
        },
    },
}
# Where an operation says more than the table of errors does.
SAID_BY: Final = {
    ("refreshToken", "invalid_token"): "The refresh token is not valid; log in again.",
    (
        "createDeal",
        "forbidden",
    ): "contact_id is only for staff; omit it to create the deal for your own contact.",
}
# What is said of a field where "is required" would not fit.
_NO_STAGE: Final = "is not a stage of this pipeline; GET /api/pipelines lists them"
_WRONG: Final = {
    "createToken": ("username", "must have at most 254 characters"),
    "updateMe": ("phone", "needs at least five digits"),
    "logOut": ("everywhere", "should be a valid boolean"),
    "createDeal": ("dealstage", _NO_STAGE),
    "updateDeal": ("dealstage", _NO_STAGE),
    "createTicket": ("hs_pipeline_stage", _NO_STAGE),
    "updateTicket": ("hs_pipeline_stage", _NO_STAGE),
    "updateContact": ("email", "may not be changed by you"),
    "searchEverything": ("q", "is required"),
    "searchDeals": ("filters.0.property", "is not filterable; GET /api/properties/deals lists what is"),
    "searchTickets": ("filters.0.property", "is not filterable; GET /api/properties/tickets lists what is"),
    "searchContacts": ("filters.0.property", "is not filterable; GET /api/properties/contacts lists what is"),
    "listProperties": ("object_type", "should be 'contacts', 'deals' or 'tickets'"),
}


def request_examples(schema: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    """Bodies of a request, by name, as `examples` holds them."""
    name = _name(schema)
    shown = _REQUESTS.get(name) or {"request": sample(schema, schemas)}
    return {each: {"summary": each.replace("_", " ").capitalize(), "value": shown[each]} for each in shown}


def success_example(operation_id: str, status: int, schema: dict[str, Any], schemas: dict[str, Any]) -> Any:
    """What an operation answers with when it succeeds, as `examples` holds it."""
    value = sample(schema, schemas)
    if operation_id in _MESSAGES:
        value["message"] = _MESSAGES[operation_id] if status != 202 else _MESSAGES["resendVerification"]
    if status != 503:
        return {"success": {"summary": "Success", "value": value}}
    database = {**value["database"], "state": "down", "problem": "TimeoutError"}
    return {
        "unavailable": {
            "summary": "Unavailable",
            "value": {**value, "status": "unavailable", "database": database},
        }
    }


def error_examples(
    operation: dict[str, Any], kinds: Iterable[ErrorType], schemas: dict[str, Any]
) -> dict[str, Any]:
    """The bodies of these errors, by code, as `examples` holds them."""
    field, message = _wrong_field(operation, schemas)
    return {
        kind.code: {"summary": kind.detail, "value": _problem(kind, field=field, message=message)}
        for kind in (
            kind._replace(detail=SAID_BY.get((operation["operationId"], kind.code), kind.detail))
            for kind in kinds
        )
    }


def sample(schema: dict[str, Any], schemas: dict[str, Any]) -> Any:
    """A value that the schema allows, made of the examples in it."""
    if schema.get("examples"):
        return schema["examples"][0]
    if "$ref" in schema:
        name = _name(schema)
        made = sample(schemas[name], schemas)
        return {**made, **_ANSWERS[name]} if name in _ANSWERS else made
    if "anyOf" in schema:
        return sample(schema["anyOf"][0], schemas)
    if schema.get("type") == "object":
        return {name: sample(inner, schemas) for name, inner in schema.get("properties", {}).items()}
    if schema.get("type") == "array":
        return [sample(schema["items"], schemas)]
    return schema.get("default")


def _problem(kind: ErrorType, *, field: str, message: str) -> dict[str, Any]:
    details = {
        "validation_error": [{"field": field, "message": message}],
        "malformed_body": [{"field": "body", "message": "is not valid JSON"}],
        "wrong_password": [{"field": "current_password", "message": "is wrong"}],
    }.get(kind.code, [])
    return {
        "type": f"/problems/{kind.type}",
        "title": kind.title,
        "status": kind.status,
        "detail": f"One field is not valid: {field}." if kind.code == "validation_error" else kind.detail,
        "error": "ratelimit exceeded 120 per 1 minute" if kind.status == 429 else kind.title,
        "code": kind.code,
        "details": details,
        "request_id": _REQUEST_ID,
    }


def _wrong_field(operation: dict[str, Any], schemas: dict[str, Any]) -> tuple[str, str]:
    """A field of this request, and what is said of it where it is wrong."""
    if operation["operationId"] in _WRONG:
        return _WRONG[operation["operationId"]]
    for content in operation.get("requestBody", {}).get("content", {}).values():
        return schemas[_name(content["schema"])]["required"][0], "is required"
    for parameter in operation.get("parameters", ()):
        if parameter["name"] == "limit":
            return "limit", "should be less than or equal to 100"
    return "id", "has characters that are not allowed here"


def _name(schema: dict[str, Any]) -> str:
    reference = schema.get("$ref", "")
    for branch in schema.get("anyOf", ()):
        reference = reference or branch.get("$ref", "")
    return str(reference).rpartition("/")[2]
