"""The trace that a request belongs to: from OpenTelemetry or from the caller's `traceparent` header."""

import re
import secrets
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from opentelemetry import trace as otel

_TRACEPARENT = re.compile(r"00-(?P<trace>[0-9a-f]{32})-(?P<parent>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})")


class TraceContext(NamedTuple):
    """The fields to log and the headers to send to HubSpot; both are empty without a trace."""

    log: Mapping[str, str] = MappingProxyType({})
    headers: Mapping[str, str] = MappingProxyType({})


def current_trace() -> TraceContext | None:
    """Return the span that OpenTelemetry started for this request, or None if tracing is off."""
    span = otel.get_current_span().get_span_context()
    if not span.is_valid:
        return None
    return _build(f"{span.trace_id:032x}", f"{span.span_id:016x}", f"{span.trace_flags:02x}")


def continue_trace(traceparent: str) -> TraceContext:
    """Continue the caller's trace with a new span ID.

    https://www.w3.org/TR/trace-context/
    """
    parts = _TRACEPARENT.fullmatch(traceparent)
    if parts is None or not int(parts["trace"], 16) or not int(parts["parent"], 16):
        return TraceContext()
    return _build(parts["trace"], secrets.token_hex(8), parts["flags"])


def _build(trace_id: str, span_id: str, flags: str) -> TraceContext:
    return TraceContext(
        {"trace_id": trace_id, "span_id": span_id}, {"traceparent": f"00-{trace_id}-{span_id}-{flags}"}
    )
