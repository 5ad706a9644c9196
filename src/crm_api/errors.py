"""Every error the service answers with: one table, one body, one place that maps HubSpot's errors."""

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
_ERROR_TYPES: Final = (
    _error(400, "validation_error", "The request is not valid."),
    _error(400, "malformed_body", "The body is not valid JSON.", **_VALIDATION),
    _error(400, "invalid_cursor", "The cursor is not one that we gave for this list.", **_VALIDATION),
    _error(400, "wrong_password", "The current password is wrong.", **_VALIDATION),
    # RFC 6749, section 5.2: `error` is what an OAuth2 client library reads at the token endpoint.
    _error(
        400, "invalid_grant", "The credentials or the refresh token are not valid.", title="invalid_grant"
    ),
    _error(
        400,
        "invalid_request",
        "The token request lacks a parameter or has one twice.",
        title="invalid_request",
    ),
    _error(
        400,
        "unsupported_grant_type",
        "Use grant_type password or refresh_token.",
        title="unsupported_grant_type",
    ),
    _error(
        400,
        "invalid_link",
        "The link was used, has expired or was never good, or the password is not the one given at registration.",
    ),
    _error(
        401,
        "invalid_token",
        "The access token is missing, not valid, or has ended: log in and send it as Authorization: Bearer.",
    ),
    _error(401, "invalid_credentials", "The e-mail address or the password is wrong."),
    _error(403, "forbidden", "Your role does not allow this."),
    _error(403, "registration_closed", "Registration is not open for this address."),
    _error(404, "not_found", "There is nothing here, or it is not yours.", title="Resource not found"),
    _error(405, "method_not_allowed", "The Allow header says what is possible here."),
    _error(
        409,
        "user_exists",
        "An account with this e-mail address exists or is being made at this moment.",
        title="User already exists",
    ),
    _error(409, "contact_exists", "Another contact has this e-mail address.", title="Contact already exists"),
    _error(
        409,
        "contact_missing",
        "Your account is not linked to a contact in the CRM; ask the company to link it.",
    ),
    _error(
        409,
        "request_in_progress",
        "A request with this Idempotency-Key is being worked on; ask again after Retry-After seconds.",
    ),
    _error(412, "precondition_failed", "The record has changed since you read it; read it again."),
    _error(413, "request_too_large", "The body is larger than is accepted."),
    _error(415, "unsupported_media_type", "Send the body as application/json."),
    _error(
        422, "idempotency_key_reused", "This Idempotency-Key was used for another request; use a new one."
    ),
    _error(429, "rate_limit_exceeded", "Too many requests; ask again after Retry-After seconds."),
    _error(
        500,
        "internal_server_error",
        "Something is wrong on our side; it has been logged under this request_id.",
    ),
    _error(
        502, "hubspot_error", "HubSpot answered with an error; nothing that you can change in the request."
    ),
    _error(
        502,
        "hubspot_credentials_refused",
        "HubSpot refuses this service's credentials; the operator has to mend that.",
        type_="hubspot-credentials",
    ),
    _error(
        503,
        "hubspot_unavailable",
        "HubSpot cannot take more requests now; ask again after Retry-After seconds.",
    ),
    _error(503, "service_unavailable", "The service cannot answer now; ask again after Retry-After seconds."),
    _error(504, "hubspot_timeout", "HubSpot did not answer in time."),
    _error(
        504,
        "outcome_unknown",
        "HubSpot did not say whether the record was created. Look for it before you create it again; "
        "with an Idempotency-Key, send the same request with the same key.",
    ),
)
ERROR_TYPES: Final[Mapping[str, ErrorType]] = {error_type.code: error_type for error_type in _ERROR_TYPES}
DEFAULT_RETRY_AFTER_SECONDS: Final = 5


class ApiError(Exception):
    """An error to answer with; `code` names a row of the table."""

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
    """The error that one field is not valid."""
    return invalid_fields([FieldProblem(field=field, message=message)])


