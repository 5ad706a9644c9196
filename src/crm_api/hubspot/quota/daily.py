"""The daily allowance of the account, as far as it can be known."""

import time
from collections.abc import Callable, Mapping

_DAY_SECONDS = 86_400.0
# The counters turn at midnight of the account's time zone, which the answers do not tell, and more may be bought at
# any time: one call in so many seconds finds out whether there is room again.
# https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines
PROBE_SECONDS = 300.0


class DailyAllowance:
    """Counts the day's requests, corrected by `X-HubSpot-RateLimit-Daily-Remaining` where HubSpot sends it."""

    def __init__(
        self,
        limit: int,
        *,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.limit = limit
        self._wall_clock = wall_clock
        self._used = 0
        self._day = self._today()
        self._probe_at = 0.0

    @property
    def remaining(self) -> int:
        """Requests left today."""
        self._turn_day()
        return max(0, self.limit - self._used)

    def take(self) -> float | None:
        """Count one request and return None, or return the seconds after which to ask again."""
        self._turn_day()
        now = self._wall_clock()
        if self._used >= self.limit:
            if now < self._probe_at:
                return self._probe_at - now
            self._probe_at = now + PROBE_SECONDS
        self._used += 1
        return None

    def observe(self, headers: Mapping[str, str]) -> None:
        """Believe HubSpot: another program may use the account too."""
        limit = whole_number(headers.get("x-hubspot-ratelimit-daily"))
        remaining = whole_number(headers.get("x-hubspot-ratelimit-daily-remaining"))
        if limit is None or remaining is None or limit <= 0:
            return
        self._turn_day()
        self.limit = limit
        self._used = max(0, limit - remaining)
        if self._used < self.limit:
            self._probe_at = 0.0

    def exhaust(self) -> None:
        """HubSpot says that the day's allowance is spent."""
        self._turn_day()
        self._used = max(self._used, self.limit)
        self._probe_at = self._wall_clock() + PROBE_SECONDS

    def _today(self) -> int:
        return int(self._wall_clock() // _DAY_SECONDS)

    def _turn_day(self) -> None:
        today = self._today()
        if today != self._day:
            self._day = today
            self._used = 0
            self._probe_at = 0.0


def whole_number(text: str | None) -> int | None:
    """A header's count; None where it is absent or nonsense."""
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 16 else None
