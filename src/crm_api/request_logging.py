"""Around every request: its id, its deadline toward HubSpot, its log line, and the 500 of last resort."""

import asyncio
import logging
import re
import secrets
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Any, NamedTuple

import structlog
from opentelemetry import trace as otel
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from crm_api.errors import DEFAULT_RETRY_AFTER_SECONDS, ApiError, problem_response
from crm_api.hubspot import RequestScope, request_scope
from crm_api.settings import Settings

# What is asked of HubSpot ends by itself at the deadline; this is for what does not, such as a database that hangs.
PAST_DEADLINE_SECONDS = 1.0
_TRACEPARENT = re.compile(r"00-(?P<trace>[0-9a-f]{32})-(?P<parent>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
logger = logging.getLogger(__name__)


class RequestContext:
    """Pure ASGI: gives each request an id and a deadline, and writes one line when it is done.

    Whatever stands in `request.state.response_headers` goes out with the answer, error or not.
    """

    def __init__(
        self, app: ASGIApp, *, deadline_seconds: float, on_finished: Callable[..., None] = lambda **_: None
    ) -> None:
        self._app = app
        self._on_finished = on_finished
        self._deadline_seconds = deadline_seconds
        self._access_log = structlog.get_logger().bind(logger="crm_api.access")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        offered = headers.get(b"x-request-id", b"").decode("latin-1")
        request_id = offered if _REQUEST_ID.fullmatch(offered) else secrets.token_hex(16)
        state: dict[str, Any] = scope.setdefault("state", {})
        state["request_id"] = request_id
        trace = _own_span() or _taken_up(headers.get(b"traceparent", b"").decode("latin-1"))
        started = time.perf_counter()
        status = 500

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
                for name, value in state.get("response_headers", {}).items():
                    headers.setdefault(name, value)
                if scope["app"].state.draining:
                    # The caller's next request then finds another process, instead of a connection being closed.
                    headers["Connection"] = "close"
            await send(message)

        with (
            structlog.contextvars.bound_contextvars(request_id=request_id, **trace.log),
            request_scope(self._deadline_seconds) as hubspot,
        ):
            hubspot.headers.update(trace.headers)
            try:
                await self._app(scope, receive, send_with_headers)
            finally:
                self._finish(scope, status, time.perf_counter() - started, hubspot)

    def _finish(self, scope: Scope, status: int, seconds: float, hubspot: RequestScope) -> None:
        state = scope["state"]
        # The template, not the path: ids belong to customers, and queries hold what they search for.
        route = getattr(scope.get("route"), "path", None) or "unknown"
        self._on_finished(method=scope["method"], route=route, status=status, seconds=seconds)
        # As the standard library has it: a disk that is full costs nobody an answer.
        with suppress(OSError):
            self._access_log.info(
                "request",
                method=scope["method"],
                route=route,
                status=status,
                duration_ms=round(seconds * 1000, 1),
                user_id=state.get("user_id"),
                hubspot_calls=hubspot.calls,
                hubspot_wait_ms=round(hubspot.wait_seconds * 1000, 1),
            )


class LastResort:
    """Pure ASGI: refuses bodies over the limit, ends what takes too long, and answers 500 for what nobody foresaw.

    It stands inside of CORS and the request's context, so that these answers bear the headers that all do.
    """

    def __init__(self, app: ASGIApp, *, max_body_bytes: int, deadline_seconds: float) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes
        self._longest_seconds = deadline_seconds + PAST_DEADLINE_SECONDS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = scope["state"]["request_id"]
        received = 0
        answering = False

        async def receive_within_limit() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            # How fast a caller's network is counts neither here nor while the answer is sent.
            if not answering and not limit.expired():
                limit.reschedule(loop.time() + self._longest_seconds)
            if received > self._max_body_bytes:
                raise HTTPException(413)
            return message

        async def note_and_send(message: Message) -> None:
            nonlocal answering
            answering = True
            if not limit.expired():
                limit.reschedule(None)
            await send(message)

        if _announced_bytes(scope) > self._max_body_bytes:
            # Refused before a byte of it is read.
            await problem_response(ApiError("request_too_large"), request_id)(scope, receive, send)
            return
        loop = asyncio.get_running_loop()
        limit = asyncio.timeout(self._longest_seconds)
        try:
            async with limit:
                await self._app(scope, receive_within_limit, note_and_send)
        except Exception as error:
            if answering:
                log_without_message(logger, error)
                raise
            if limit.expired():
                logger.warning(
                    "ended after %.1f s: the body, the database or something else did not come",
                    self._longest_seconds,
                )
                late = ApiError("service_unavailable", retry_after=DEFAULT_RETRY_AFTER_SECONDS)
                await problem_response(late, request_id)(scope, receive, send)
                return
            log_without_message(logger, error)
            await problem_response(ApiError("internal_server_error"), request_id)(scope, receive, send)


class _Trace(NamedTuple):
    """What of a trace is logged, and what is passed on."""

    log: Mapping[str, str] = MappingProxyType({})
    headers: Mapping[str, str] = MappingProxyType({})


def _own_span() -> _Trace | None:
    """The span that OpenTelemetry has begun for this request, where it is on."""
    span = otel.get_current_span().get_span_context()
    if not span.is_valid:
        return None
    return _traced(f"{span.trace_id:032x}", f"{span.span_id:016x}", f"{span.trace_flags:02x}")


def _taken_up(traceparent: str) -> _Trace:
    """A caller's trace, to be logged and passed on with a span of our own. https://www.w3.org/TR/trace-context/"""
    parts = _TRACEPARENT.fullmatch(traceparent)
    if parts is None or not int(parts["trace"], 16) or not int(parts["parent"], 16):
        return _Trace()
    return _traced(parts["trace"], secrets.token_hex(8), parts["flags"])


def _traced(trace: str, span: str, flags: str) -> _Trace:
    return _Trace({"trace_id": trace, "span_id": span}, {"traceparent": f"00-{trace}-{span}-{flags}"})


def _announced_bytes(scope: Scope) -> int:
    length = dict(scope["headers"]).get(b"content-length", b"0")
    return int(length) if length.isdigit() else 0


def log_without_message(log: logging.Logger, error: BaseException) -> None:
    """Log an exception's type and place; its message may hold a row, a body or an address."""
    trace = "".join(traceback.format_tb(error.__traceback__))
    log.error("unhandled %s\n%s", type(error).__name__, trace)


def configure_logging(settings: Settings) -> None:
    """Send all logging, ours and the libraries', to standard output in one format.

    The access line is written by structlog itself: through the standard library's logging it costs three times as much.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if settings.log_format == "json"
        else structlog.dev.ConsoleRenderer(
            colors=sys.stdout.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[settings.log_level]
        ),
        logger_factory=structlog.WriteLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info if settings.log_format == "json" else _unchanged,
            renderer,
        ],
    )
    output = logging.StreamHandler(sys.stdout)
    output.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [output]
    root.setLevel(settings.log_level)
    # What these log is personal: whole URLs, the caller's key, and every parameter of every statement.
    for name in ("httpx", "httpcore", "slowapi", "uvicorn.access", "aiosqlite", "sqlalchemy"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for name in ("uvicorn", "uvicorn.error"):
        logging.getLogger(name).handlers = []
        logging.getLogger(name).propagate = True


def _unchanged(_logger: Any, _name: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    return event
