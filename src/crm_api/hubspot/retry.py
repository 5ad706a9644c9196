"""Retry rules: whether and when a call is retried. Pure decisions without clock or I/O."""

import math
import random as _random
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from crm_api.hubspot.errors import (
    WINDOW_SECONDS,
    HubSpotConnectionError,
    HubSpotError,
    HubSpotLockedError,
    HubSpotQuotaError,
    HubSpotServerError,
)

# HubSpot asks for up to a day while it moves an account.
# https://developers.hubspot.com/docs/api-reference/error-handling
MAX_RETRY_AFTER_SECONDS = 86_400.0
# Wait before the retry of a 423 without `Retry-After`: HubSpot locks a record for about two seconds.
# https://developers.hubspot.com/docs/api-reference/error-handling
LOCKED_SECONDS = 2.0
MAX_DOUBLINGS = 30


def parse_retry_after(headers: Mapping[str, str], *, now: datetime) -> float | None:
    """Return the seconds of `Retry-After`, a number or an HTTP date; None if it is absent or invalid."""
    value = next((text for name, text in headers.items() if name.lower() == "retry-after"), "").strip()
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        return _seconds_until(value, now)
    if not math.isfinite(seconds) or seconds < 0:
        return None
    return min(seconds, MAX_RETRY_AFTER_SECONDS)


def _seconds_until(date: str, now: datetime) -> float | None:
    try:
        timestamp = parsedate_to_datetime(date)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    if timestamp.tzinfo is None:
        timestamp = timestamp.replace(tzinfo=UTC)
    return min(max((timestamp - now).total_seconds(), 0.0), MAX_RETRY_AFTER_SECONDS)


class RetryPolicy:
    """Retries errors that HubSpot did not act on always, ambiguous errors only for idempotent calls.

    `max_attempts` limits attempts after failures; 429 and 423 are retried until the deadline.
    """

    def __init__(
        self,
        max_attempts: int = 4,
        base: float = 0.2,
        cap: float = 5.0,
        random: Callable[[], float] = _random.random,
    ) -> None:
        self.max_attempts = max_attempts
        self.base = base
        """First backoff in seconds, before jitter."""
        self.cap = cap
        """Maximum backoff in seconds; a `Retry-After` may exceed it."""
        self._random = random

    def may_retry(self, error: HubSpotError, *, idempotent: bool) -> bool:
        """Return True if a retry cannot change more than one call does."""
        if isinstance(error, HubSpotQuotaError):
            return error.policy != "daily"
        if isinstance(error, HubSpotLockedError):
            return True
        if isinstance(error, HubSpotConnectionError | HubSpotServerError):
            return idempotent or not error.sent
        return False

    def delay(self, error: HubSpotError, *, attempt: int, idempotent: bool) -> float | None:
        """Return the seconds to wait before attempt + 1, or None if the error is final."""
        if not self.may_retry(error, idempotent=idempotent):
            return None
        if attempt >= self.max_attempts and not isinstance(error, HubSpotQuotaError | HubSpotLockedError):
            return None
        doublings = min(attempt - 1, MAX_DOUBLINGS)
        backoff = self._random() * min(self.cap, self.base * 2.0**doublings)
        if error.retry_after is not None:
            return error.retry_after + backoff
        if isinstance(error, HubSpotLockedError):
            return LOCKED_SECONDS + backoff
        if isinstance(error, HubSpotQuotaError):
            if error.policy in ("search", "token"):
                return WINDOW_SECONDS["search"] + backoff
            # The window slides, so capacity returns gradually: wait a quarter of it, then a half, then all.
            max_wait = WINDOW_SECONDS["burst"] * min(1.0, 2.0**doublings / 4)
            return max_wait * (0.5 + self._random() / 2)
        return backoff


class RetryBudget:
    """Limits retries to a share of the calls, so that retries do not multiply the load on a failing HubSpot.

    Retries after a 429 or 423 do not count: the quota and the lock pace them.
    """

    def __init__(self, *, share: float = 0.2, burst: float = 10.0) -> None:
        self._share = share
        self._burst = burst
        self._tokens = burst

    def call_started(self) -> None:
        """Add one call's share of a retry."""
        self._tokens = min(self._burst, self._tokens + self._share)

    def spend(self, error: HubSpotError) -> bool:
        """Consume one retry. Return False if none is available."""
        if isinstance(error, HubSpotQuotaError | HubSpotLockedError):
            return True
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True
