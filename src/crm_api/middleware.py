"""ASGI middleware: request ID, deadline and access log; error boundary; security headers."""

import asyncio
import logging
import re
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import structlog
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from crm_api.errors import DEFAULT_RETRY_AFTER_SECONDS, ApiError, problem_response
from crm_api.hubspot import CallContext, call_context
from crm_api.observability.logging import log_without_message
from crm_api.observability.trace_context import continue_trace, current_trace

# What is asked of HubSpot ends by itself at the deadline; this is for what does not, such as a database that hangs.
PAST_DEADLINE_SECONDS = 1.0
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
logger = logging.getLogger(__name__)


class RequestContextMiddleware:
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
        trace = current_trace() or continue_trace(headers.get(b"traceparent", b"").decode("latin-1"))
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
            call_context(self._deadline_seconds) as hubspot,
        ):
            hubspot.headers.update(trace.headers)
            try:
                await self._app(scope, receive, send_with_headers)
            finally:
                self._finish(scope, status, time.perf_counter() - started, hubspot)

    def _finish(self, scope: Scope, status: int, seconds: float, hubspot: CallContext) -> None:
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


class ErrorBoundaryMiddleware:
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


def _announced_bytes(scope: Scope) -> int:
    length = dict(scope["headers"]).get(b"content-length", b"0")
    return int(length) if length.isdigit() else 0


class SecurityHeadersMiddleware:
    """Pure ASGI: the headers that every answer bears, unless it brings stricter ones of its own."""

    def __init__(self, app: ASGIApp, *, https_only: bool) -> None:
        self._app = app
        headers = {
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
            "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
            "Cache-Control": "no-store",
        }
        if https_only:
            headers["Strict-Transport-Security"] = "max-age=31536000; includeSubDomains"
        self._headers = [(name.lower().encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message["headers"]
                present = {name for name, _ in headers}
                message["headers"] = [*headers, *(each for each in self._headers if each[0] not in present)]
            await send(message)

        await self._app(scope, receive, send_with_headers)
