"""Exceptions of the HubSpot client, as one tree.

    HubSpotError
     ├ HubSpotConnectionError        the connection failed: connect, read, write, protocol
     │  ├ HubSpotTimeoutError        one of our timeouts: connect, pool, read, write
     │  └ HubSpotCertificateError    the server's certificate is not trusted
     ├ HubSpotServerError            5xx and 52x
     │  └ HubSpotUnreadableError     a success response whose body cannot be read
     ├ HubSpotQuotaError             429
     ├ HubSpotLockedError            423, for about two seconds
     ├ HubSpotCredentialsError       401 after one token renewal, or 403
     │  ├ HubSpotGrantError          HubSpot rejects the refresh token or the app's credentials
     │  └ HubSpotScopeError          the app was not granted a scope
     ├ HubSpotRequestError           any other 4xx
     │  ├ HubSpotValidationError     400
     │  ├ HubSpotNotFoundError       404
     │  └ HubSpotConflictError       409
     ├ HubSpotUnavailableError       not sent: circuit open, no quota in time, account migration (477)
     ├ HubSpotDeadlineError          the deadline has passed
     └ HubSpotOutcomeUnknownError    a write whose outcome is unknown

HubSpot's messages quote property values, so no exception shows them: `str` and `repr` contain only parsed codes, IDs
and our own words.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypedDict, Unpack

QuotaPolicy = Literal["burst", "search", "daily", "token", "unknown"]

# No 429 lasts longer than the window of its limit. https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines
WINDOW_SECONDS: Final[Mapping[QuotaPolicy, float]] = {
    "burst": 10.0,
    "search": 1.0,
    "token": 10.0,
    "unknown": 10.0,
    "daily": 86_400.0,
}

_CATEGORY = re.compile(r"[A-Za-z][A-Za-z0-9_.]{0,79}")
_CORRELATION_ID = re.compile(r"[0-9A-Za-z-]{1,64}")


def _if_matches(pattern: re.Pattern[str], text: str | None) -> str | None:
    return text if text and pattern.fullmatch(text) else None


class ErrorFields(TypedDict, total=False):
    """Keyword arguments of every error."""

    status_code: int | None
    category: str | None
    correlation_id: str | None
    operation: str | None
    sent: bool | None
    retry_after: float | None


class HubSpotError(Exception):
    """Base of all errors of the HubSpot client."""

    default_sent = True
    is_ambiguous = False
    """Whether HubSpot may have executed a request that was sent, although no response says so."""

    def __init__(self, reason: str = "", **fields: Unpack[ErrorFields]) -> None:
        self.reason = reason
        """Our fixed text, or the name of an exception class; never HubSpot's text."""
        self.status_code = fields.get("status_code")
        self.category = _if_matches(_CATEGORY, fields.get("category"))
        self.correlation_id = _if_matches(_CORRELATION_ID, fields.get("correlation_id"))
        self.operation = fields.get("operation")
        sent = fields.get("sent")
        self.sent = self.default_sent if sent is None else sent
        """False if no request was sent, or if HubSpot rejected it without acting on it."""
        self.retry_after = fields.get("retry_after")
        """Seconds after which the call may be retried, if known."""
        super().__init__()

    def __str__(self) -> str:
        parts = [self.operation or "HubSpot"]
        if self.status_code is not None:
            parts.append(f"status {self.status_code}")
        if self.category is not None:
            parts.append(self.category)
        if self.reason:
            parts.append(self.reason)
        if self.correlation_id is not None:
            parts.append(f"correlation {self.correlation_id}")
        return ": ".join([parts[0], ", ".join(parts[1:]) or "failed"])

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    @property
    def may_have_acted(self) -> bool:
        """Whether HubSpot may have executed the request although no response says so."""
        return self.is_ambiguous and self.sent


class HubSpotConnectionError(HubSpotError):
    """The connection failed; `sent` is False only if it was never established."""

    is_ambiguous = True


class HubSpotTimeoutError(HubSpotConnectionError):
    """One of our timeouts: connect, pool, read or write."""


class HubSpotCertificateError(HubSpotConnectionError):
    """The server's certificate is not trusted; `reason` is OpenSSL's."""


class HubSpotServerError(HubSpotError):
    """5xx and 52x, often with an HTML body from a proxy. A gateway's error does not say what happened behind it."""

    is_ambiguous = True


class HubSpotUnreadableError(HubSpotServerError):
    """A success response whose body is not the expected JSON."""


class HubSpotQuotaError(HubSpotError):
    """429: one of HubSpot's rate limits is reached. `retry_after` is at most the limit's window.

    A larger `Retry-After` is a mistake, such as milliseconds, and would stop all calls for hours.
    """

    default_sent = False

    def __init__(
        self, reason: str = "", *, policy: QuotaPolicy = "unknown", **fields: Unpack[ErrorFields]
    ) -> None:
        super().__init__(reason, **fields)
        if self.retry_after is not None:
            self.retry_after = min(self.retry_after, WINDOW_SECONDS[policy])
        self.policy: QuotaPolicy = policy
        self.reason = self.reason or f"{policy} limit"


