"""Answers in HubSpot's shapes: replies, and refusals with category, context and correlation id."""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

JSON = "application/json;charset=utf-8"


@dataclass(slots=True)
class Reply:
    """What goes back: JSON unless `raw` says otherwise; no body at all when both are absent."""

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


class Refusal(Exception):  # noqa: N818 - a refusal is an ordinary answer of HubSpot
    """A request refused in HubSpot's envelope.

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
        # An envelope of its own leaves members out by setting them to None.
        body = {name: value for name, value in body.items() if value is not None}
        return Reply(self.status, body, self.headers | {"X-HubSpot-Correlation-Id": correlation_id})

    def row(self, *, trace_id: str | None = None) -> dict[str, Any]:
        """The same refusal as one of a 207's `errors`; every member is required by the spec."""
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
    """A 400 VALIDATION_ERROR."""
    return Refusal(400, message, category="VALIDATION_ERROR", context=context or None)


def not_found(message: str = "resource not found", *, category: str | None = "OBJECT_NOT_FOUND") -> Refusal:
    return Refusal(404, message, category=category)


def no_body() -> Refusal:
    # https://github.com/HubSpot/hubspot-api-ruby/issues/187
    return invalid("Invalid JSON input: a request body was expected, but none found")


def wrong_json(what: str = "value of type `java.util.LinkedHashMap`") -> Refusal:
    # Without a category: https://github.com/HubSpot/hubspot-api-php/issues/227
    return Refusal(400, f"Invalid input JSON on line 1, column 1: Cannot deserialize {what}")


def fields_not_set(names: Sequence[str]) -> Refusal:
    listed = ", ".join(names)
    return invalid(f"Invalid input JSON on line 1, column 2: Some required fields were not set: [{listed}]")


def invalid_properties(problems: Sequence[tuple[str, str, str]], portal_id: int) -> Refusal:
    """The 400 of bad values, from (property, code, message): an array embedded in the text, and `errors`.

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


def batch(
    now: str, results: list[Any], errors: Sequence[Mapping[str, Any]] = (), *, status: int = 200
) -> Reply:
    """The envelope of every batch; 207 as soon as one row is an error.

    https://developers.hubspot.com/docs/api-reference/error-handling#multi-status-errors
    """
    body: dict[str, Any] = {"status": "COMPLETE", "results": results}
    if errors:
        body |= {"numErrors": len(errors), "errors": list(errors)}
        status = 207
    body |= {"startedAt": now, "completedAt": now}
    return Reply(status, body)
