"""The error table, the error body, and the mapping of HubSpot's and validation errors to it."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from starlette.responses import JSONResponse

from crm_api.hubspot import errors as hubspot
from crm_api.schemas.problems import MEDIA_TYPE, FieldProblem, Problem


class ErrorType(NamedTuple):
    """One row of the error table."""

    status: int
    code: str
    detail: str
    """The default detail."""
    type: str
    title: str


def _error(status: int, code: str, detail: str, *, title: str = "", type_: str = "") -> ErrorType:
    """Build a row; `type` and `title` follow from the code unless they are given."""
    return ErrorType(
        status,
        code,
        detail,
        type_ or code.replace("_", "-"),
        title or code.replace("_", " ").capitalize().replace("Hubspot", "HubSpot"),
    )


_VALIDATION: Final = {"type_": "validation-error", "title": "Validation error"}
# fmt: off
_ERROR_TYPES: Final = (
    _error(400, "validation_error", "The request is not valid; see details."),
    _error(400, "malformed_body", "The body is not valid JSON.", **_VALIDATION),
    _error(400, "invalid_cursor", "The cursor is not from this list; start again without a cursor.", **_VALIDATION),
    _error(400, "wrong_password", "The current password is wrong.", **_VALIDATION),
    # OAuth2 client libraries read `error` at the token endpoint (RFC 6749, section 5.2).
    _error(400, "invalid_grant", "The credentials or the refresh token are not valid.", title="invalid_grant"),
    _error(400, "invalid_request",
           "A parameter of the token request is missing or sent twice.", title="invalid_request"),
    _error(400, "unsupported_grant_type",
           "This grant_type is not supported; use password or refresh_token.", title="unsupported_grant_type"),
    _error(400, "invalid_link",
           "The link is not valid, has expired or was already used, or the password is not the one given at "
           "registration; request a new link."),
    _error(401, "invalid_token",
           "The access token is missing, not valid or expired; log in and send it as Authorization: Bearer."),
    _error(401, "invalid_credentials", "The e-mail address or the password is wrong."),
    _error(403, "forbidden", "Your role does not allow this."),
    _error(403, "registration_closed", "Registration is not open for this e-mail address."),
    _error(404, "not_found",
           "The path or record does not exist, or you have no access to it.", title="Resource not found"),
    _error(405, "method_not_allowed", "This path does not have this method; the Allow header lists its methods."),
    _error(409, "user_exists",
           "A user with this e-mail address exists or is being registered now; log in instead.",
           title="User already exists"),
    _error(409, "contact_exists", "Another contact has this e-mail address.", title="Contact already exists"),
    _error(409, "contact_missing", "Your user is not linked to a contact in the CRM; ask the company to link it."),
    _error(409, "request_in_progress",
           "A request with this Idempotency-Key is in progress; retry after Retry-After seconds."),
    _error(412, "precondition_failed", "The record has changed since you read it; read it again."),
    _error(413, "request_too_large", "The body is too large; send a smaller one."),
    _error(415, "unsupported_media_type", "Send the body as application/json."),
    _error(422, "idempotency_key_reused", "This Idempotency-Key was used for another request; use a new one."),
    _error(429, "rate_limit_exceeded", "Too many requests; retry after Retry-After seconds."),
    _error(500, "internal_server_error", "The service failed; the error is logged under this request_id."),
    _error(502, "hubspot_error", "HubSpot returned an error; changing the request does not help."),
    _error(502, "hubspot_credentials_refused",
           "HubSpot refused this service's credentials; the operator has to replace them.",
           type_="hubspot-credentials"),
    _error(503, "hubspot_unavailable", "HubSpot cannot accept this request now; retry after Retry-After seconds."),
    _error(503, "service_unavailable", "The service is unavailable; retry after Retry-After seconds."),
    _error(504, "hubspot_timeout", "HubSpot timed out; retry later."),
    _error(504, "outcome_unknown",
           "HubSpot did not confirm whether the record was created. Look for it before you create it again; with an "
           "Idempotency-Key, send the same request with the same key."),
)
# fmt: on
ERROR_TYPES: Final[Mapping[str, ErrorType]] = {error_type.code: error_type for error_type in _ERROR_TYPES}
DEFAULT_RETRY_AFTER_SECONDS: Final = 5
MAX_DETAILS: Final = 100


class ApiError(Exception):
    """An error response; `code` names a row of the table."""

    def __init__(
        self,
        code: str,
        detail: str | None = None,
        *,
        details: Sequence[FieldProblem] = (),
        headers: Mapping[str, str] | None = None,
        retry_after: float | None = None,
        error: str | None = None,
    ) -> None:
        self.error_type = ERROR_TYPES[code]
        super().__init__(self.error_type.code)
        self.detail = detail or self.error_type.detail
        self.details = list(details)
        self.error = error or self.error_type.title
        self.headers = dict(headers or {})
        if retry_after is not None:
            self.headers["Retry-After"] = str(max(1, round(retry_after + 0.499)))


def invalid(field: str, message: str) -> ApiError:
    """Return a `validation_error` for one field."""
    return invalid_fields([FieldProblem(field=field, message=message)])


def invalid_fields(problems: Sequence[FieldProblem]) -> ApiError:
    """Return a `validation_error` that lists these fields."""
    names = ", ".join(dict.fromkeys(problem.field for problem in problems))
    count = "One field is" if len(problems) == 1 else f"{len(problems)} fields are"
    return ApiError("validation_error", f"{count} not valid: {names}."[:1000], details=problems[:MAX_DETAILS])


# HubSpot's 401 and 429 are the operator's problem, so no class maps to these statuses.
_FROM_HUBSPOT: Final[Mapping[type[hubspot.HubSpotError], str]] = {
    hubspot.HubSpotError: "hubspot_error",
    hubspot.HubSpotConnectionError: "hubspot_error",
    hubspot.HubSpotTimeoutError: "hubspot_timeout",
    hubspot.HubSpotCertificateError: "hubspot_error",
    hubspot.HubSpotServerError: "hubspot_error",
    hubspot.HubSpotUnreadableError: "hubspot_error",
    hubspot.HubSpotQuotaError: "hubspot_unavailable",
    hubspot.HubSpotLockedError: "hubspot_unavailable",
    hubspot.HubSpotCredentialsError: "hubspot_credentials_refused",
    hubspot.HubSpotGrantError: "hubspot_credentials_refused",
    hubspot.HubSpotScopeError: "hubspot_credentials_refused",
    hubspot.HubSpotRequestError: "hubspot_error",
    hubspot.HubSpotValidationError: "hubspot_error",
    hubspot.HubSpotNotFoundError: "hubspot_error",
    hubspot.HubSpotConflictError: "hubspot_error",
    hubspot.HubSpotUnavailableError: "hubspot_unavailable",
    hubspot.HubSpotDeadlineError: "hubspot_timeout",
    hubspot.HubSpotOutcomeUnknownError: "outcome_unknown",
}


def cause_of(error: BaseException) -> str:
    """Return the class name of the error behind an SQLAlchemy error, whose message may contain values."""
    driver = getattr(error, "orig", None) or error
    return type(driver.__cause__ or driver).__name__


def from_hubspot(error: hubspot.HubSpotError) -> ApiError:
    """Map an unhandled HubSpot error by its most specific class in the mapping."""
    code = next(_FROM_HUBSPOT[cls] for cls in type(error).__mro__ if cls in _FROM_HUBSPOT)
    unavailable = ERROR_TYPES[code].status == 503
    retry_after = error.retry_after or (DEFAULT_RETRY_AFTER_SECONDS if unavailable else None)
    return ApiError(code, retry_after=retry_after)


def problem_body(error: ApiError, request_id: str) -> dict[str, Any]:
    """Return the body of the response for an error."""
    error_type = error.error_type
    problem = Problem(
        type=f"/problems/{error_type.type}",
        title=error_type.title,
        status=error_type.status,
        detail=error.detail,
        error=error.error,
        code=error_type.code,
        details=error.details,
        request_id=request_id,
    )
    return problem.model_dump(mode="json")


def problem_response(error: ApiError, request_id: str) -> JSONResponse:
    """Return the response for an error."""
    status = error.error_type.status
    headers = dict(error.headers)
    if status == 401:
        headers.setdefault("WWW-Authenticate", 'Bearer realm="crm-api"')
    return JSONResponse(problem_body(error, request_id), status, headers, MEDIA_TYPE)


def from_validation(failures: Sequence[Mapping[str, Any]]) -> ApiError:
    """Map FastAPI's validation failures, without the values that the caller sent."""
    if any(failure["type"] == "json_invalid" for failure in failures):
        return ApiError("malformed_body", details=[FieldProblem(field="body", message="is not valid JSON")])
    messages: dict[str, str] = {}
    for failure in failures:
        # Pydantic reports a field once for each branch of its union; the first message is enough.
        messages.setdefault(_field_name(failure["loc"])[:200], _message(failure)[:500])
        if len(messages) == MAX_DETAILS:
            break
    return invalid_fields([FieldProblem(field=field, message=text) for field, text in messages.items()])