class HubSpotLockedError(HubSpotError):
    """423: another write locks the record, for about two seconds."""

    default_sent = False


class HubSpotCredentialsError(HubSpotError):
    """401 after one token renewal, or 403."""

    default_sent = False


class HubSpotGrantError(HubSpotCredentialsError):
    """HubSpot rejects the refresh token or the app's credentials; an operator must replace them."""


class HubSpotScopeError(HubSpotCredentialsError):
    """The app was not granted a scope."""

    def __init__(
        self, reason: str = "", *, required_scopes: Sequence[str] = (), **fields: Unpack[ErrorFields]
    ) -> None:
        super().__init__(reason, **fields)
        self.required_scopes = list(required_scopes)


class HubSpotRequestError(HubSpotError):
    """4xx: HubSpot rejected the request."""

    default_sent = False


@dataclass(frozen=True, slots=True)
class PropertyProblem:
    """Validation error of one property; `message` is our text for HubSpot's code."""

    property: str | None
    code: str
    message: str
    text: str | None = field(default=None, repr=False)
    """HubSpot's text for a code that we have no text for. It may quote values, so only its caller may see it."""


class HubSpotValidationError(HubSpotRequestError):
    """400: HubSpot rejected the input; `problems` lists the properties that it named."""

    def __init__(
        self,
        reason: str = "",
        *,
        problems: Sequence[PropertyProblem] = (),
        names_unknown_association: bool = False,
        duplicate_unique_value: bool = False,
        **fields: Unpack[ErrorFields],
    ) -> None:
        super().__init__(reason, **fields)
        self.problems = list(problems)
        self.names_unknown_association = names_unknown_association
        """True if the record was to be associated with a record that does not exist."""
        self.duplicate_unique_value = duplicate_unique_value
        """True if another record has the same value of a unique property."""
        self.is_about_values = bool(self.problems) or self.category == "VALIDATION_ERROR"
        """False for a request that HubSpot could not read."""
        codes = dict.fromkeys(problem.code for problem in self.problems)
        self.reason = self.reason or ", ".join(codes)


class HubSpotNotFoundError(HubSpotRequestError):
    """404: no such record or resource."""


class HubSpotConflictError(HubSpotRequestError):
    """409; `existing_id` is the conflicting record, if HubSpot named it."""

    def __init__(
        self, reason: str = "", *, existing_id: str | None = None, **fields: Unpack[ErrorFields]
    ) -> None:
        super().__init__(reason, **fields)
        self.existing_id = existing_id


class HubSpotUnavailableError(HubSpotError):
    """Not sent: circuit open, no quota before the deadline, or HubSpot is moving the account (477)."""

    default_sent = False


class HubSpotDeadlineError(HubSpotError):
    """The deadline of the incoming request has passed; `sent` is True if the attempt was cancelled after sending."""

    is_ambiguous = True


class HubSpotOutcomeUnknownError(HubSpotError):
    """A write that HubSpot may or may not have executed; `cause` is the last error."""

    is_ambiguous = True

    def __init__(
        self, reason: str = "", *, cause: HubSpotError | None = None, **fields: Unpack[ErrorFields]
    ) -> None:
        super().__init__(reason or "outcome unknown", **fields)
        self.cause = cause
        self.__cause__ = cause


OUTAGES: Final = HubSpotConnectionError | HubSpotServerError | HubSpotDeadlineError
"""Failures of HubSpot or of the connection to it; the other errors are responses or were not sent."""
# 401: the token is invalid. 477: HubSpot is moving the account to another data centre.
ACCOUNT_WIDE_STATUSES: Final = frozenset({401, 477})


def is_account_wide_failure(outcome: object) -> bool:
    """Return True if the failure affects every call: outage, invalid credentials or the daily limit."""
    if isinstance(outcome, HubSpotQuotaError):
        return outcome.policy == "daily"
    if isinstance(outcome, OUTAGES | HubSpotGrantError):
        return True
    return isinstance(outcome, HubSpotError) and outcome.status_code in ACCOUNT_WIDE_STATUSES


def are_credentials_refused(outcome: object) -> bool | None:
    """Return whether HubSpot refused the credentials; None if the outcome does not show it."""
    if not isinstance(outcome, HubSpotError):
        return False
    if isinstance(outcome, HubSpotGrantError) or outcome.status_code == 401:
        return True
    # A proxy in front of HubSpot may have sent the server error without checking the credentials.
    return None if outcome.status_code is None or outcome.status_code >= 500 else False
