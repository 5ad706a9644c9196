"""The examples in the OpenAPI document; a test sends each request and compares the responses."""

from collections.abc import Iterable
from typing import Any, Final

from crm_api.errors import ApiError, ErrorType, invalid, problem_body
from crm_api.schemas.problems import FieldProblem

_REQUEST_ID: Final = "5f0c8a52c2f04d6c8a1d0a2b7c9e4f11"
# All examples use the same records: Ada's contact, her deal and its ticket, in a new HubSpot account.
_CONTACT: Final = {"id": "501", "hs_object_id": "501", "properties": {}}
_DEAL: Final = {
    "id": "9001", "hs_object_id": "9001", "closedate": "2026-12-31T00:00:00.000Z", "properties": {},
    "createdate": "2026-11-02T10:05:00.000Z", "hs_lastmodifieddate": "2026-11-02T10:05:00.000Z",
    "contact_ids": ["501"],
}  # fmt: skip
_TICKET: Final = {
    "id": "7001", "hs_object_id": "7001", "properties": {},
    "createdate": "2026-11-02T10:10:00.000Z", "hs_lastmodifieddate": "2026-11-02T10:10:00.000Z",
    "contact_ids": ["501"], "deal_ids": ["9001"],
}  # fmt: skip
_LAST_PAGE: Final = {"next_cursor": None, "total": 1, "truncated": False}
_DEAL_STAGES: Final = (
    ("appointmentscheduled", "Appointment Scheduled", False),
    ("qualifiedtobuy", "Qualified To Buy", False),
    ("closedwon", "Closed Won", True),
)
_TICKET_STAGES: Final = (("1", "New", False), ("2", "Waiting on contact", False), ("4", "Closed", True))


def _pipeline(pipeline_id: str, label: str, stages: Iterable[tuple[str, str, bool]]) -> dict[str, Any]:
    return {
        "id": pipeline_id,
        "label": label,
        "display_order": 0,
        "stages": [
            {"id": stage, "label": stage_label, "display_order": order, "is_closed": closed, "may_set": True}
            for order, (stage, stage_label, closed) in enumerate(stages)
        ],
    }


# Values for response schemas whose fields' examples would contradict each other.
_RESPONSE_VALUES: Final[dict[str, dict[str, Any]]] = {
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
    "ActiveSession": {"last_used_at": "2026-11-02T10:30:00.000Z", "is_current": True},
    "AuditRecord": {"actor": "anonymous", "detail": None},
    "SessionRecord": {
        "expires_at": "2027-01-31T10:00:00.000Z",
        "revoked_at": None,
        "last_used_at": "2026-11-02T10:30:00.000Z",
    },
    "Pipelines": {
        "deals": [_pipeline("default", "Sales Pipeline", _DEAL_STAGES)],
        "tickets": [_pipeline("0", "Support Pipeline", _TICKET_STAGES)],
    },
    "RecordProperty": {"filterable": True},
    "Dependency": {"problem": None},
}
# Bodies of requests for which the fields' examples together would be refused or unusual.
_REQUEST_BODIES: Final[dict[str, dict[str, Any]]] = {
    "Registration": {
        "request": {
            "email": "ada@example.com", "firstname": "Ada", "lastname": "Lovelace",
            "password": "correct horse battery", "phone": "+44 20 7946 0018",
        }
    },
    "PasswordChange": {
        "request": {"current_password": "correct horse battery", "new_password": "a lighthouse in the fog"}
    },
    "PasswordReset": {
        "request": {
            "token": "pQd3x7c1V9yqk2b0nS8mT5uW4zA6eR1fJ7hG0lK2xYc", "password": "a lighthouse in the fog"
        }
    },
    "DealCreate": {
        "deal": {
            "dealname": "Fleet renewal", "dealstage": "qualifiedtobuy", "amount": "1500.50",
            "closedate": "2026-12-31T00:00:00Z", "description": "Twelve vans",
        },
        "shortest": {"dealname": "Fleet renewal"},
    },
    "DealUpdate": {
        "next_stage": {"dealstage": "presentationscheduled"},
        "clear": {"closedate": None, "amount": "1750.00"},
    },
    "TicketCreate": {
        "ticket": {
            "subject": "Third van is late", "description": "It was due on Monday.",
            "hs_pipeline_stage": "1", "category": "technical_issue", "hs_ticket_priority": "HIGH",
        }
    },
    "TicketUpdate": {"next_stage": {"hs_pipeline_stage": "2"}, "clear": {"hs_ticket_priority": None}},
    "ContactCreate": {"contact": {"email": "grace@example.com", "firstname": "Grace", "lastname": "Hopper"}},
    "ContactUpdate": {"phone": {"phone": "+44 20 7946 0099"}},
    "ProfileUpdate": {"phone": {"phone": "+44 20 7946 0099"}},
    "SessionsToEnd": {"this_session": {"everywhere": False}, "all_sessions": {"everywhere": True}},
    "RecordSearch": {
        "text": {"query": "fleet", "limit": 10},
        "filters": {
            "filters": [{"property": "createdate", "operator": "GTE", "value": "2026-01-01T00:00:00Z"}],
            "sort": {"property": "createdate", "direction": "descending"},
        },
    },
    "TokenGrant": {
        "password": {
            "grant_type": "password", "username": "ada@example.com", "password": "correct horse battery"
        },
        "refresh_token": {
            "grant_type": "refresh_token", "refresh_token": "rt_pQd3x7c1V9yqk2b0nS8mT5uW4zA6eR1f"
        },
    },
}  # fmt: skip
# Details of operations that replace the default detail of the error table.
DETAILS_BY_OPERATION: Final = {
    ("refreshToken", "invalid_token"): "The refresh token is not valid; log in again.",
    ("createDeal", "forbidden"): "contact_id is only for staff; omit it to create the deal for your own contact.",
}  # fmt: skip
# Example of an invalid field by operation, if it is not a missing required field.
_UNKNOWN_STAGE: Final = "is not a stage of this pipeline; GET /api/pipelines lists them"
_INVALID_FIELDS: Final = {
    "createToken": ("username", "must have at most 254 characters"),
    "updateMe": ("phone", "needs at least five digits"),
    "logOut": ("everywhere", "must be true or false"),
    "createDeal": ("dealstage", _UNKNOWN_STAGE),
    "updateDeal": ("dealstage", _UNKNOWN_STAGE),
    "createTicket": ("hs_pipeline_stage", _UNKNOWN_STAGE),
    "updateTicket": ("hs_pipeline_stage", _UNKNOWN_STAGE),
    "updateContact": ("email", "may not be changed by you"),
    "exportMe": ("cursor", "has characters that are not allowed here"),
    "searchEverything": ("q", "is required"),
    "searchDeals": (
        "filters.0.property",
        "is not filterable; GET /api/properties/deals lists filterable ones",
    ),
    "searchTickets": (
        "filters.0.property",
        "is not filterable; GET /api/properties/tickets lists filterable ones",
    ),
    "searchContacts": (
        "filters.0.property",
        "is not filterable; GET /api/properties/contacts lists filterable ones",
    ),
    "listProperties": ("object_type", "must be 'contacts', 'deals' or 'tickets'"),
}


