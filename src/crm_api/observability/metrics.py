"""Prometheus metrics: requests, HubSpot calls and quota, pools."""

from collections.abc import Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from crm_api.hubspot import BUDGETS, CIRCUITS, DailyReport, Observer

_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_CIRCUIT_STATES: Final = ("closed", "half_open", "open")
_FAILED_LOGINS: Final = frozenset({"invalid_credentials", "invalid_grant"})
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS"})


class Metrics(Observer):
    """Metrics of one application, and the observer of its HubSpot client.

    Labels are route templates, operations and class names, never IDs, addresses or values.
    """

    def __init__(self, *, version: str = "") -> None:
        self.registry = CollectorRegistry()
        counter, histogram, gauge = self._counter, self._histogram, self._gauge
        self._requests = counter("requests", "Requests.", "method", "route", "status")
        self._request_seconds = histogram("request_seconds", "Seconds until the response.", "method", "route")
        self._calls = counter("hubspot_attempts", "Attempts sent to HubSpot.", "operation", "outcome")
        self._call_seconds = histogram("hubspot_attempt_seconds", "Seconds of one attempt.", "operation")
        self._waits = histogram(
            "hubspot_wait_seconds", "Seconds waited for HubSpot's quota or a connection.", "budget"
        )
        self._retries = counter("hubspot_retries", "Retries.", "operation", "reason")
        self._refreshes = counter("hubspot_token_refreshes", "Token requests.", "outcome")
        self._cache_reads = counter(
            "read_cache_reads", "Reads for customers: `hit`, `miss` or `stale`.", "outcome"
        )
        self._cache_bytes = gauge("read_cache_bytes", "Memory of the read cache.", "livesum")
        self._circuit = gauge(
            "hubspot_circuit", "Workers whose circuit breaker is in the state.", "livesum", "circuit", "state"
        )
        # Each worker knows the whole account's burst quota from HubSpot's headers, so the lowest value is the best.
        self._quota_limit = gauge("hubspot_quota_limit", "Size of the budget.", "livemin", "budget")
        self._quota_remaining = gauge("hubspot_quota_remaining", "Remaining budget.", "livemin", "budget")
        # A worker without recent calls has an old report, possibly of an earlier day, so the latest report counts.
        # The report concerns the HubSpot account, so it stays valid when the worker that received it ends.
        self._daily_limit = gauge("hubspot_daily_limit", "Calls that HubSpot allows a day.", "mostrecent")
        self._daily_remaining = gauge(
            "hubspot_daily_remaining", "Remaining calls of the day in HubSpot's latest report.", "mostrecent"
        )
        self._daily_report: DailyReport | None = None
        self._quota_waiting = gauge(
            "hubspot_quota_waiting", "Calls that wait for the budget.", "livesum", "budget"
        )
        self._quota_paused = gauge(
            "hubspot_quota_paused_seconds", "Remaining seconds of a pause after a 429.", "livemax", "budget"
        )
        # Created with its first value: a worker's file would have 0 from the start, which means that Redis failed.
        self._quota_shared: Gauge | None = None
        self._credentials_refused = gauge(
            "hubspot_credentials_refused", "1 while HubSpot refuses the credentials.", "livemax"
        )
        self._account_mismatch = gauge(
            "hubspot_account_mismatch", "1 if the database is bound to another HubSpot account.", "livemax"
        )
        self._mails_lost = counter("mails_lost", "Mails that were not sent.", "reason")
        self._failed_logins = counter("failed_logins", "Logins and token requests with wrong credentials.")
        self._rate_limited = counter(
            "rate_limited_requests", "Requests over one of the service's rate limits.", "route"
        )
        self._missing_scope = gauge(
            "hubspot_missing_scope",
            "1 after HubSpot refused a call without the scope, 0 after such a call succeeded.",
            "livemax",
            "scope",
        )
        self._pool_used = gauge("pool_used", "Used connections or threads of a pool.", "livesum", "pool")
        self._pool_size = gauge("pool_size", "Maximum connections or threads of a pool.", "livesum", "pool")
        info = gauge("build_info", "Always 1; the label has the version.", "livemax", "version")
        info.labels(version).set(1)
        for name in CIRCUITS:
            self.circuit_changed(circuit=name, state="closed")

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"crm_api_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, *labels: str) -> Histogram:
        return Histogram(f"crm_api_{name}", text, labels, buckets=_SECONDS, registry=self.registry)

    def _gauge(self, name: str, text: str, mode: str, *labels: str) -> Gauge:
        # The mode defines how the values of live workers are combined; those of dead workers are removed.
        return Gauge(f"crm_api_{name}", text, labels, registry=self.registry, multiprocess_mode=mode)  # type: ignore[arg-type]

    def request_finished(
        self, *, method: str, route: str, status: int, seconds: float, code: str | None = None
    ) -> None:
        """Record a finished request; `code` is that of its error."""
        method = method if method in _METHODS else "other"
        self._requests.labels(method, route, status).inc()
        self._request_seconds.labels(method, route).observe(seconds)
        if code in _FAILED_LOGINS:
            self._failed_logins.inc()
        if code == "rate_limit_exceeded":
            self._rate_limited.labels(route).inc()

    def mails_lost(self, reason: str, count: int = 1) -> None:
        """Record mails that were not sent."""
        self._mails_lost.labels(reason).inc(count)

    def account_mismatch(self, *, is_mismatch: bool) -> None:
        """Update whether the database is bound to another HubSpot account."""
        self._account_mismatch.set(is_mismatch)

    def credentials_checked(self, *, refused: bool) -> None:
        self._credentials_refused.set(refused)

    def quota(self, snapshot: Mapping[str, float]) -> None:
        """Update the quota gauges from a `Quota.snapshot`."""
        for budget in BUDGETS:
            limit = snapshot.get(f"{budget}_limit")
            if limit is None:
                continue
            self._quota_limit.labels(budget).set(limit)
            self._quota_remaining.labels(budget).set(max(0.0, limit - snapshot.get(f"{budget}_used", 0.0)))
            if f"{budget}_waiting" in snapshot:
                self._quota_waiting.labels(budget).set(snapshot[f"{budget}_waiting"])
        for name in (*BUDGETS, "daily"):
            self._quota_paused.labels(name).set(snapshot.get(f"{name}_paused_seconds", 0.0))
        if "shared" in snapshot:
            if self._quota_shared is None:
                self._quota_shared = self._gauge(
                    "hubspot_quota_shared",
                    "1 while processes share the quota through Redis, 0 while Redis is unavailable.",
                    "livemin",
                )
            self._quota_shared.set(snapshot["shared"])

    def daily_report(self, report: DailyReport | None) -> None:
        """Update the gauges of the calls of the day, unless the report was shown before.

        The time of the update decides between workers, so it must be close to the time of the report.
        """
        if report is not None and report != self._daily_report:
            self._daily_report = report
            self._daily_limit.set(report.limit)
            self._daily_remaining.set(report.remaining)

    def pool(self, name: str, *, used: int, size: int) -> None:
        """Update the gauges of a pool."""
        self._pool_used.labels(name).set(used)
        self._pool_size.labels(name).set(size)

    def call_finished(self, *, operation: str, outcome: str, attempt: int, seconds: float) -> None:
        self._calls.labels(operation, outcome).inc()
        self._call_seconds.labels(operation).observe(seconds)

    def quota_waited(self, *, budget: str, seconds: float) -> None:
        self._waits.labels(budget).observe(seconds)

    def retried(self, *, operation: str, reason: str) -> None:
        self._retries.labels(operation, reason).inc()

    def circuit_changed(self, *, circuit: str, state: str) -> None:
        for name in _CIRCUIT_STATES:
            self._circuit.labels(circuit, name).set(1 if name == state else 0)

    def cache_read(self, *, outcome: str) -> None:
        self._cache_reads.labels(outcome).inc()

    def read_cache_size(self, used_bytes: int) -> None:
        """Update the gauge of the read cache."""
        self._cache_bytes.set(used_bytes)

    def token_refreshed(self, *, outcome: str) -> None:
        self._refreshes.labels(outcome).inc()

    def scope_missing(self, *, scope: str, is_missing: bool) -> None:
        self._missing_scope.labels(scope).set(1 if is_missing else 0)
