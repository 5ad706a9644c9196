"""A circuit breaker: after repeated failures HubSpot is left alone for a while, then asked once."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum


class CircuitState(Enum):
    """Calls pass; calls are refused; one probe is under way or due."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class CircuitOpenError(Exception):
    """The call may not be sent now."""

    def __init__(self, retry_after: float) -> None:
        super().__init__(retry_after)
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class CircuitPermit:
    """One call's leave to be sent; handed back by `finish` or `abandon`."""

    is_probe: bool
    issued_at: float


class CircuitBreaker:
    """Opens when, within a window, there were enough failures and they were at least half of the outcomes."""

    def __init__(
        self,
        *,
        failure_threshold: int = 10,
        window_seconds: float = 10.0,
        open_seconds: float = 2.0,
        max_open_seconds: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._failure_threshold = failure_threshold
        self._window_seconds = window_seconds
        self._first_open_seconds = open_seconds
        self._max_open_seconds = max_open_seconds
        self._clock = clock
        self._outcomes: deque[tuple[float, bool]] = deque()
        self._open_seconds = open_seconds
        self._state = CircuitState.CLOSED
        self._changed_at = clock()
        self._probing = False
        self.on_change: Callable[[CircuitState], None] = lambda state: None
        """Called with each new state."""

    @property
    def state(self) -> CircuitState:
        """What it is now; an open one becomes half open when its time is over."""
        if self._state is CircuitState.OPEN and self._clock() >= self._changed_at + self._open_seconds:
            self._change(CircuitState.HALF_OPEN)
        return self._state

    def check(self) -> None:
        """Raise `CircuitOpenError` where a call would be refused; takes nothing."""
        state = self.state
        if state is CircuitState.OPEN:
            raise CircuitOpenError(max(0.0, self._changed_at + self._open_seconds - self._clock()))
        if state is CircuitState.HALF_OPEN and self._probing:
            raise CircuitOpenError(self._first_open_seconds)

    def enter(self) -> CircuitPermit:
        """Leave to send one call. Raises `CircuitOpenError`."""
        self.check()
        is_probe = self._state is CircuitState.HALF_OPEN
        self._probing = self._probing or is_probe
        return CircuitPermit(is_probe, self._clock())

    def finish(self, permit: CircuitPermit, *, failed: bool) -> None:
        """The call's outcome: any answer that HubSpot is there for is a success."""
        if permit.is_probe:
            self._probing = False
            if failed:
                self._open_seconds = min(self._open_seconds * 2, self._max_open_seconds)
                self._change(CircuitState.OPEN)
            else:
                self._open_seconds = self._first_open_seconds
                self._change(CircuitState.CLOSED)
            return
        # What was sent before the last change says nothing about now.
        if self.state is not CircuitState.CLOSED or permit.issued_at < self._changed_at:
            return
        now = self._clock()
        self._outcomes.append((now, failed))
        while self._outcomes[0][0] < now - self._window_seconds:
            self._outcomes.popleft()
        if not failed:
            return
        failures = sum(1 for _, was_failure in self._outcomes if was_failure)
        if failures >= self._failure_threshold and failures * 2 >= len(self._outcomes):
            self._change(CircuitState.OPEN)

    def abandon(self, permit: CircuitPermit) -> None:
        """The caller gave up; nothing was learned, and the next one may probe."""
        if permit.is_probe:
            self._probing = False

    def _change(self, state: CircuitState) -> None:
        self._state = state
        self._changed_at = self._clock()
        self._outcomes.clear()
        self.on_change(state)
