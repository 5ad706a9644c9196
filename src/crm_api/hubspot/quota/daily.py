"""Estimate of the account's daily limit."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

_DAY_SECONDS = 86_400.0
# Interval between probes once the daily limit is reached. HubSpot resets its counter at midnight of the account's time
# zone, which responses do not contain, and the limit can be raised at any time.
# https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines
PROBE_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class DailyReport:
    """Calls of the day in the headers of one of HubSpot's responses, which count all apps of the HubSpot account."""

    limit: int
    remaining: int
    reported_at: float
    """Unix time."""


class DailyAllowance:
    """Count of the day's calls, corrected by `X-HubSpot-RateLimit-Daily-Remaining` if HubSpot sends it."""

    def __init__(self, limit: int, *, wall_clock: Callable[[], float] = time.time) -> None:
        self.limit = limit
        self.report: DailyReport | None = None
        """HubSpot's latest report to this process."""
        self._wall_clock = wall_clock
        self._used = 0
        self._day = self._today()
        self._probe_at = 0.0

    @property
    def remaining(self) -> int:
        """Calls remaining today."""
        self._reset_on_new_day()
        return max(0, self.limit - self._used)

    @property
    def paused_seconds(self) -> float:
        """Seconds until the next probe while the limit is reached, otherwise 0."""
        if self.remaining > 0:
            return 0.0
        return max(0.0, self._probe_at - self._wall_clock())

    @property
    def report_age_seconds(self) -> float:
        """Seconds since HubSpot's latest report to this process, 0 without one."""
        return 0.0 if self.report is None else max(0.0, self._wall_clock() - self.report.reported_at)

    def take(self) -> float | None:
        """Count one call and return None, or return the seconds until the next probe."""
        self._reset_on_new_day()
        now = self._wall_clock()
        if self._used >= self.limit:
            if now < self._probe_at:
                return self._probe_at - now
            self._probe_at = now + PROBE_SECONDS
        self._used += 1
        return None

    def observe(self, headers: Mapping[str, str]) -> None:
        """Adopt HubSpot's count, which includes other programs."""
        limit = parse_count(headers.get("x-hubspot-ratelimit-daily"))
        remaining = parse_count(headers.get("x-hubspot-ratelimit-daily-remaining"))
        if limit is None or remaining is None or limit <= 0:
            return
        self._reset_on_new_day()
        self.report = DailyReport(limit, remaining, self._wall_clock())
        self.limit = limit
        self._used = max(0, limit - remaining)
        if self._used < self.limit:
            self._probe_at = 0.0

    def exhaust(self) -> None:
        """Mark the daily limit as reached."""
        self._reset_on_new_day()
        self._used = max(self._used, self.limit)
        self._probe_at = self._wall_clock() + PROBE_SECONDS

    def _today(self) -> int:
        return int(self._wall_clock() // _DAY_SECONDS)

    def _reset_on_new_day(self) -> None:
        today = self._today()
        if today != self._day:
            self._day = today
            self._used = 0
            self._probe_at = 0.0


def parse_count(text: str | None) -> int | None:
    """Return the count in a header; None if it is absent or invalid."""
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 16 else None