def _field_name(location: Sequence[str | int]) -> str:
    source, *names = location
    # The first name is a field or parameter, whatever it is called.
    path = ".".join(
        str(name) for name in names[:1] + [name for name in names[1:] if not _is_union_branch(str(name))]
    )
    # Unknown field names are the caller's text: PostgreSQL and terminals cannot take control characters.
    return "".join(char for char in path if char.isprintable()) or str(source)


def _is_union_branch(name: str) -> bool:
    # Pydantic adds the branch of a union that failed: `function-before[...]`, `constrained-str`, ...
    return "[" in name or name in {"str", "int", "constrained-str", "missing-sentinel", "none", "datetime"}


_INTEGER: Final = "must be an integer"
_OBJECT: Final = "must be an object"
_TIMESTAMP: Final = "must be an RFC 3339 date-time with a zone, or a date"
MESSAGES: Final[Mapping[str, str]] = {
    "missing": "is required",
    "missing_sentinel_error": "is not valid",
    "none_required": "must be null",
    "extra_forbidden": "is not a field of this request",
    "unknown_parameter": "is not a parameter of this operation",
    "repeated_parameter": "is sent more than once",
    "string_type": "must be a string",
    "string_pattern_mismatch": "has characters that are not allowed here",
    "string_unicode": "has characters that are not allowed here",
    "string_too_long": "must have at most {max_length} {unit}",
    "string_too_short": "must have at least {min_length} {unit}",
    "too_long": "must have at most {max_length} {unit}",
    "too_short": "must have at least {min_length} {unit}",
    "int_type": _INTEGER,
    "int_parsing": _INTEGER,
    "int_parsing_size": _INTEGER,
    "int_from_float": _INTEGER,
    "finite_number": _INTEGER,
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "bool_type": "must be true or false",
    "literal_error": "must be {expected}",
    "list_type": "must be a list",
    "dict_type": _OBJECT,
    "model_type": _OBJECT,
    "model_attributes_type": _OBJECT,
    "datetime_type": _TIMESTAMP,
    "datetime_parsing": _TIMESTAMP,
    "datetime_from_date_parsing": _TIMESTAMP,
    "datetime_object_invalid": _TIMESTAMP,
    "date_type": _TIMESTAMP,
    "date_parsing": _TIMESTAMP,
    "date_from_datetime_parsing": _TIMESTAMP,
    "date_from_datetime_inexact": _TIMESTAMP,
    "value_error": "{error}",
}
"""Messages by the type of the validation error, with the members of its context."""
# Lengths of other fields, among them texts and secrets, are counted in characters.
_UNITS: Final = {"List": "item", "Dictionary": "member"}


def _message(failure: Mapping[str, Any]) -> str:
    context = failure.get("ctx", {})
    count = context.get("max_length", context.get("min_length"))
    unit = _UNITS.get(context.get("field_type", ""), "character") + ("" if count == 1 else "s")
    return MESSAGES.get(failure["type"], "is not valid").format(**context, unit=unit)
