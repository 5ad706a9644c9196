"""Observer of the client's events, for metrics and traces outside this library."""


class Observer:
    """Receives and ignores the client's events; overrides in subclasses must neither raise nor block."""

    def call_finished(self, *, operation: str, outcome: str, attempt: int, seconds: float) -> None:
        """Record a finished attempt; `outcome` is `ok` or the error's class name."""

    def quota_waited(self, *, budget: str, seconds: float) -> None:
        """Record how long an attempt waited for quota and a connection."""

    def retried(self, *, operation: str, reason: str) -> None:
        """Record that a call will be retried; `reason` is the error's class name."""

    def circuit_changed(self, *, circuit: str, state: str) -> None:
        """Record a circuit's new state: `open`, `half_open` or `closed`."""

    def credentials_checked(self, *, refused: bool) -> None:
        """Record whether HubSpot accepted the credentials of an attempt that it responded to."""

    def cache_read(self, *, outcome: str) -> None:
        """Record a read through the read cache: `hit`, `miss` or `stale`."""

    def token_refreshed(self, *, outcome: str) -> None:
        """Record a finished token request: `ok`, `dead_grant` or an error's class name."""

    def scope_missing(self, *, scope: str, is_missing: bool) -> None:
        """Record that HubSpot refused a call without this scope, or that such a call succeeded later."""


class Observers(Observer):
    """Forwards every event to several observers."""

    def __init__(self, *observers: Observer) -> None:
        self._observers = observers

    def call_finished(self, *, operation: str, outcome: str, attempt: int, seconds: float) -> None:
        for observer in self._observers:
            observer.call_finished(operation=operation, outcome=outcome, attempt=attempt, seconds=seconds)

    def quota_waited(self, *, budget: str, seconds: float) -> None:
        for observer in self._observers:
            observer.quota_waited(budget=budget, seconds=seconds)

    def retried(self, *, operation: str, reason: str) -> None:
        for observer in self._observers:
            observer.retried(operation=operation, reason=reason)

    def circuit_changed(self, *, circuit: str, state: str) -> None:
        for observer in self._observers:
            observer.circuit_changed(circuit=circuit, state=state)

    def credentials_checked(self, *, refused: bool) -> None:
        for observer in self._observers:
            observer.credentials_checked(refused=refused)

    def cache_read(self, *, outcome: str) -> None:
        for observer in self._observers:
            observer.cache_read(outcome=outcome)

    def token_refreshed(self, *, outcome: str) -> None:
        for observer in self._observers:
            observer.token_refreshed(outcome=outcome)

    def scope_missing(self, *, scope: str, is_missing: bool) -> None:
        for observer in self._observers:
            observer.scope_missing(scope=scope, is_missing=is_missing)
