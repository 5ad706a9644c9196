"""OpenTelemetry traces, if a collector is configured and `crm-api[otel]` is installed."""

import logging
import time
from typing import TYPE_CHECKING, Final

from fastapi.telemetry import TelemetryConfig
from opentelemetry import trace
from opentelemetry.context import Context
from starlette.types import Scope

from crm_api.hubspot import Observer

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import Span, TracerProvider

logger = logging.getLogger(__name__)

# Paths and queries contain personal data, such as IDs and search words, so these attributes become `REDACTED`.
# `http.route` has the path without IDs.
_PERSONAL_ATTRIBUTES: Final = ("url.path", "url.query")
_PROBES: Final = frozenset({"/healthz", "/readyz"})
# Shorter waits are only the time of the quota code itself.
_MIN_WAIT_SECONDS: Final = 0.001
SHUTDOWN_SECONDS: Final = 5


class Tracing(Observer):
    """Tracing of one application, and the observer that adds HubSpot attempts to a request's span.

    FastAPI creates the spans of requests. The caller or OTEL_TRACES_SAMPLER decides whether a trace is sampled.
    """

    def __init__(self, endpoint: str, *, version: str) -> None:
        """Start the exporter. Raises `ImportError` without `crm-api[otel]`."""
        self._provider = _provider(endpoint, version)
        self._tracer = self._provider.get_tracer("crm_api", version)

    @property
    def config(self) -> TelemetryConfig:
        """FastAPI's telemetry configuration."""
        return TelemetryConfig(
            tracer_provider=self._provider,
            tracing=True,
            metrics=False,  # Prometheus serves metrics
            logs=False,  # these logs would contain invalid values that callers sent
            auto_configure=False,
            exclude=_is_probe,
        )

    def shutdown(self) -> None:
        """Send the remaining spans; blocks for some seconds if the collector is unavailable."""
        self._provider.shutdown()

    def call_finished(self, *, operation: str, outcome: str, attempt: int, seconds: float) -> None:
        """Add a span for a finished attempt."""
        if not trace.get_current_span().is_recording():
            return  # a background call without a request
        ended = time.time_ns()
        span = self._tracer.start_span(
            f"HubSpot {operation}",
            kind=trace.SpanKind.CLIENT,
            start_time=ended - int(seconds * 1e9),
            attributes={"hubspot.operation": operation, "hubspot.attempt": attempt},
        )
        if outcome != "ok":
            span.set_attribute("error.type", outcome)
            span.set_status(trace.StatusCode.ERROR)
        span.end(ended)

    def quota_waited(self, *, budget: str, seconds: float) -> None:
        """Add an event for a wait for quota or a connection."""
        if seconds >= _MIN_WAIT_SECONDS:
            trace.get_current_span().add_event(
                "waited for HubSpot's quota", {"hubspot.budget": budget, "hubspot.wait_seconds": seconds}
            )

    def retried(self, *, operation: str, reason: str) -> None:
        """Add an event for a retry."""
        trace.get_current_span().add_event("retry", {"hubspot.operation": operation, "error.type": reason})


NOT_TRACED: Final = TelemetryConfig(tracing=False, metrics=False, logs=False, auto_configure=False)


def start_tracing(endpoint: str | None, *, version: str) -> Tracing | None:
    """Start tracing, or return None without a collector or without `crm-api[otel]`."""
    if endpoint is None:
        return None
    try:
        return Tracing(endpoint, version=version)
    except ImportError:
        # Only a warning, because platforms set the variable for all their services.
        logger.warning("tracing is off: install crm-api[otel] or unset OTEL_EXPORTER_OTLP_ENDPOINT")
        return None


def _provider(endpoint: str, version: str) -> "TracerProvider":
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    class WithoutPersonalData(SpanProcessor):
        def on_start(self, span: "Span", parent_context: Context | None = None) -> None:
            for name in _PERSONAL_ATTRIBUTES:
                if name in (span.attributes or {}):
                    span.set_attribute(name, "REDACTED")

    defaults = Resource({"service.name": "crm-api", "service.version": version})
    # OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES override the defaults.
    resource = Resource.create().merge(defaults).merge(OTELResourceDetector().detect())
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(WithoutPersonalData())
    exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=SHUTDOWN_SECONDS)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


def _is_probe(scope: Scope) -> bool:
    return scope.get("path") in _PROBES
