"""Exception handlers: the mapping from exceptions to error responses."""

import logging
import socket
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Match

from crm_api import errors
from crm_api.database import is_outage
from crm_api.errors import ApiError, problem_response
from crm_api.hubspot.errors import HubSpotError
from crm_api.observability.logging import log_without_message

CLIENT_CLOSED_REQUEST = 499
logger = logging.getLogger(__name__)


def add_exception_handlers(app: FastAPI) -> None:
    """Handle the errors of the service, HubSpot, FastAPI, Starlette and the database."""

    async def on_api_error(request: Request, error: Any) -> Response:
        if isinstance(error.__cause__, HubSpotError):
            request.state.log_fields = log_fields(error.__cause__)
        return _respond(request, error)

    async def on_hubspot_error(request: Request, error: Any) -> Response:
        problem = errors.from_hubspot(error)
        fields = request.state.log_fields = log_fields(error)
        logger.warning(
            "hubspot call failed",
            extra={
                "error": type(error).__name__,
                "status": error.status_code,
                "code": problem.error_type.code,
                **fields,
            },
        )
        return _respond(request, problem)

    async def on_invalid_request(request: Request, error: Any) -> Response:
        failures = error.errors()
        for raised in (error, *(failure.get("ctx", {}).get("error") for failure in failures)):
            _end_reference_cycle(raised)
        if (refused := await _refusal(request)) is not None:
            return _respond(request, refused)
        if not _is_json(request) and any(failure["loc"] == ("body",) for failure in failures):
            return _respond(request, ApiError("unsupported_media_type"))
        return _respond(request, errors.from_validation(failures))

    async def on_http_exception(request: Request, error: Any) -> Response:
        _end_reference_cycle(error)
        if error.status_code == 400 and (refused := await _refusal(request)) is not None:
            return _respond(request, refused)
        return _respond(request, _from_http_exception(request, error))

    async def on_disconnect(_request: Request, _error: Any) -> Response:
        # The connection is closed, so only the access log and the metrics get this status. nginx uses it too.
        return Response(status_code=CLIENT_CLOSED_REQUEST)

    async def on_outage(request: Request, error: Any) -> Response:
        if isinstance(error, DBAPIError) and not is_outage(error):
            log_without_message(logger, error)
            return _respond(request, ApiError("internal_server_error"))
        # Tracebacks are left out: in an outage they would fill the disk.
        logger.warning("dependency unavailable: %s", errors.cause_of(error))
        return _respond(
            request, ApiError("service_unavailable", retry_after=errors.DEFAULT_RETRY_AFTER_SECONDS)
        )

    app.add_exception_handler(ApiError, on_api_error)
    app.add_exception_handler(HubSpotError, on_hubspot_error)
    app.add_exception_handler(RequestValidationError, on_invalid_request)
    # Starlette's class includes FastAPI's; the router's 404 and 405 and the body parser's 400 are Starlette's.
    app.add_exception_handler(HTTPException, on_http_exception)
    app.add_exception_handler(ClientDisconnect, on_disconnect)
    for error_class in (DBAPIError, PoolTimeoutError, ConnectionError, TimeoutError, socket.gaierror):
        app.add_exception_handler(error_class, on_outage)


def _end_reference_cycle(error: object) -> None:
    """Let Python free the body at once: FastAPI's frames refer to the error, and its traceback to the frames."""
    if isinstance(error, BaseException):
        error.__traceback__ = error.__cause__ = error.__context__ = None


async def _refusal(request: Request) -> ApiError | None:
    """Count an invalid request without a login. Return the 429 if its network has sent too many, otherwise None."""
    if getattr(request.state, "user_id", None) is None:
        try:
            await request.app.state.rate_limits.count_invalid_request(request)
        except ApiError as error:
            return error
    return None


def log_fields(error: HubSpotError) -> dict[str, str | None]:
    """Return the fields of the log line that identify the failed call in HubSpot."""
    return {
        "operation": error.operation,
        "category": error.category,
        "correlation_id": error.correlation_id,
    }


def _respond(request: Request, error: ApiError) -> Response:
    request.state.error_code = error.error_type.code
    return problem_response(error, request.state.request_id)


def _from_http_exception(request: Request, error: HTTPException) -> ApiError:
    codes = {
        # The token operation is the only one with a form.
        400: "malformed_body" if _is_json(request) else "invalid_request",
        401: "invalid_token",
        403: "forbidden",
        404: "not_found",
        405: "method_not_allowed",
        413: "request_too_large",
        415: "unsupported_media_type",
    }
    headers = {"Allow": ", ".join(_allowed_methods(request))} if error.status_code == 405 else {}
    return ApiError(codes.get(error.status_code, "internal_server_error"), headers=headers)


def _is_json(request: Request) -> bool:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    # A request without a body needs no media type.
    no_body = request.headers.get("content-length", "0") == "0" and "transfer-encoding" not in request.headers
    return no_body or media_type == "application/json" or media_type.endswith("+json")


def _allowed_methods(request: Request) -> list[str]:
    """Return the methods of all routes that match the path; Starlette's 405 lists only those of the first."""
    methods: set[str] = set()
    for context in iter_route_contexts(request.app.routes):
        match, _ = context.matches(request.scope)
        if match is not Match.NONE:
            methods |= context.methods or set()
    if "GET" in methods:
        methods.add("HEAD")
    return sorted(methods)
