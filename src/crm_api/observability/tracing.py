"""OpenTelemetry traces, where a collector is named and `crm-api[otel]` is installed."""

import logging
import time
from typing import TYPE_CHECKING, Final

from fastapi.telemetry import TelemetryConfig
from opentelemetry import trace
from opentelemetry.context import Context
from starlette.types import Scope

from crm_api.hubspot import NullObserver

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import Span, TracerProvider

logger = logging.getLogger(__name__)

# What stands in a path or a query belongs to people: ids, and what they search for. `http.route` has the template.
_PERSONAL: Final = ("url.path", "url.query")
_PROBES: Final = frozenset({"/healthz", "/readyz"})
# Shorter waits are what the bookkeeping itself takes.
_WORTH_TELLING_SECONDS: Final = 0.001
SHUTDOWN_SECONDS: Final = 5


class Tracing(NullObserver):
    """The spans of one application; also the observer that adds what is asked of HubSpot to a request's span.

    FastAPI makes the spans of requests. Whether a trace is kept is the caller's decision, or OTEL_TRACES_SAMPLER's.
    """

    def __init__(self, endpoint: str, *, version: str) -> None:
        """Raises `ImportError` without `crm-api[otel]`."""
        self._provider = _provider(endpoint, version)
        self._tracer = self._provider.get_tracer("crm_api", version)

    @property
    def config(self) -> TelemetryConfig:
        """What FastAPI is to do."""
        return TelemetryConfig(
            tracer_provider=self._provider,
            tracing=True,
            metrics=False,  # Prometheus has them
            logs=False,  # they would quote what was not valid
            auto_configure=False,
            exclude=_is_probe,
        )

    def shut_down(self) -> None:
        """Send what is left; blocks for some seconds where the collector does not answer."""
        self._provider.shutdown()

    def call_finished(self, *, operation: str, outcome: str, attempt: int, seconds: float) -> None:
        """One attempt is over."""
        if not trace.get_current_span().is_recording():
            return  # nobody's request: the service asks for itself
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
        """A call waited for quota and a connection."""
        if seconds >= _WORTH_TELLING_SECONDS:
            trace.get_current_span().add_event(
                "waited for HubSpot's quota", {"hubspot.budget": budget, "hubspot.wait_seconds": seconds}
            )

    def retried(self, *, operation: str, reason: str) -> None:
        """A call is repeated."""
        trace.get_current_span().add_event(
            "repeating", {"hubspot.operation": operation, "error.type": reason}
        )


NOT_TRACED: Final = TelemetryConfig(tracing=False, metrics=False, logs=False, auto_configure=False)


def start_tracing(endpoint: str | None, *, version: str) -> Tracing | None:
    """The traces that the settings ask for; None without a collector, or without what sends to it."""
    if endpoint is None:
        return None
    try:
        return Tracing(endpoint, version=version)
    except ImportError:
        # Platforms set the variable for everything that they run.
        logger.warning("OTEL_EXPORTER_OTLP_ENDPOINT is set, but nothing is traced: install crm-api[otel]")
        return None


def _provider(endpoint: str, version: str) -> "TracerProvider":
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    class WithoutPersonalData(SpanProcessor):
        def on_start(self, span: "Span", parent_context: Context | None = None) -> None:
            for name in _PERSONAL:
                if name in (span.attributes or {}):
                    span.set_attribute(name, "REDACTED")

    ours = Resource({"service.name": "crm-api", "service.version": version})
    # What the environment says (OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES) goes before.
    resource = Resource.create().merge(ours).merge(OTELResourceDetector().detect())
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(WithoutPersonalData())
    exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=SHUTDOWN_SECONDS)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


def _is_probe(scope: Scope) -> bool:
    return scope.get("path") in _PROBES
