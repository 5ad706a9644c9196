"""Parsing of error responses and transport errors into the client's exceptions. Parsing never raises."""

import json
import re
import ssl
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

import httpx

from crm_api.hubspot.errors import (
    HubSpotCertificateError,
    HubSpotConflictError,
    HubSpotConnectionError,
    HubSpotCredentialsError,
    HubSpotError,
    HubSpotLockedError,
    HubSpotNotFoundError,
    HubSpotQuotaError,
    HubSpotRequestError,
    HubSpotScopeError,
    HubSpotServerError,
    HubSpotTimeoutError,
    HubSpotUnavailableError,
    HubSpotValidationError,
    PropertyProblem,
    QuotaPolicy,
)
from crm_api.hubspot.response_bodies import json_object
from crm_api.hubspot.retry import parse_retry_after

# The ID is only in the text: https://github.com/HubSpot/hubspot-api-php/issues/59
_EXISTING_ID = re.compile(r"Existing ID: (\d{1,32})")
_CODE = re.compile(r"[A-Z][A-Z0-9_]{1,79}")
_PROPERTY_NAME = re.compile(r"[A-Za-z0-9_.]{1,255}")
_SCOPE = re.compile(r"[A-Za-z0-9_.-]{1,100}")
# HubSpot does not document these texts; they are from public reports.
_UNKNOWN_ASSOCIATION = re.compile(r"INVALID_OBJECT_IDS|associations? (?:is|are) invalid", re.IGNORECASE)
# https://developers.hubspot.com/docs/api-reference/crm-properties-v3/guide#create-unique-identifier-properties
_DUPLICATE_VALUE = re.compile(
    r"\balready\b.{0,80}\b(?:us(?:ed|e|ing)|has|have|exists?|taken|assigned|set)\b"
    r"|\b(?:has|have|is|exists?)\b.{0,20}\balready\b"
    r"|DUPLICATE|NON_UNIQUE|CONFLICTING_UNIQUE|UNIQUE_VALUE",
    re.IGNORECASE | re.DOTALL,
)
# 400 without `errors`, seen on accounts in 2026 for the e-mail address of another contact (which is a 409 elsewhere)
# and for other unique properties. The value between the two parts may contain any text.
_DUPLICATE_OF = re.compile(r"Cannot set PropertyValueCoordinates\{[^\n]{0,200}?propertyName=([\w.]+), value=")
_HOLDER_ID = re.compile(r"\} on \d{1,32}\. (\d{1,32}) already has that value\.?\s*$")
_MAX_BODY_BYTES = 200_000

# https://developers.hubspot.com/docs/api-reference/error-handling and, for the codes,
# https://github.com/HubSpot/hubspot-api-php/issues/74
_PROBLEM_MESSAGES: Final[Mapping[str, str]] = {
    "PROPERTY_DOESNT_EXIST": "is not a property of this account",
    "DUPLICATE_VALUE": "is the value of another record and must be unique",
    "INVALID_OPTION": "is not one of the allowed options",
    "READ_ONLY_VALUE": "is calculated by HubSpot and cannot be set",
    "INVALID_EMAIL": "is not an e-mail address that HubSpot accepts",
    "INVALID_DATE": "is not a valid date",
    "INVALID_LONG": "is not a valid number",
    "INVALID_INTEGER": "is not a valid number",
    "INVALID_NUMBER": "is not a valid number",
    "MISSING_REQUIRED_PROPERTY": "is required by this account",
    "MISSING_CONDITIONAL_REQUIRED_PROPERTY": "is required by a rule of this account",
}
_UNKNOWN_PROBLEM = "is not accepted by HubSpot"


def error_from_transport(error: httpx.TransportError, *, operation: str) -> HubSpotError:
    """Convert a transport error of httpx. Its text may quote headers, so only its class name is used."""
    never_sent = isinstance(
        error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout | httpx.UnsupportedProtocol
    )
    if problem := certificate_problem(error):
        return HubSpotCertificateError(problem, operation=operation, sent=False)
    is_timeout = isinstance(error, httpx.TimeoutException)
    error_class = HubSpotTimeoutError if is_timeout else HubSpotConnectionError
    return error_class(type(error).__name__, operation=operation, sent=not never_sent)


