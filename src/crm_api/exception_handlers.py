"""What each exception is answered with: the one place where errors become HTTP."""

import logging
import socket
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from crm_api import errors
from crm_api.errors import ApiError, problem_response
from crm_api.hubspot.errors import HubSpotError
from crm_api.observability.logging import log_without_message

logger = logging.getLogger(__name__)

# Classes of SQLSTATE: connection, credentials, no such database, resources spent, starting or stopping, system.
# https://www.postgresql.org/docs/current/errcodes-appendix.html
_OUTAGES: Final = frozenset({"08", "28", "3D", "53", "57", "58"})

# PostgreSQL has rolled the transaction back in another's favour: serialization_failure, deadlock_detected.
_WORTH_ASKING_AGAIN = frozenset({"40001", "40P01"})


def add_exception_handlers(app: FastAPI) -> None:
    """Answer ours, HubSpot's, FastAPI's and the database's errors with the body that all errors have."""

    async def on_api_error(request: Request, error: Any) -> Response:
        return _answer(request, error)

    async def on_hubspot_error(request: Request, error: Any) -> Response:
        logger.warning(
            "hubspot: %s status=%s category=%s correlation_id=%s operation=%s",
            type(error).__name__,
            error.status_code,
            error.category,
            error.correlation_id,
            error.operation,
        )
        return _answer(request, errors.from_hubspot(error))

    async def on_invalid_request(request: Request, error: Any) -> Response:
        failures = error.errors()
        if not _is_json(request) and any(failure["loc"] == ("body",) for failure in failures):
            return _answer(request, ApiError("unsupported_media_type"))
        return _answer(request, errors.from_validation(failures))

    async def on_http_exception(request: Request, error: Any) -> Response:
        return _answer(request, _from_http_exception(request, error))

    async def on_outage(request: Request, error: Any) -> Response:
        if isinstance(error, DBAPIError) and not _is_outage(error):
            log_without_message(logger, error)
            return _answer(request, ApiError("internal_server_error"))
        # A line: an outage would fill the disk with tracebacks that all say the same.
        logger.warning("what the service stands on does not answer: %s", errors.cause_of(error))
        return _answer(
            request, ApiError("service_unavailable", retry_after=errors.DEFAULT_RETRY_AFTER_SECONDS)
        )

    app.add_exception_handler(ApiError, on_api_error)
    app.add_exception_handler(HubSpotError, on_hubspot_error)
    app.add_exception_handler(RequestValidationError, on_invalid_request)
    # Starlette's, not FastAPI's: the router's own 404 and 405 and the body parser's 400 are only that.
    app.add_exception_handler(HTTPException, on_http_exception)
    for kind in (DBAPIError, PoolTimeoutError, ConnectionError, TimeoutError, socket.gaierror):
        app.add_exception_handler(kind, on_outage)


def _is_outage(error: DBAPIError) -> bool:
    """Whether the database's state is in the way, and no statement of ours."""
    state = str(getattr(error.orig, "sqlstate", None) or "")
    return (
        error.connection_invalidated
        or isinstance(error, (OperationalError, InterfaceError))
        or state[:2] in _OUTAGES
        or state in _WORTH_ASKING_AGAIN
    )


def _answer(request: Request, error: ApiError) -> Response:
    return problem_response(error, request.state.request_id)


def _from_http_exception(request: Request, error: HTTPException) -> ApiError:
    codes = {
        400: "malformed_body",
        401: "invalid_token",
        403: "forbidden",
        404: "not_found",
        405: "method_not_allowed",
        413: "request_too_large",
        415: "unsupported_media_type",
    }
    code = codes.get(error.status_code, "internal_server_error")
    if error.status_code == 405:
        return ApiError(code, headers={"Allow": ", ".join(_methods_here(request))})
    return ApiError(code)


def _is_json(request: Request) -> bool:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    # A request without a body has no type to be wrong.
    no_body = request.headers.get("content-length", "0") == "0" and "transfer-encoding" not in request.headers
    return no_body or media_type == "application/json" or media_type.endswith("+json")


def _methods_here(request: Request) -> list[str]:
    """All methods of the path; the router itself names only those of the first route that fits."""
    methods: set[str] = set()
    for context in iter_route_contexts(request.app.routes):
        match, _ = context.matches(request.scope)
        if match is not Match.NONE:
            methods |= context.methods or set()
    return sorted(methods)
