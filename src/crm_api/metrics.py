"""What is counted for Prometheus: requests, and everything between us and HubSpot."""

import os
from collections.abc import Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

# Names the folder that the workers count in; prometheus_client reads it when it is imported.
MULTIPROCESS_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_CIRCUIT_STATES: Final = ("closed", "half_open", "open")


class Metrics:
    """The metrics of one application; also the observer that the HubSpot client tells what happens.

    Labels are route templates, operations and class names: never ids, addresses or values.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "crm_api_requests", "Requests answered.", ("method", "route", "status"), registry=self.registry
        )
        self._request_seconds = Histogram(
            "crm_api_request_seconds",
            "Seconds to an answer.",
            ("method", "route"),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._calls = Counter(
            "crm_api_hubspot_attempts",
            "Requests sent to HubSpot.",
            ("operation", "outcome"),
            registry=self.registry,
        )
        self._call_seconds = Histogram(
            "crm_api_hubspot_attempt_seconds",
            "Seconds of a request to HubSpot.",
            ("operation",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._waits = Histogram(
            "crm_api_hubspot_wait_seconds",
            "Seconds waited for HubSpot's quota.",
            ("budget",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._retries = Counter(
            "crm_api_hubspot_retries", "Requests repeated.", ("operation", "reason"), registry=self.registry
        )
        self._refreshes = Counter(
            "crm_api_hubspot_token_refreshes", "Token requests.", ("outcome",), registry=self.registry
        )
        self._circuit = Gauge(
            "crm_api_hubspot_circuit",
            "1 for the state that the circuit is in.",
            ("state",),
            multiprocess_mode="livesum",
            registry=self.registry,
        )
        self._levels = Gauge(
            "crm_api_level",
            "What is used and left of quotas and pools, by name.",
            ("name",),
            multiprocess_mode="livemax",
            registry=self.registry,
        )
        self.circuit_changed(state="closed")

    def request_finished(self, *, method: str, route: str, status: int, seconds: float) -> None:
        """An incoming request was answered."""
        self._requests.labels(method, route, status).inc()
        self._request_seconds.labels(method, route).observe(seconds)

    def levels(self, values: Mapping[str, float]) -> None:
        """The levels as they are now, by name."""
        for name, value in values.items():
            self._levels.labels(name).set(value)

    def call_finished(self, *, operation: str, outcome: str, attempt: int, seconds: float) -> None:
        """One attempt is over."""
        self._calls.labels(operation, outcome).inc()
        self._call_seconds.labels(operation).observe(seconds)

    def quota_waited(self, *, budget: str, seconds: float) -> None:
        """A call waited for quota."""
        self._waits.labels(budget).observe(seconds)

    def retried(self, *, operation: str, reason: str) -> None:
        """A call is repeated."""
        self._retries.labels(operation, reason).inc()

    def circuit_changed(self, *, state: str) -> None:
        """The circuit is in this state now."""
        for each in _CIRCUIT_STATES:
            self._circuit.labels(each).set(1 if each == state else 0)

    def token_refreshed(self, *, outcome: str) -> None:
        """A token request is over."""
        self._refreshes.labels(outcome).inc()


def serve_metrics(host: str, port: int) -> None:
    """Serve what all workers count, from a thread of the process that starts them."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    start_http_server(port, host, registry)


def worker_ended() -> None:
    """Take this worker's levels away; what it counted stays."""
    if os.environ.get(MULTIPROCESS_VARIABLE):
        mark_process_dead(os.getpid())  # type: ignore[no-untyped-call]