def certificate_problem(error: httpx.TransportError) -> str | None:
    """Return OpenSSL's reason if the server's certificate is not trusted; httpx only keeps it as a cause."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return cause.verify_message
        cause = cause.__cause__ or cause.__context__
    return None


def error_from_response(
    response: httpx.Response, *, operation: str, now: datetime, search: bool = False
) -> HubSpotError:
    """Convert an error response. Every field of its body is optional.

    https://developers.hubspot.com/docs/api-reference/error-handling
    """
    status = response.status_code
    body = json_object(response.content[:_MAX_BODY_BYTES])
    message = _text(body, "message")
    fields: dict[str, Any] = {
        "status_code": status,
        "category": _text(body, "category") or _text(body, "errorType"),
        "correlation_id": _text(body, "correlationId") or response.headers.get("x-hubspot-correlation-id"),
        "operation": operation,
        "retry_after": parse_retry_after(response.headers, now=now),
    }
    match status:
        case 400:
            text = _searchable_text(body)
            problems = list(_problems(body, message))
            if not problems and (duplicate := _DUPLICATE_OF.search(message or "")):
                if duplicate[1] == "email" and operation.startswith("contacts."):
                    return HubSpotConflictError(existing_id=_first_group(_HOLDER_ID, message), **fields)
                problems = [_problem("DUPLICATE_VALUE", duplicate[1])]
            return HubSpotValidationError(
                problems=problems,
                names_unknown_association=bool(_UNKNOWN_ASSOCIATION.search(text)),
                duplicate_unique_value=bool(_DUPLICATE_VALUE.search(text)),
                **fields,
            )
        case 401:
            return HubSpotCredentialsError("access token rejected", **fields)
        case 403:
            scopes = list(_required_scopes(body))
            if scopes or fields["category"] == "MISSING_SCOPES":
                return HubSpotScopeError("a scope is missing", required_scopes=scopes, **fields)
            return HubSpotCredentialsError("not permitted", **fields)
        case 404:
            return HubSpotNotFoundError(**fields)
        case 409:
            return HubSpotConflictError(existing_id=_first_group(_EXISTING_ID, message), **fields)
        case 423:
            return HubSpotLockedError("record locked", **fields)
        case 429:
            return HubSpotQuotaError(policy=quota_policy(body, search=search), **fields)
        case 477:
            # HubSpot is moving the account: https://developers.hubspot.com/docs/api-reference/error-handling
            return HubSpotUnavailableError("account migration", **fields)
        case 408:
            return HubSpotServerError("request timeout", **fields)
        case _ if status >= 500:
            return HubSpotServerError(**fields)
        case _:
            return HubSpotRequestError(**fields)


def quota_policy(body: Mapping[str, Any], *, search: bool) -> QuotaPolicy:
    """Return which limit a 429 reports, from `policyName` or the text; HubSpot uses two formats.

    https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines and
    https://github.com/HubSpot/hubspot-api-python/issues/117
    """
    text = f"{_text(body, 'policyName') or ''} {_text(body, 'message') or ''}".lower()
    if "daily" in text:
        return "daily"
    if "ten_secondly" in text:
        return "burst"
    if "secondly" in text:
        return "search"
    return "search" if search else "unknown"


def problem_message(code: str) -> str:
    """Return our text for one of HubSpot's error codes."""
    return _PROBLEM_MESSAGES.get(code, _UNKNOWN_PROBLEM)


def _text(body: Mapping[str, Any], key: str) -> str | None:
    value = body.get(key)
    return value if isinstance(value, str) else None


def _first_group(pattern: re.Pattern[str], text: str | None) -> str | None:
    match = pattern.search(text or "")
    return match[1] if match else None


def _objects(value: object) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, list):
        yield from (item for item in value[:1000] if isinstance(item, dict))


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        yield from (item for item in value if isinstance(item, str))


def _context(row: Mapping[str, Any], key: str) -> list[str]:
    context = row.get("context")
    return list(_texts(context.get(key))) if isinstance(context, dict) else []


def _searchable_text(body: Mapping[str, Any]) -> str:
    """Return all texts that may name the reason, context keys included. They are searched, never stored."""
    rows = [body, *_objects(body.get("errors"))]
    texts = [_text(row, key) or "" for row in rows for key in ("message", "code", "subCategory", "category")]
    contexts = [row.get("context") for row in rows]
    texts += [str(key) for context in contexts if isinstance(context, dict) for key in context]
    return "\n".join(text[:5000] for text in texts)


def _required_scopes(body: Mapping[str, Any]) -> Iterator[str]:
    for row in _objects(body.get("errors")):
        for scope in (*_context(row, "requiredGranularScopes"), *_context(row, "requiredScopes")):
            if _SCOPE.fullmatch(scope):
                yield scope


def _problems(body: Mapping[str, Any], message: str | None) -> Iterator[PropertyProblem]:
    """Yield problems from `errors[].code`. Older responses only embed a JSON array in the text.

    https://github.com/HubSpot/hubspot-api-php/issues/74
    """
    found = False
    for row in _objects(body.get("errors")):
        code = _text(row, "code")
        if code is None:
            continue
        names = _context(row, "propertyName") or [_text(row, "in") or ""]
        for name in names:
            found = True
            yield _problem(code, name, _text(row, "message"))
    if not found:
        for row in _embedded_rows(message):
            yield _problem(_text(row, "error") or "", _text(row, "name") or "", _text(row, "message"))


def _problem(code: str, name: str, text: str | None = None) -> PropertyProblem:
    code = code if _CODE.fullmatch(code) else "UNKNOWN"
    # A text about a duplicate names another record.
    is_explained = code in _PROBLEM_MESSAGES or not text or _DUPLICATE_VALUE.search(text) is not None
    return PropertyProblem(
        name if _PROPERTY_NAME.fullmatch(name) else None,
        code,
        problem_message(code),
        None if is_explained else text,
    )


def _embedded_rows(message: str | None) -> Iterator[Mapping[str, Any]]:
    start = (message or "").find("[{")
    if start < 0:
        return
    try:
        rows, _ = json.JSONDecoder().raw_decode((message or "")[start:])
    except (ValueError, RecursionError):
        return
    yield from _objects(rows)
