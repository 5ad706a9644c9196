"""ASGI middleware: request ID, deadline and access log; error boundary; HEAD; path prefix; security headers."""

import asyncio
import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable
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

# HubSpot calls end at the deadline; this margin ends other waits, such as for an unresponsive database.
DEADLINE_MARGIN_SECONDS = 1.0
# Bodies of account operations are small, and most of these operations need no login.
ACCOUNT_PATHS = (
    "/api/register",
    "/api/login",
    "/api/token",
    "/api/logout",
    "/api/me",
    "/api/email/",
    "/api/password/",
)
MAX_ACCOUNT_BODY_BYTES = 16_384
# A server does not wait until a client has read fewer bytes than these.
MAX_UNREAD_BYTES = 65_536
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
logger = logging.getLogger(__name__)


class RequestContextMiddleware:
    """ASGI middleware that sets the request ID and the deadline and logs each request.

    It adds `request.state.response_headers` to every response, also to errors.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        deadline_seconds: float,
        count_hubspot_calls: Callable[[str, int], Awaitable[None]],
        on_finished: Callable[..., None] = lambda **_: None,
    ) -> None:
        self._app = app
        self._count_hubspot_calls = count_hubspot_calls
        self._on_finished = on_finished
        self._deadline_seconds = deadline_seconds
        self._access_log = structlog.get_logger().bind(logger="crm_api.access")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        sent_id = headers.get(b"x-request-id", b"").decode("latin-1")
        request_id = sent_id if _REQUEST_ID.fullmatch(sent_id) else secrets.token_hex(16)
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
                    # Clients then open a new connection, to another process, for their next request.
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
                if hubspot.calls and (user_id := state.get("user_id")):
                    await self._count_hubspot_calls(user_id, hubspot.calls)

    def _finish(self, scope: Scope, status: int, seconds: float, hubspot: CallContext) -> None:
        state = scope["state"]
        # The template is logged because paths and queries contain personal data.
        route = getattr(scope.get("route"), "path", None) or "unknown"
        code = state.get("error_code")
        self._on_finished(method=scope["method"], route=route, status=status, seconds=seconds, code=code)
        fields = {name: value for name, value in state.get("log_fields", {}).items() if value is not None}
        # Log write errors are ignored, as in the standard library: a full disk must not fail requests.
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
                **({} if code is None else {"code": code, **fields}),
            )


class ErrorBoundaryMiddleware:
    """ASGI middleware that limits body size and duration and returns 500 for unexpected errors.

    It runs inside the CORS and request context middleware, so that its responses have their headers.
    """

    def __init__(self, app: ASGIApp, *, max_body_bytes: int, deadline_seconds: float) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes
        self._max_seconds = deadline_seconds + DEADLINE_MARGIN_SECONDS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = scope["state"]["request_id"]
        received = 0
        response_started = False
        max_body_bytes = self._max_body_bytes
        if scope["path"].startswith(ACCOUNT_PATHS):
            max_body_bytes = min(max_body_bytes, MAX_ACCOUNT_BODY_BYTES)

        async def receive_within_limit() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            # The time limit starts again with each part of the body: a slow network is not an error.
            if not response_started and not limit.expired():
                limit.reschedule(loop.time() + self._max_seconds)
            if received > max_body_bytes:
                raise HTTPException(413)
            return message

        async def send_without_limit(message: Message) -> None:
            nonlocal response_started
            response_started = True
            if not limit.expired():
                limit.reschedule(None)
            if len(message.get("body", b"")) > MAX_UNREAD_BYTES and not message.get("more_body", False):
                # A server waits with the next message until the client has read most of this one. So the request ends
                # with the response, and not as soon as the response is in the server's memory.
                await send({**message, "more_body": True})
                message = {"type": "http.response.body"}
            await send(message)

        if _content_length(scope) > max_body_bytes:
            scope["state"]["error_code"] = "request_too_large"
            await problem_response(ApiError("request_too_large"), request_id)(scope, receive, send)
            return
        loop = asyncio.get_running_loop()
        limit = asyncio.timeout(self._max_seconds)
        try:
            async with limit:
                await self._app(scope, receive_within_limit, send_without_limit)
        except Exception as error:
            if response_started:
                log_without_message(logger, error)
                raise
            if limit.expired():
                logger.warning("request timed out seconds=%.1f", self._max_seconds)
                problem = ApiError("service_unavailable", retry_after=DEFAULT_RETRY_AFTER_SECONDS)
            else:
                log_without_message(logger, error)
                problem = ApiError("internal_server_error")
            scope["state"]["error_code"] = problem.error_type.code
            await problem_response(problem, request_id)(scope, receive, send)


def _content_length(scope: Scope) -> int:
    length = dict(scope["headers"]).get(b"content-length", b"0")
    return int(length) if length.isdigit() else 0


class HeadMiddleware:
    """ASGI middleware that routes HEAD as GET; the server sends the headers without the body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        # The server reads the method of its own scope when it sends, so that scope keeps HEAD.
        routed: Scope = {**scope, "method": "GET"}
        try:
            await self._app(routed, receive, send)
        finally:
            scope["route"] = routed.get("route")


class RootPathMiddleware:
    """ASGI middleware that removes the prefix ROOT_PATH from paths, if the proxy has not removed it.

    Routes and all other middleware see the same path in both cases; probes may leave the prefix out.
    """

    def __init__(self, app: ASGIApp, *, root_path: str) -> None:
        self._app = app
        self._root_path = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and f"{scope['path']}/".startswith(f"{self._root_path}/"):
            scope = {**scope, "path": scope["path"].removeprefix(self._root_path) or "/"}
        await self._app(scope, receive, send)


class SecurityHeadersMiddleware:
    """ASGI middleware that adds security headers, except those that the response has already."""

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
                present = {name for name, _ in message["headers"]}
                added = [header for header in self._headers if header[0] not in present]
                message["headers"] = [*message["headers"], *added]
            await send(message)

        await self._app(scope, receive, send_with_headers)
