"""Responses of an operation: what a route declares, and the error codes that follow from the operation's shape."""

import json
from typing import Any, Final

from crm_api.errors import ERROR_TYPES, ErrorType
from crm_api.openapi.examples import DETAILS_BY_OPERATION, error_examples
from crm_api.openapi.headers import COMMON_HEADERS, ERROR_HEADERS, header_references
from crm_api.schemas.problems import MEDIA_TYPE

Responses = dict[int | str, dict[str, Any]]
HUBSPOT_ERRORS: Final = (
    "hubspot_error",
    "hubspot_credentials_refused",
    "hubspot_unavailable",
    "hubspot_timeout",
)
CREATE_ERRORS: Final = (*HUBSPOT_ERRORS, "outcome_unknown")


def responses(
    *codes: str, message: str = "", status: int = 200, etag: bool = False, not_modified: bool = False
) -> Responses:
    """Return a route's `responses`: the given error codes, the success message, and the 304.

    `add_error_responses` adds the codes of `implied_codes`.
    """
    declared: Responses = {}
    for code in codes:
        response = declared.setdefault(ERROR_TYPES[code].status, {"description": "Error", "x-codes": []})
        response["x-codes"].append(code)
    if message:
        declared[status] = {"x-message": message, "headers": header_references("ETag") if etag else {}}
    if not_modified:
        description = "The representation that `If-None-Match` names is current."
        declared[304] = {"description": description, "headers": header_references("ETag")}
    return declared


def implied_codes(operation: dict[str, Any]) -> set[str]:
    """Return the error codes that follow from an operation's parameters, body and security."""
    content = operation.get("requestBody", {}).get("content", {})
    has_json_body = "application/json" in content
    parameters = {parameter["name"] for parameter in operation.get("parameters", ())}
    is_public_api = operation["tags"] != ["Operations"]
    implied = {
        # An unknown query parameter is refused by every operation except the probes.
        "validation_error": is_public_api,
        "malformed_body": has_json_body,
        "invalid_cursor": "cursor" in parameters or "/RecordSearch" in json.dumps(content),
        "invalid_token": bool(operation.get("security")),
        "not_found": "id" in parameters,
        "request_in_progress": "Idempotency-Key" in parameters,
        "precondition_failed": "If-Match" in parameters,
        "request_too_large": bool(content),
        # A form of another type lacks its parameters, which is a 400 (RFC 6749, section 5.2).
        "unsupported_media_type": has_json_body,
        "idempotency_key_reused": "Idempotency-Key" in parameters,
        "rate_limit_exceeded": is_public_api,
        "internal_server_error": True,
        "service_unavailable": is_public_api,
    }
    return {code for code, is_implied in implied.items() if is_implied}


def add_error_responses(operation: dict[str, Any], components: dict[str, Any]) -> None:
    """Add a response for each status of the declared and implied error codes."""
    codes = implied_codes(operation)
    for response in operation["responses"].values():
        codes.update(response.get("x-codes", ()))
    error_types = [error_type for error_type in ERROR_TYPES.values() if error_type.code in codes]
    for status in sorted({error_type.status for error_type in error_types}):
        same_status = [error_type for error_type in error_types if error_type.status == status]
        operation["responses"][str(status)] = _error_response(operation, same_status, components)


def _error_response(
    operation: dict[str, Any], error_types: list[ErrorType], components: dict[str, Any]
) -> dict[str, Any]:
    """Build the response; if operations can share it, add a component named after its codes and refer to that."""
    status = error_types[0].status
    response = {
        "description": " / ".join(dict.fromkeys(error_type.title for error_type in error_types)) + ".",
        "headers": header_references(*COMMON_HEADERS, *ERROR_HEADERS.get(status, ("RateLimit-Policy",))),
        "content": {
            MEDIA_TYPE: {
                "schema": {"$ref": "#/components/schemas/Problem"},
                "examples": error_examples(operation, error_types, components["schemas"]),
            }
        },
    }
    name = operation["operationId"]
    if status == 400 or any((name, error_type.code) in DETAILS_BY_OPERATION for error_type in error_types):
        return response
    component = "Or".join(error_type.code.title().replace("_", "") for error_type in error_types)
    components.setdefault("responses", {})[component] = response
    return {"$ref": f"#/components/responses/{component}"}