def invalid_fields(problems: Sequence[FieldProblem]) -> ApiError:
    """The error that these fields are not valid."""
    names = ", ".join(dict.fromkeys(problem.field for problem in problems))
    count = "One field is" if len(problems) == 1 else f"{len(problems)} fields are"
    return ApiError("validation_error", f"{count} not valid: {names}."[:1000], details=problems[:100])


# One row for every class of HubSpot's errors; the most special class that fits is taken.
# Upstream 401 and 429 never leave as such.
_FROM_HUBSPOT: Final[Mapping[type[hubspot.HubSpotError], str]] = {
    hubspot.HubSpotError: "hubspot_error",
    hubspot.HubSpotConnectionError: "hubspot_error",
    hubspot.HubSpotTimeoutError: "hubspot_timeout",
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
    """The class of what lies behind an error of SQLAlchemy's, for logs and probes: its message may hold values."""
    driver = getattr(error, "orig", None) or error
    return type(driver.__cause__ or driver).__name__


def from_hubspot(error: hubspot.HubSpotError) -> ApiError:
    """What a HubSpot error that nobody dealt with is to our caller."""
    code = next(_FROM_HUBSPOT[kind] for kind in type(error).__mro__ if kind in _FROM_HUBSPOT)
    unavailable = ERROR_TYPES[code].status == 503
    retry_after = error.retry_after or (DEFAULT_RETRY_AFTER_SECONDS if unavailable else None)
    return ApiError(code, retry_after=retry_after)


def problem_response(error: ApiError, request_id: str) -> JSONResponse:
    """The answer that an error is."""
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
    headers = dict(error.headers)
    if error_type.status == 401:
        headers.setdefault("WWW-Authenticate", 'Bearer realm="crm-api"')
    return JSONResponse(
        problem.model_dump(mode="json"), status_code=error_type.status, headers=headers, media_type=MEDIA_TYPE
    )


def from_validation(failures: Sequence[Mapping[str, Any]]) -> ApiError:
    """What FastAPI's list of validation failures is to our caller; values that were sent are not repeated."""
    if any(failure["type"] == "json_invalid" for failure in failures):
        return ApiError("malformed_body", details=[FieldProblem(field="body", message="is not valid JSON")])
    problems = [
        FieldProblem(field=_field_name(failure["loc"])[:200], message=_message(failure)[:500])
        for failure in failures
    ]
    # Each branch of a union reports the same field.
    return invalid_fields(list({problem.field: problem for problem in reversed(problems)}.values())[::-1])


def _field_name(location: Sequence[str | int]) -> str:
    place, *names = location
    # A name that the caller made up is echoed: without control characters, which PostgreSQL and terminals dislike.
    named = ".".join(str(name) for name in names if not _is_union_branch(str(name)))
    return "".join(char for char in named if char.isprintable()) or str(place)


def _is_union_branch(name: str) -> bool:
    # Pydantic adds which branch of a union failed: `function-before[...]`, `constrained-str`, ...
    return "[" in name or name in {"str", "int", "constrained-str", "missing-sentinel", "none", "datetime"}


def _characters(how: str, count: int) -> str:
    return f"must have {how} {count} character{'' if count == 1 else 's'}"


def _message(failure: Mapping[str, Any]) -> str:
    kind, context = failure["type"], failure.get("ctx", {})
    plain = {
        "missing": "is required",
        "extra_forbidden": "is not a field of this request",
        "string_pattern_mismatch": "has characters that are not allowed here",
        "missing_sentinel_error": "is not valid",
    }
    if kind in plain:
        return plain[kind]
    # "Value" is what Pydantic calls a secret.
    if kind == "too_long" and context["field_type"] == "Value":
        return _characters("at most", context["max_length"])
    if kind == "too_short" and context["field_type"] == "Value":
        return _characters("at least", context["min_length"])
    if kind == "string_too_long":
        return _characters("at most", context["max_length"])
    if kind == "string_too_short":
        return _characters("at least", context["min_length"])
    return str(failure["msg"]).removeprefix("Value error, ").replace("Input should", "should")
