"""Circuit breakers: after repeated failures, calls are refused for a while, then one probe is sent."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, Literal

from crm_api.hubspot.errors import (
    ACCOUNT_WIDE_STATUSES,
    OUTAGES,
    HubSpotConnectionError,
    HubSpotDeadlineError,
    HubSpotError,
    HubSpotTimeoutError,
)
from crm_api.hubspot.names import EndpointFamily

CircuitName = Literal["account", EndpointFamily]
CIRCUITS: Final[tuple[CircuitName, ...]] = (
    "account",
    "search",
    "objects",
    "associations",
    "schema",
    "tokens",
)
# An attempt that was given less than this says nothing about HubSpot when it times out.
MIN_ATTEMPT_SECONDS: Final = 1.0


class CircuitState(Enum):
    """CLOSED: calls pass. OPEN: calls are refused. HALF_OPEN: one probe is due or in flight."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class CircuitOpenError(Exception):
    """Refusal of a call while the circuit is open."""

    def __init__(self, retry_after: float) -> None:
        super().__init__(retry_after)
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class CircuitPermit:
    """Permission to send one call, returned by `finish` or `abandon`."""

    is_probe: bool
    issued_at: float


class CircuitBreaker:
    """Opens when a time window holds enough failures and they are at least half of the outcomes."""

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
        self._is_probing = False
        self.on_change: Callable[[CircuitState], None] = lambda state: None
        """Called with each new state."""

    @property
    def state(self) -> CircuitState:
        """Current state; OPEN becomes HALF_OPEN when its time is over."""
        if self._state is CircuitState.OPEN and self._clock() >= self._changed_at + self._open_seconds:
            self._change(CircuitState.HALF_OPEN)
        return self._state

    def check(self) -> None:
        """Raise `CircuitOpenError` if a call would be refused now. Takes no permit."""
        state = self.state
        if state is CircuitState.OPEN:
            raise CircuitOpenError(max(0.0, self._changed_at + self._open_seconds - self._clock()))
        if state is CircuitState.HALF_OPEN and self._is_probing:
            raise CircuitOpenError(self._first_open_seconds)

    def enter(self) -> CircuitPermit:
        """Return a permit to send one call. Raises `CircuitOpenError` while the circuit is open or probed."""
        self.check()
        is_probe = self._state is CircuitState.HALF_OPEN
        self._is_probing = self._is_probing or is_probe
        return CircuitPermit(is_probe, self._clock())

    def finish(self, permit: CircuitPermit, *, failed: bool) -> None:
        """Record the outcome of a call. `failed` is False for every response that shows HubSpot working."""
        if permit.is_probe:
            self._is_probing = False
            self._finish_probe(failed=failed)
            return
        # Calls sent before the last state change say nothing about the present.
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
        """Return the permit of a call without an outcome, so that the next call may probe."""
        if permit.is_probe:
            self._is_probing = False

    def _finish_probe(self, *, failed: bool) -> None:
        if failed:
            self._open_seconds = min(self._open_seconds * 2, self._max_open_seconds)
            self._change(CircuitState.OPEN)
        else:
            self._open_seconds = self._first_open_seconds
            self._change(CircuitState.CLOSED)

    def _change(self, state: CircuitState) -> None:
        self._state = state
        self._changed_at = self._clock()
        self._outcomes.clear()
        self.on_change(state)


@dataclass(frozen=True, slots=True)
class CallPermit:
    """Permits of one call: of its endpoint family's circuit and of the account's."""

    family: EndpointFamily
    of_family: CircuitPermit
    of_account: CircuitPermit


class Circuits:
    """One circuit breaker for each endpoint family, and `account` for failures that affect every call.

    HubSpot's search can fail while its other endpoints work.
    """

    def __init__(self, **options: Any) -> None:
        self._breakers = {name: CircuitBreaker(**options) for name in CIRCUITS}

    def __getitem__(self, name: CircuitName) -> CircuitBreaker:
        return self._breakers[name]

    def open(self) -> list[CircuitName]:
        """Return the names of the open circuits."""
        return [name for name, breaker in self._breakers.items() if breaker.state is CircuitState.OPEN]

    def check(self, family: EndpointFamily) -> None:
        """Raise `CircuitOpenError` if a call would be refused now. Takes no permit."""
        self["account"].check()
        self[family].check()

    def enter(self, family: EndpointFamily) -> CallPermit:
        """Return a permit to send one call. Raises `CircuitOpenError`."""
        self.check(family)
        return CallPermit(family, self[family].enter(), self["account"].enter())

    def abandon(self, permit: CallPermit) -> None:
        """Return the permit of a call without an outcome, so that the next call may probe."""
        self[permit.family].abandon(permit.of_family)
        self["account"].abandon(permit.of_account)

    def finish(self, permit: CallPermit, *, family_failed: bool | None, account_failed: bool | None) -> None:
        """Record the outcome of a call; None if it says nothing about that circuit."""
        if family_failed is not None:
            self[permit.family].finish(permit.of_family, failed=family_failed)
        if account_failed is not None:
            self["account"].finish(permit.of_account, failed=account_failed)


def circuit_verdicts(outcome: object, given_seconds: float) -> tuple[bool | None, bool | None]:
    """Return whether the outcome is a failure for the circuits of its family and of the account.

    None means that this circuit ignores the outcome: the deadline made the timeout short, or the outcome is counted
    by the other circuit.
    """
    if (
        isinstance(outcome, HubSpotTimeoutError | HubSpotDeadlineError)
        and given_seconds < MIN_ATTEMPT_SECONDS
    ):
        return None, None
    if isinstance(outcome, HubSpotError) and outcome.status_code in ACCOUNT_WIDE_STATUSES:
        return None, True
    if isinstance(outcome, HubSpotConnectionError) and not outcome.sent:
        return None, True  # the circuits of all endpoint families have the same host
    if isinstance(outcome, OUTAGES):
        # An attempt that the deadline ended may not have reached HubSpot.
        return True, None if isinstance(outcome, HubSpotDeadlineError) else False
    return False, False
