"""The examples in the OpenAPI document: requests that work as they stand, answers and errors as they come."""

from collections.abc import Iterable
from typing import Any, Final

from crm_api.errors import Kind

_REQUEST_ID: Final = "5f0c8a52c2f04d6c8a1d0a2b7c9e4f11"
# Where sending every field at once would be refused, or would not be what anybody does.
_REQUESTS: Final[dict[str, dict[str, Any]]] = {
    "DealCreate": {
        "deal": {
            "dealname": "Fleet renewal",
            "dealstage": "qualifiedtobuy",
            "amount": 1500.5,
            "closedate": "2026-12-31",
            "description": "Twelve vans",
        },
        "shortest": {"dealname": "Fleet renewal", "dealstage": "appointmentscheduled"},
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


def request_examples(schema: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    """Bodies of a request, by name, as `examples` holds them."""
    name = _name(schema)
    shown = _REQUESTS.get(name) or {"request": sample(schema, schemas)}
    return {each: {"summary": each.replace("_", " ").capitalize(), "value": shown[each]} for each in shown}


def error_examples(
    operation: dict[str, Any], kinds: Iterable[Kind], schemas: dict[str, Any]
) -> dict[str, Any]:
    """The bodies of these errors, by code, as `examples` holds them."""
    field, message = _wrong_field(operation, schemas)
    return {
        kind.code: {"summary": kind.detail, "value": _problem(kind, field=field, message=message)}
        for kind in kinds
    }


def sample(schema: dict[str, Any], schemas: dict[str, Any]) -> Any:
    """A value that the schema allows, made of the examples in it."""
    if schema.get("examples"):
        return schema["examples"][0]
    if "$ref" in schema:
        return sample(schemas[_name(schema)], schemas)
    if "anyOf" in schema:
        return sample(schema["anyOf"][0], schemas)
    if schema.get("type") == "object":
        return {name: sample(inner, schemas) for name, inner in schema.get("properties", {}).items()}
    if schema.get("type") == "array":
        return [sample(schema["items"], schemas)]
    return schema.get("default")


def _problem(kind: Kind, *, field: str, message: str) -> dict[str, Any]:
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
    """A field of this request, and what may be wrong with it."""
    for content in operation.get("requestBody", {}).get("content", {}).values():
        body = schemas.get(_name(content["schema"]), {})
        if "dealstage" in body.get("properties", {}):
            return "dealstage", "is not a stage of this pipeline"
        if body.get("required"):
            return body["required"][0], "is required"
        if body.get("properties"):
            return next(iter(body["properties"])), "is not valid"
    for parameter in operation.get("parameters", ()):
        if parameter["name"] == "limit":
            return "limit", "should be less than or equal to 100"
        if parameter["in"] != "header":
            return parameter["name"], "has characters that are not allowed here"
    return "X-Request-ID", "is not valid"


def _name(schema: dict[str, Any]) -> str:
    reference = schema.get("$ref", "")
    for branch in schema.get("anyOf", ()):
        reference = reference or branch.get("$ref", "")
    return str(reference).rpartition("/")[2]
