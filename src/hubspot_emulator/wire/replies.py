"""Responses in HubSpot's shapes: success, error (with category, context, correlation ID) and batch."""

import json
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

JSON = "application/json;charset=utf-8"


@dataclass(slots=True)
class Reply:
    """Response of the emulator: `body` as JSON, `raw` as it is, or no body."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    content_type: str = JSON

    def content(self) -> bytes:
        if self.raw is not None:
            return self.raw
        if self.body is None:
            return b""
        return json.dumps(self.body, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")


class Refusal(Exception):  # noqa: N818 - an expected response, not a failure of the emulator
    """Error response in HubSpot's envelope, raised by the rules and the endpoints.

    https://developers.hubspot.com/docs/api-reference/error-handling
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        category: str | None = None,
        sub_category: str | None = None,
        context: Mapping[str, Sequence[str]] | None = None,
        errors: Sequence[Mapping[str, Any]] = (),
        extra: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.category = category
        self.sub_category = sub_category
        self.context = context
        self.errors = errors
        self.extra = extra or {}
        self.headers = dict(headers or {})

    def reply(self) -> Reply:
        correlation_id = str(uuid.uuid4())
        body: dict[str, Any] = {"status": "error", "message": self.message, "correlationId": correlation_id}
        if self.context:
            body["context"] = self.context
        if self.errors:
            body["errors"] = list(self.errors)
        if self.category:
            body["category"] = self.category
        if self.sub_category:
            body["subCategory"] = self.sub_category
        body |= self.extra
        # `extra` removes a member of the envelope by setting it to None.
        body = {name: value for name, value in body.items() if value is not None}
        headers = self.headers | {"X-HubSpot-Correlation-Id": body.get("correlationId", correlation_id)}
        return Reply(self.status, body, headers)

    def as_batch_error(self, *, trace_id: str | None = None) -> dict[str, Any]:
        """Return this error as a row of `errors` in a 207. HubSpot's OpenAPI document requires every member."""
        context = {name: list(values) for name, values in (self.context or {}).items()}
        if trace_id is not None:
            context["objectWriteTraceId"] = [trace_id]
        row: dict[str, Any] = {
            "status": "error",
            "category": self.category or "VALIDATION_ERROR",
            "message": self.message,
            "context": context,
            "errors": list(self.errors),
            "links": {},
        }
        if self.sub_category:
            row["subCategory"] = self.sub_category
        return row


def invalid(message: str, **context: Sequence[str]) -> Refusal:
    """Build a 400 VALIDATION_ERROR."""
    return Refusal(400, message, category="VALIDATION_ERROR", context=context or None)


def not_found(message: str = "resource not found", *, category: str | None = "OBJECT_NOT_FOUND") -> Refusal:
    return Refusal(404, message, category=category)


def unknown_object_type(name: str) -> Refusal:
    # https://github.com/cesc1989/apuntes (recorded responses)
    if re.fullmatch(r"\d+-\d+", name):
        return Refusal(400, f"Invalid object or event type id: {name}")
    return Refusal(400, f"Unable to infer object type from: {name}")


def missing_body() -> Refusal:
    # https://github.com/HubSpot/hubspot-api-ruby/issues/187
    return invalid("Invalid JSON input: a request body was expected, but none found")


def wrong_json(what: str = "value of type `java.util.LinkedHashMap`") -> Refusal:
    # This error has no category: https://github.com/HubSpot/hubspot-api-php/issues/227
    return Refusal(400, f"Invalid input JSON on line 1, column 1: Cannot deserialize {what}")


def wrong_enum(names: Sequence[str]) -> Refusal:
    return invalid(f"Invalid input JSON on line 1, column 1: Enum type must be one of: [{', '.join(names)}]")


def missing_fields(names: Sequence[str]) -> Refusal:
    names_text = ", ".join(names)
    return invalid(
        f"Invalid input JSON on line 1, column 2. Some required fields were not set: [{names_text}]"
    )


def invalid_properties(problems: Sequence[tuple[str, str, str]], portal_id: int) -> Refusal:
    """Build the 400 for invalid values from (property, code, message).

    HubSpot repeats the problems as a JSON array inside the message.

    https://developers.hubspot.com/docs/api-reference/error-handling
    """
    embedded = json.dumps(
        [
            {
                "isValid": False,
                "message": message,
                "error": code,
                "name": name,
                "localizedErrorMessage": message,
                "portalId": portal_id,
            }
            for name, code, message in problems
        ],
        separators=(",", ":"),
    )
    return Refusal(
        400,
        f"Property values were not valid: {embedded}",
        category="VALIDATION_ERROR",
        errors=[
            {"message": message, "code": code, "context": {"propertyName": [name]}}
            for name, code, message in problems
        ],
    )


def batch_reply(
    now: str, results: list[Any], errors: Sequence[Mapping[str, Any]] = (), *, status: int = 200
) -> Reply:
    """Build the response of a batch: `status`, or 207 if there are errors.

    https://developers.hubspot.com/docs/api-reference/error-handling#multi-status-errors
    """
    body: dict[str, Any] = {"status": "COMPLETE", "results": results}
    if errors:
        body |= {"numErrors": len(errors), "errors": list(errors)}
        status = 207
    body |= {"startedAt": now, "completedAt": now}
    return Reply(status, body)