def request_examples(schema: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    """Return the `examples` of a request body."""
    name = _name(schema)
    bodies = _REQUEST_BODIES.get(name) or {"request": sample(schema, schemas)}
    return {
        key: {"summary": key.replace("_", " ").capitalize(), "value": body} for key, body in bodies.items()
    }


def success_example(message: str | None, status: int, schema: dict[str, Any], schemas: dict[str, Any]) -> Any:
    """Return the `examples` of a successful response, or of a 503 of the readiness probe.

    A page of a list has a second example, without a next page.
    """
    value = sample(schema, schemas)
    if message is not None:
        value["message"] = message
    if status != 503:
        examples = {"success": {"summary": "Success", "value": value}}
        last_page = _without_cursor(value)
        if last_page != value:
            examples["last_page"] = {"summary": "Last page", "value": last_page}
        return examples
    database = {**value["database"], "state": "down", "problem": "TimeoutError"}
    value = {**value, "status": "unavailable", "database": database}
    return {"unavailable": {"summary": "Unavailable", "value": value}}


def _without_cursor(value: Any) -> Any:
    if isinstance(value, dict):
        cursors = {"next_cursor", "next_after"}
        return {key: None if key in cursors else _without_cursor(inner) for key, inner in value.items()}
    return value


def error_examples(
    operation: dict[str, Any], error_types: Iterable[ErrorType], schemas: dict[str, Any]
) -> dict[str, Any]:
    """Return the `examples` of an error response, one for each code."""
    field, message = _invalid_field(operation, schemas)
    examples = {}
    for error_type in error_types:
        detail = DETAILS_BY_OPERATION.get((operation["operationId"], error_type.code), error_type.detail)
        error = _example_error(error_type.code, detail, field=field, message=message)
        examples[error_type.code] = {"summary": detail, "value": problem_body(error, _REQUEST_ID)}
    return examples


def sample(schema: dict[str, Any], schemas: dict[str, Any]) -> Any:
    """Build a value from the examples in the schema."""
    if schema.get("examples"):
        return schema["examples"][0]
    if "$ref" in schema:
        name = _name(schema)
        value = sample(schemas[name], schemas)
        return {**value, **_RESPONSE_VALUES[name]} if name in _RESPONSE_VALUES else value
    if "anyOf" in schema:
        return sample(schema["anyOf"][0], schemas)
    if schema.get("type") == "object":
        return {name: sample(inner, schemas) for name, inner in schema.get("properties", {}).items()}
    if schema.get("type") == "array":
        return [sample(schema["items"], schemas)]
    return schema.get("default")


def _example_error(code: str, detail: str, *, field: str, message: str) -> ApiError:
    if code == "validation_error":
        return invalid(field, message)
    details = {
        "malformed_body": [FieldProblem(field="body", message="is not valid JSON")],
        "wrong_password": [FieldProblem(field="current_password", message="is wrong")],
    }.get(code, [])
    exceeded_limit = "ratelimit exceeded 120 per 1 minute" if code == "rate_limit_exceeded" else None
    return ApiError(code, detail, details=details, error=exceeded_limit)


def _invalid_field(operation: dict[str, Any], schemas: dict[str, Any]) -> tuple[str, str]:
    """Return an example of an invalid field of the operation, and its message."""
    if operation["operationId"] in _INVALID_FIELDS:
        return _INVALID_FIELDS[operation["operationId"]]
    for content in operation.get("requestBody", {}).get("content", {}).values():
        return schemas[_name(content["schema"])]["required"][0], "is required"
    for parameter in operation.get("parameters", ()):
        if parameter["name"] == "limit":
            return "limit", "must be at least 1"
        if parameter["name"] == "id":
            return "id", "has characters that are not allowed here"
    return "page", "is not a parameter of this operation"


def _name(schema: dict[str, Any]) -> str:
    reference = schema.get("$ref", "")
    for branch in schema.get("anyOf", ()):
        reference = reference or branch.get("$ref", "")
    return str(reference).rpartition("/")[2]
