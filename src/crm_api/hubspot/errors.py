"""Everything that can go wrong with HubSpot, as one tree of exceptions.

    HubSpotError
     ├ HubSpotConnectionError        the connection failed: connect, read, write, protocol
     │  └ HubSpotTimeoutError        one of our timeouts: connect, pool, read, write
     ├ HubSpotServerError            5xx and 52x
     │  └ HubSpotUnreadableError     a success whose body is not what was promised
     ├ HubSpotQuotaError             429
     ├ HubSpotLockedError            423, for about two seconds
     ├ HubSpotCredentialsError       401 after one renewed try, 403
     │  ├ HubSpotGrantError          the refresh token or the app's credentials are dead
     │  └ HubSpotScopeError          the app was not granted a scope
     ├ HubSpotRequestError           any other 4xx
     │  ├ HubSpotValidationError     400
     │  ├ HubSpotNotFoundError       404
     │  └ HubSpotConflictError       409
     ├ HubSpotUnavailableError       not sent: circuit open, no quota in time, account on the move (477)
     ├ HubSpotDeadlineError          our deadline is spent
     └ HubSpotOutcomeUnknownError    a write whose outcome could not be established

HubSpot's messages quote property values, so none of these shows one: `str` and `repr` hold only what was parsed
into closed vocabularies.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

QuotaPolicy = Literal["burst", "search", "daily", "token", "unknown"]

_CATEGORY = re.compile(r"[A-Za-z][A-Za-z0-9_.]{0,79}")
_CORRELATION_ID = re.compile(r"[0-9A-Za-z-]{1,64}")


class HubSpotError(Exception):
    """What all of them have in common."""

    default_sent = True

    def __init__(
        self,
        reason: str = "",
        *,
        status_code: int | None = None,
        category: str | None = None,
        correlation_id: str | None = None,
        operation: str | None = None,
        sent: bool | None = None,
        retry_after: float | None = None,
    ) -> None:
        self.reason = reason
        """Our own words, or the name of an exception class; never HubSpot's text."""
        self.status_code = status_code
        self.category = category if category and _CATEGORY.fullmatch(category) else None
        self.correlation_id = (
            correlation_id if correlation_id and _CORRELATION_ID.fullmatch(correlation_id) else None
        )
        self.operation = operation
        self.sent = self.default_sent if sent is None else sent
        """False: never left this process, or was rejected before being acted on."""
        self.retry_after = retry_after
        """Seconds after which it may be tried again, where that is known."""
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
        """Whether HubSpot may have carried the request out although we have no answer that says so."""
        return False


class HubSpotConnectionError(HubSpotError):
    """The connection failed; `sent` is False only where it was never made."""

    @property
    def may_have_acted(self) -> bool:
        """Once bytes have left, nobody knows."""
        return self.sent


class HubSpotTimeoutError(HubSpotConnectionError):
    """One of our timeouts."""


class HubSpotServerError(HubSpotError):
    """5xx and 52x, often with an HTML body from the edge."""

    @property
    def may_have_acted(self) -> bool:
        """A gateway's error says nothing of what happened behind it."""
        return self.sent


class HubSpotUnreadableError(HubSpotServerError):
    """A success whose body is not the JSON that was promised."""


class HubSpotQuotaError(HubSpotError):
    """429: one of HubSpot's limits is reached."""

    default_sent = False

    def __init__(self, reason: str = "", *, policy: QuotaPolicy = "unknown", **facts: object) -> None:
        super().__init__(reason, **facts)  # type: ignore[arg-type]
        self.policy: QuotaPolicy = policy
        self.reason = self.reason or f"{policy} limit"


class HubSpotLockedError(HubSpotError):
    """423: another write holds the record, for about two seconds."""

    default_sent = False


class HubSpotCredentialsError(HubSpotError):
    """401 after one renewed try, or 403."""

    default_sent = False


class HubSpotGrantError(HubSpotCredentialsError):
    """The refresh token or the app's credentials are dead; only an operator can mend that."""


class HubSpotScopeError(HubSpotCredentialsError):
    """The app was not granted a scope."""

    def __init__(self, reason: str = "", *, required_scopes: Sequence[str] = (), **facts: object) -> None:
        super().__init__(reason, **facts)  # type: ignore[arg-type]
        self.required_scopes = list(required_scopes)


class HubSpotRequestError(HubSpotError):
    """HubSpot refused the request."""

    default_sent = False


@dataclass(frozen=True, slots=True)
class PropertyProblem:
    """What is wrong with one property; the message is ours, derived from the code."""

    property: str | None
    code: str
    message: str


class HubSpotValidationError(HubSpotRequestError):
    """400: HubSpot refused what was sent; `problems` where it said which property."""

    def __init__(
        self,
        reason: str = "",
        *,
        problems: Sequence[PropertyProblem] = (),
        names_unknown_association: bool = False,
        duplicate_unique_value: bool = False,
        **facts: object,
    ) -> None:
        super().__init__(reason, **facts)  # type: ignore[arg-type]
        self.problems = list(problems)
        self.names_unknown_association = names_unknown_association
        """The record was to be linked with one that is not there."""
        self.duplicate_unique_value = duplicate_unique_value
        """Another record has the value of a property that is unique in the account."""
        codes = dict.fromkeys(problem.code for problem in self.problems)
        self.reason = self.reason or ", ".join(codes)


class HubSpotNotFoundError(HubSpotRequestError):
    """404."""


class HubSpotConflictError(HubSpotRequestError):
    """409; `existing_id` is the record that is in the way, where HubSpot named it."""

    def __init__(self, reason: str = "", *, existing_id: str | None = None, **facts: object) -> None:
        super().__init__(reason, **facts)  # type: ignore[arg-type]
        self.existing_id = existing_id


class HubSpotUnavailableError(HubSpotError):
    """Not sent: the circuit is open, the quota would not allow it in time, or the account is moving (477)."""

    default_sent = False


class HubSpotDeadlineError(HubSpotError):
    """Our deadline is spent."""

    @property
    def may_have_acted(self) -> bool:
        """Cut off while HubSpot was at it."""
        return self.sent


class HubSpotOutcomeUnknownError(HubSpotError):
    """A write that may or may not have happened; `cause` is what went wrong."""

    def __init__(self, reason: str = "", *, cause: HubSpotError | None = None, **facts: object) -> None:
        super().__init__(reason or "whether it happened is not known", **facts)  # type: ignore[arg-type]
        self.cause = cause
        self.__cause__ = cause

    @property
    def may_have_acted(self) -> bool:
        """That is what it says."""
        return True
