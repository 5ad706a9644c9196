"""Sliding window of calls, with pacing after a burst."""

from bisect import insort
from collections import deque
from typing import Final

# Share of the limit that callers with many calls may send at once. The rest is spread over the window, so that a
# caller who comes after a burst does not have to wait for the whole window.
UNPACED_SHARE: Final = 0.5
# The same share for refreshes of cached responses. It may be larger, because refreshes wait behind all other calls.
# In the benchmark with 20 customers, their data become at most 11 s old; with a share of 0.5 it was 15 s.
UNPACED_REFRESH_SHARE: Final = 0.8
# A caller with at most this share of the limit in a window is not paced: pacing would only delay the first page of each
# of many callers.
LIGHT_SHARE: Final = 0.1
# HubSpot counts arrivals and we count departures, so our window is longer by this share: two calls can arrive closer
# together than they were sent. A call over a new connection, for example, arrives a TLS handshake later.
GUARD_SHARE: Final = 0.025
MIN_GUARD_SECONDS: Final = 0.15
# Shorter windows are not paced, because waiting for them to slide takes no longer than a gap.
MIN_PACED_WINDOW_SECONDS: Final = 2.0
# Interval between the checks of a call that waits only for the guard of earlier ones.
CHECK_SECONDS: Final = 0.02
# Calls are stored this long after they leave the window, to compare them with the headers of late responses.
RETENTION_SECONDS: Final = 15.0


def guard_seconds(window_seconds: float) -> float:
    """Return the seconds by which our window is longer than HubSpot's."""
    return max(window_seconds * GUARD_SHARE, MIN_GUARD_SECONDS)


class SlidingWindow:
    """Allows at most `limit` calls in any `window_seconds`. All times are of one monotonic clock."""

    def __init__(self, limit: int, window_seconds: float) -> None:
        if limit < 1:
            raise ValueError("a limit is at least 1")
        self.configured_limit = limit
        self.limit = limit
        """The configured limit, or less if HubSpot states less."""
        self.window_seconds = window_seconds
        self.guard_seconds = guard_seconds(window_seconds)
        self.length_seconds = window_seconds + self.guard_seconds
        self._stamps: deque[float] = deque()
        self._blocked_until = float("-inf")

    @property
    def is_paced(self) -> bool:
        """Whether calls are sent with gaps between them after a burst, as they are in all but short windows."""
        return self.window_seconds >= MIN_PACED_WINDOW_SECONDS

    def unpaced(self, share: float) -> int:
        """Return the number of calls in one window that may be sent without a gap between them."""
        if not self.is_paced:
            return self.limit
        return max(1, int(self.limit * share))

    @property
    def light_calls(self) -> int:
        """Number of calls of one caller that are not paced."""
        return max(1, int(self.limit * LIGHT_SHARE)) if self.is_paced else 0

    def next_time(self, now: float, *, unpaced_share: float) -> float:
        """Return when the next call may be sent; `now` if at once.

        It keeps a gap to the one before if the window holds this share of the limit.
        """
        self._drop_expired(now)
        when = max(now, self._blocked_until)
        if not self._stamps:
            return when
        if len(self._stamps) >= self.limit:
            when = max(when, self._stamps[-self.limit] + self.length_seconds)
        return max(when, self._paced(when, self.unpaced(unpaced_share)))

    def reserve(self, when: float) -> float:
        """Count a call that is sent at `when`, or right after the last reserved one; return that time."""
        self._drop_expired(when)
        stamp = max(when, self._stamps[-1]) if self._stamps else when
        self._stamps.append(stamp)
        return stamp

    def shorten_guard(self, stamp: float, seconds: float) -> None:
        """Let the call counted at `stamp` leave the window earlier, because its time of arrival is known."""
        if stamp in self._stamps:
            self._stamps.remove(stamp)
            insort(self._stamps, stamp - seconds)

    def seconds_until_check(self, wait: float) -> float:
        """Return how long a call that would wait sleeps before it asks again.

        In a window without pacing, responses that arrive meanwhile can shorten the wait by up to the guard.
        """
        return wait if self.is_paced else min(wait, max(wait - self.guard_seconds, CHECK_SECONDS))

    def __len__(self) -> int:
        """Return the number of calls stored, including those that left the window recently."""
        return len(self._stamps)

    def block_until(self, when: float) -> None:
        """Allow no call before `when`."""
        self._blocked_until = max(self._blocked_until, when)

    def paused_seconds(self, now: float) -> float:
        """Return the seconds until the end of a pause, 0 without one."""
        return max(0.0, self._blocked_until - now)

    def used(self, at: float) -> int:
        """Return how many calls are in the window at the time `at`."""
        start = at - self.length_seconds
        used = 0
        for stamp in reversed(self._stamps):  # the window's stamps are at the end
            if stamp <= start:
                break
            used += 1
        return used

    def adopt_limit(self, server_limit: int) -> None:
        """Lower the limit if HubSpot allows less than the configured one."""
        if server_limit >= 1:
            self.limit = min(self.configured_limit, server_limit)

    def count_others(self, server_used: int, *, now: float, sent_at: float) -> int:
        """Add the calls of other programs, which HubSpot counted and we did not send. Return their number.

        All of our calls that HubSpot may have seen before its response count as ours. The others are assumed to be
        spread evenly over the window.
        """
        start = sent_at - self.length_seconds
        own = sum(1 for stamp in self._stamps if start < stamp <= now)
        others = min(server_used, self.limit) - own
        if others <= 0:
            return 0
        spacing = self.window_seconds / others
        foreign = [now - self.window_seconds + spacing * (index + 1) for index in range(others)]
        self._stamps = deque(sorted([*self._stamps, *foreign]))
        return others

    def _drop_expired(self, now: float) -> None:
        while self._stamps and self._stamps[0] < now - self.length_seconds - RETENTION_SECONDS:
            self._stamps.popleft()

    def _paced(self, when: float, unpaced: int) -> float:
        """Return the last call's time plus one gap, at the highest even rate that stays below the limit.

        At rate r from now, the window holds used - i + r * (remaining time) calls just before the i-th oldest one
        leaves it. That number may not exceed the limit.
        """
        used = self.used(when)
        if used < unpaced or unpaced >= self.limit:
            return when
        capacity = self.limit - used
        start = len(self._stamps) - used
        rate = min(
            (capacity + index) / max(self._stamps[start + index] + self.length_seconds - when, 1e-9)
            for index in range(used)
        )
        if rate <= 0:
            return when  # `next_time` has already waited for the limit
        return self._stamps[-1] + 1 / rate
