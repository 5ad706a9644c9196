"""What the client tells whoever counts: metrics live outside this library."""

from typing import Protocol


class Observer(Protocol):
    """Told of what happens; must neither raise nor block."""

    def call_finished(self, *, operation: str, outcome: str, attempt: int, seconds: float) -> None:
        """One attempt is over; `outcome` is `ok` or the error's class name."""

    def quota_waited(self, *, budget: str, seconds: float) -> None:
        """A call waited for quota and a connection."""

    def retried(self, *, operation: str, reason: str) -> None:
        """A call is about to be repeated because of `reason`, an error's class name."""

    def circuit_changed(self, *, state: str) -> None:
        """The circuit is `open`, `half_open` or `closed` now."""

    def token_refreshed(self, *, outcome: str) -> None:
        """A token request is over: `ok`, `dead_grant` or an error's class name."""


class NullObserver:
    """Counts nothing."""

    def call_finished(self, *, operation: str, outcome: str, attempt: int, seconds: float) -> None:
        """Ignore."""

    def quota_waited(self, *, budget: str, seconds: float) -> None:
        """Ignore."""

    def retried(self, *, operation: str, reason: str) -> None:
        """Ignore."""

    def circuit_changed(self, *, state: str) -> None:
        """Ignore."""

    def token_refreshed(self, *, outcome: str) -> None:
        """Ignore."""


class Observers:
    """Several, told one after the other."""

    def __init__(self, *observers: Observer) -> None:
        self._observers = observers

    def call_finished(self, *, operation: str, outcome: str, attempt: int, seconds: float) -> None:
        """Pass it on."""
        for each in self._observers:
            each.call_finished(operation=operation, outcome=outcome, attempt=attempt, seconds=seconds)

    def quota_waited(self, *, budget: str, seconds: float) -> None:
        """Pass it on."""
        for each in self._observers:
            each.quota_waited(budget=budget, seconds=seconds)

    def retried(self, *, operation: str, reason: str) -> None:
        """Pass it on."""
        for each in self._observers:
            each.retried(operation=operation, reason=reason)

    def circuit_changed(self, *, state: str) -> None:
        """Pass it on."""
        for each in self._observers:
            each.circuit_changed(state=state)

    def token_refreshed(self, *, outcome: str) -> None:
        """Pass it on."""
        for each in self._observers:
            each.token_refreshed(outcome=outcome)
