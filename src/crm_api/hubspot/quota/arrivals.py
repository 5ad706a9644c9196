"""Latest arrival times of calls at HubSpot, known when their responses arrive.

Two calls can arrive closer together than they were sent, so a window counts each call for a guard longer than
HubSpot's. A call that took longer than the fastest one can have arrived later by the difference, for example because
it opened a connection, but by no more. So its guard can be shortened to that difference.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

Stamp = TypeVar("Stamp")

# Differences between processes, and between a response and the time at which the event loop handles it.
MARGIN_SECONDS: Final = 0.02
# The fastest response time rises by this factor with each response, so that it adapts to a slower network.
FASTEST_RISE: Final = 1.002
# Calls that can wait for a response.
MAX_CALLS: Final = 1000


def ignored_responses(limit: int) -> int:
    """Return the number of responses that shorten no guard: the first calls open connections, so all are slow."""
    return 2 * limit


@dataclass(frozen=True, slots=True)
class _SentCall(Generic[Stamp]):
    stamp: Stamp
    sent_at: float


class SentCalls(Generic[Stamp]):
    """Calls without a response, found by the time when they were sent."""

    def __init__(self) -> None:
        self._calls: deque[_SentCall[Stamp]] = deque(maxlen=MAX_CALLS)

    def add(self, stamp: Stamp, sent_at: float) -> None:
        """Add a call, with its stamp in the window."""
        self._calls.append(_SentCall(stamp, sent_at))

    def pop(self, sent_at: float) -> Stamp | None:
        """Remove the call that was sent at this time, and return its stamp.

        Calls sent within the margin can be confused, but exchanging their guards changes the window by less.
        """
        call = min(self._calls, key=lambda call: abs(call.sent_at - sent_at), default=None)
        if call is None or abs(call.sent_at - sent_at) > MARGIN_SECONDS:
            return None
        self._calls.remove(call)
        return call.stamp


class ResponseTimes:
    """Response times of one process, compared with the fastest recent one."""

    def __init__(self, limit: int, guard_seconds: float) -> None:
        self._ignored = ignored_responses(limit)
        self._guard_seconds = guard_seconds
        self._fastest = float("inf")

    def unused_guard(self, elapsed_seconds: float) -> float:
        """Return the part of the guard that a call with this response time did not need."""
        self._fastest = min(elapsed_seconds, self._fastest * FASTEST_RISE)
        if self._ignored > 0:
            self._ignored -= 1
            return 0.0
        return max(0.0, self._guard_seconds - MARGIN_SECONDS - (elapsed_seconds - self._fastest))
