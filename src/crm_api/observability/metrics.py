"""What is counted for Prometheus: requests, everything between us and HubSpot, and the pools."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, start_http_server
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

# Names the folder that the workers count in; prometheus_client reads it when it is imported.
MULTIPROCESS_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_CIRCUIT_STATES: Final = ("closed", "half_open", "open")
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS"})


class Metrics:
    """The metrics of one application; also the observer that the HubSpot client tells what happens.

    Labels are route templates, operations and class names: never ids, addresses or values.
    """

    def __init__(self, *, version: str = "") -> None:
        self.registry = CollectorRegistry()
        self._requests = self._counter("requests", "Requests answered.", "method", "route", "status")
        self._request_seconds = self._histogram("request_seconds", "Seconds to an answer.", "method", "route")
        self._calls = self._counter("hubspot_attempts", "Requests sent to HubSpot.", "operation", "outcome")
        self._call_seconds = self._histogram(
            "hubspot_attempt_seconds", "Seconds of a request to HubSpot.", "operation"
        )
        self._waits = self._histogram(
            "hubspot_wait_seconds", "Seconds waited for HubSpot's quota or a connection.", "budget"
        )
        self._retries = self._counter("hubspot_retries", "Requests repeated.", "operation", "reason")
        self._refreshes = self._counter("hubspot_token_refreshes", "Token requests.", "outcome")
        self._circuit = self._gauge(
            "hubspot_circuit", "Workers whose circuit is in the state.", "livesum", "state"
        )
        # HubSpot's headers tell every worker of all: each one's count is of the whole account, as far as it knows.
        self._quota_limit = self._gauge(
            "hubspot_quota_limit", "Requests that the budget allows.", "livemin", "budget"
        )
        self._quota_remaining = self._gauge(
            "hubspot_quota_remaining", "Requests that are left of the budget.", "livemin", "budget"
        )
        self._quota_waiting = self._gauge(
            "hubspot_quota_waiting", "Calls that wait for the budget.", "livesum", "budget"
        )
        self._quota_shared = self._gauge(
            "hubspot_quota_shared",
            "1 while processes share the quota through Redis, 0 while it is away; absent without Redis.",
            "livemin",
        )
        self._pool_used = self._gauge("pool_used", "What is in use of a pool.", "livesum", "pool")
        self._pool_size = self._gauge("pool_size", "What a pool holds at the most.", "livesum", "pool")
        info = self._gauge("build_info", "1; the label has the version.", "livemax", "version")
        info.labels(version).set(1)
        self.circuit_changed(state="closed")

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"crm_api_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, *labels: str) -> Histogram:
        return Histogram(f"crm_api_{name}", text, labels, buckets=_SECONDS, registry=self.registry)

    def _gauge(self, name: str, text: str, mode: str, *labels: str) -> Gauge:
        # The mode says how the values of living workers become one; a dead one's are taken away.
        return Gauge(f"crm_api_{name}", text, labels, registry=self.registry, multiprocess_mode=mode)  # type: ignore[arg-type]

    def request_finished(self, *, method: str, route: str, status: int, seconds: float) -> None:
        """An incoming request was answered."""
        method = method if method in _METHODS else "other"
        self._requests.labels(method, route, status).inc()
        self._request_seconds.labels(method, route).observe(seconds)

    def quota(self, facts: Mapping[str, float]) -> None:
        """HubSpot's quota as `Quota.snapshot` tells it."""
        for budget in ("burst", "search", "daily"):
            limit = facts.get(f"{budget}_limit")
            if limit is None:
                continue
            remaining = facts.get(f"{budget}_remaining", limit - facts.get(f"{budget}_used", 0.0))
            self._quota_limit.labels(budget).set(limit)
            self._quota_remaining.labels(budget).set(max(0.0, remaining))
            if f"{budget}_waiting" in facts:
                self._quota_waiting.labels(budget).set(facts[f"{budget}_waiting"])
        if "shared" in facts:
            self._quota_shared.set(facts["shared"])

    def pool(self, name: str, *, used: int, size: int) -> None:
        """How much of a pool is in use."""
        self._pool_used.labels(name).set(used)
        self._pool_size.labels(name).set(size)

    def call_finished(self, *, operation: str, outcome: str, attempt: int, seconds: float) -> None:
        """One attempt is over."""
        self._calls.labels(operation, outcome).inc()
        self._call_seconds.labels(operation).observe(seconds)

    def quota_waited(self, *, budget: str, seconds: float) -> None:
        """A call waited for quota and a connection."""
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


class _AllWorkers(MultiProcessCollector):
    """What all workers count; one that was killed could not take its levels away itself."""

    def __init__(self, folder: Path) -> None:
        super().__init__(None, str(folder))  # type: ignore[no-untyped-call]
        self._folder = folder

    def collect(self) -> Iterable[Metric]:
        """The metrics as they are now."""
        for file in self._folder.glob("gauge_live*_*.db"):
            pid = int(file.stem.rpartition("_")[2])
            if not _is_alive(pid):
                mark_process_dead(pid, str(self._folder))  # type: ignore[no-untyped-call]
        metrics: Iterable[Metric] = super().collect()  # type: ignore[no-untyped-call]
        return metrics


def serve_metrics(host: str, port: int, folder: Path) -> int:
    """Serve what all workers count in the folder, from a thread of this process; returns the port.

    Raises `OSError` where the port is taken.
    """
    registry = CollectorRegistry()
    registry.register(_AllWorkers(folder))
    server, _ = start_http_server(port, host, registry)
    return int(server.server_port)


def worker_ended() -> None:
    """Take this worker's levels away; what it counted stays."""
    if os.environ.get(MULTIPROCESS_VARIABLE):
        mark_process_dead(os.getpid())  # type: ignore[no-untyped-call]


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
