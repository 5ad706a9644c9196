"""When a call is repeated, and after how long: pure decisions, no clock and no I/O."""

import math
import random as _random
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from crm_api.hubspot.errors import (
    HubSpotConnectionError,
    HubSpotError,
    HubSpotLockedError,
    HubSpotQuotaError,
    HubSpotServerError,
)

# An account on the move asks for up to a day; nobody asks for more.
# https://developers.hubspot.com/docs/api-reference/error-handling
LONGEST_RETRY_AFTER_SECONDS = 86_400.0
# A locked record stays so for about two seconds (same page).
LOCKED_SECONDS = 2.0
# The windows of the limits. https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines
BURST_WINDOW_SECONDS = 10.0
SEARCH_WINDOW_SECONDS = 1.0
MOST_DOUBLINGS = 30


def parse_retry_after(headers: Mapping[str, str], *, now: datetime) -> float | None:
    """Seconds to wait from `Retry-After`: a number or an HTTP date; None where it says nothing usable."""
    value = next((text for name, text in headers.items() if name.lower() == "retry-after"), "").strip()
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        return _seconds_until(value, now)
    if not math.isfinite(seconds) or seconds < 0:
        return None
    return min(seconds, LONGEST_RETRY_AFTER_SECONDS)


def _seconds_until(date: str, now: datetime) -> float | None:
    try:
        moment = parsedate_to_datetime(date)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return min(max((moment - now).total_seconds(), 0.0), LONGEST_RETRY_AFTER_SECONDS)


class RetryPolicy:
    """The rule. Rejected before being acted on: always; ambiguous: only when the call is idempotent.

    Failures are repeated so many times; what HubSpot lets wait (429, 423) is waited out for as long as the caller can.
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
        """Seconds of the first backoff, before jitter."""
        self.cap = cap
        """Seconds that no backoff exceeds; a wait that HubSpot asks for may."""
        self._random = random

    def may_retry(self, error: HubSpotError, *, idempotent: bool) -> bool:
        """Whether repeating cannot do more than calling once did."""
        if isinstance(error, HubSpotQuotaError):
            return error.policy != "daily"
        if isinstance(error, HubSpotLockedError):
            return True
        if isinstance(error, HubSpotConnectionError | HubSpotServerError):
            return idempotent or not error.sent
        return False

    def delay(self, error: HubSpotError, *, attempt: int, idempotent: bool) -> float | None:
        """Seconds to wait before attempt + 1, or None where the error is final."""
        if not self.may_retry(error, idempotent=idempotent):
            return None
        if attempt >= self.max_attempts and not isinstance(error, HubSpotQuotaError | HubSpotLockedError):
            return None
        doublings = min(attempt - 1, MOST_DOUBLINGS)
        backoff = self._random() * min(self.cap, self.base * 2.0**doublings)
        if error.retry_after is not None:
            return error.retry_after + backoff
        if isinstance(error, HubSpotLockedError):
            return LOCKED_SECONDS + backoff
        if isinstance(error, HubSpotQuotaError):
            if error.policy in ("search", "token"):
                return SEARCH_WINDOW_SECONDS + backoff
            # A quarter of the window, then a half, then all of it: it slides, so room appears bit by bit.
            longest = min(BURST_WINDOW_SECONDS, BURST_WINDOW_SECONDS / 4 * 2.0**doublings)
            return longest * (0.5 + self._random() / 2)
        return backoff


class RetryBudget:
    """Keeps repeats to a share of the calls, so that a failing HubSpot is not sent several times the load.

    Only repeats after failures count; those after a 429 or 423 are paced by the quota and the lock.
    """

    def __init__(self, *, share: float = 0.2, burst: float = 10.0) -> None:
        self._share = share
        self._burst = burst
        self._tokens = burst

    def call_started(self) -> None:
        """Every call earns a share of a repeat."""
        self._tokens = min(self._burst, self._tokens + self._share)

    def spend(self, error: HubSpotError) -> bool:
        """Take one repeat; False where none is left."""
        if isinstance(error, HubSpotQuotaError | HubSpotLockedError):
            return True
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True
