"""Burst, search and daily limits with their headers and 429 responses.

https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines
"""

import uuid
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Literal

from hubspot_emulator.wire.replies import Refusal

_BURST_SECONDS = 10.0
_SEARCH_SECONDS = 1.0

Budget = Literal["burst", "search", "association_batch", "none"]


@dataclass(slots=True)
class EmulatorLimits:
    """Limits of the account; None means unlimited."""

    burst_per_10s: int | None = None
    search_per_second: int | None = None
    daily: int | None = None


def rate_limit_refusal(
    kind: Literal["burst", "daily", "search", "token"], headers: Mapping[str, str]
) -> Refusal:
    """Build the 429 of one limit. HubSpot uses another envelope for `search` than for `burst` and `daily`."""
    if kind == "token":
        # https://github.com/PostHog/posthog/issues/64049
        return Refusal(429, "You have reached your rate limit.", headers=headers)
    if kind == "search":
        # This limit per second counts for the whole account.
        # https://github.com/grouparoo/grouparoo (recorded traffic)
        message = "You have reached your secondly limit."
        return Refusal(429, message, category="RATE_LIMITS", headers=headers)
    extra = {"errorType": "RATE_LIMIT"}
    if kind == "daily":
        extra |= {"policyName": "DAILY", "requestId": str(uuid.uuid4())}
        return Refusal(429, "You have reached your daily limit.", extra=extra, headers=headers)
    # https://github.com/HubSpot/hubspot-api-python/issues/117
    extra |= {
        "policyName": "TEN_SECONDLY_ROLLING",
        "groupName": "publicapi:private_app-api-calls-ten-secondly:12345",
    }
    message = "You have reached your ten_secondly_rolling limit."
    return Refusal(429, message, extra=extra, headers=headers)


class RateLimits:
    """Counters of the requests, in sliding windows."""

    def __init__(
        self, limits: EmulatorLimits, *, clock: Callable[[], datetime], monotonic: Callable[[], float]
    ) -> None:
        self.limits = limits
        self._clock = clock
        self._monotonic = monotonic
        self.reset()

    def reset(self) -> None:
        self._windows: dict[str, deque[float]] = {
            "burst": deque(),
            "search": deque(),
            "association_batch": deque(),
        }
        self._day: date | None = None
        self._used_today = 0

    def count_request(self, budget: Budget, *, is_oauth: bool) -> dict[str, str]:
        """Count a request and return its rate limit headers. Raises Refusal (429) if a limit is reached.

        HubSpot sends no daily headers for calls with an OAuth token.
        """
        if budget == "none":
            return {}
        self._reset_count_of_day()
        if self.limits.daily is not None and self._used_today >= self.limits.daily:
            raise rate_limit_refusal("daily", self._headers(budget, is_oauth=is_oauth))
        if budget == "search":
            if not self._enter_window("search", self.limits.search_per_second, _SEARCH_SECONDS):
                raise rate_limit_refusal("search", {})
        # Association batches have a window of their own instead of the general one.
        elif not self._enter_window(budget, self.limits.burst_per_10s, _BURST_SECONDS):
            raise rate_limit_refusal("burst", self._headers(budget, is_oauth=is_oauth))
        self._used_today += 1
        return self._headers(budget, is_oauth=is_oauth)

    def _reset_count_of_day(self) -> None:
        today = self._clock().astimezone(UTC).date()
        if today != self._day:
            self._day, self._used_today = today, 0

    def _enter_window(self, window: str, allowed: int | None, seconds: float) -> bool:
        if allowed is None:
            return True
        now = self._monotonic()
        arrivals = self._windows[window]
        while arrivals and arrivals[0] <= now - seconds:
            arrivals.popleft()
        if len(arrivals) >= allowed:
            return False
        arrivals.append(now)
        return True

    def _headers(self, budget: Budget, *, is_oauth: bool) -> dict[str, str]:
        headers: dict[str, str] = {}
        if budget == "search":
            return headers
        if self.limits.burst_per_10s is not None:
            remaining = self.limits.burst_per_10s - len(self._windows[budget])
            headers = {
                "X-HubSpot-RateLimit-Interval-Milliseconds": "10000",
                "X-HubSpot-RateLimit-Max": str(self.limits.burst_per_10s),
                "X-HubSpot-RateLimit-Remaining": str(remaining),
            }
        if self.limits.daily is not None and not is_oauth:
            headers["X-HubSpot-RateLimit-Daily"] = str(self.limits.daily)
            headers["X-HubSpot-RateLimit-Daily-Remaining"] = str(self.limits.daily - self._used_today)
        return headers
