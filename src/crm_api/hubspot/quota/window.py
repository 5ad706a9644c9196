"""A sliding window that is never exceeded, and that keeps some of itself for who comes next."""

from collections import deque
from typing import Final

# What may leave at once; the rest is spread over the window, so that whoever comes after a flood waits for one
# gap and not for the window to slide.
UNPACED_SHARE: Final = 0.5
# The server counts arrivals and we count departures: two requests may come that much closer than they left.
GUARD_SHARE: Final = 0.025
SHORTEST_GUARD_SECONDS: Final = 0.15
# Windows shorter than this are not paced: waiting for them to slide is as short.
SHORTEST_PACED_WINDOW_SECONDS: Final = 2.0
# How late an answer with a header may be and still be compared with what had been sent by then.
REMEMBER_SECONDS: Final = 15.0


def guard_seconds(window_seconds: float) -> float:
    """By how much our window is longer than the server's."""
    return max(window_seconds * GUARD_SHARE, SHORTEST_GUARD_SECONDS)


class SlidingWindow:
    """At most `limit` requests in any `window_seconds`. All times are of one monotonic clock."""

    def __init__(self, limit: int, window_seconds: float) -> None:
        if limit < 1:
            raise ValueError("a limit is at least 1")
        self.configured_limit = limit
        self.limit = limit
        """The configured one, or less where the server says so."""
        self.window_seconds = window_seconds
        self.length_seconds = window_seconds + guard_seconds(window_seconds)
        self._stamps: deque[float] = deque()
        self._blocked_until = float("-inf")

    @property
    def unpaced(self) -> int:
        """So many may leave at once."""
        is_paced = self.window_seconds >= SHORTEST_PACED_WINDOW_SECONDS
        return max(1, int(self.limit * UNPACED_SHARE)) if is_paced else self.limit

    def next_time(self, now: float) -> float:
        """When the next request may leave; `now` where it may at once."""
        self._forget(now)
        when = max(now, self._blocked_until)
        if not self._stamps:
            return when
        if len(self._stamps) >= self.limit:
            when = max(when, self._stamps[-self.limit] + self.length_seconds)
        return max(when, self._paced(when))

    def reserve(self, when: float) -> None:
        """Count a request that leaves at `when`, not before the one reserved last."""
        self._forget(when)
        self._stamps.append(max(when, self._stamps[-1]) if self._stamps else when)

    def __len__(self) -> int:
        """Requests remembered, a while longer than they count."""
        return len(self._stamps)

    def block_until(self, when: float) -> None:
        """Let nothing leave before then."""
        self._blocked_until = max(self._blocked_until, when)

    def used(self, at: float) -> int:
        """Requests that count at this moment."""
        start = at - self.length_seconds
        used = 0
        for stamp in reversed(self._stamps):  # the stamps of the window are the last ones
            if stamp <= start:
                break
            used += 1
        return used

    def adopt_limit(self, server_limit: int) -> None:
        """Obey a server that allows less than was configured."""
        if server_limit >= 1:
            self.limit = min(self.configured_limit, server_limit)

    def count_others(self, server_used: int, *, now: float, sent_at: float) -> int:
        """Make up for requests that the server counted and we did not send: another program uses the account.

        Ours are counted generously (all that the server may have seen by the time it answered), theirs are
        taken to have come evenly over the window. Returns how many were added.
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

    def _forget(self, now: float) -> None:
        while self._stamps and self._stamps[0] < now - self.length_seconds - REMEMBER_SECONDS:
            self._stamps.popleft()

    def _paced(self, when: float) -> float:
        """One gap after the last request, at the highest even rate that does not run into the limit.

        At rate r from now, just before the i-th oldest request leaves the window there are used - i + r * (its
        time left); that may be the limit at most.
        """
        used = self.used(when)
        if used < self.unpaced or self.unpaced >= self.limit:
            return when
        room = self.limit - used
        start = len(self._stamps) - used
        rate = min(
            (room + index) / max(self._stamps[start + index] + self.length_seconds - when, 1e-9)
            for index in range(used)
        )
        if rate <= 0:
            return when  # `next_time` has waited for the limit already
        return self._stamps[-1] + 1 / rate
