"""Dependencies and parameters of the record operations."""

import asyncio
import math
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Annotated

from fastapi import Depends, Header, Query, Request, Response
from pydantic import AfterValidator, BeforeValidator, Field
from pydantic.json_schema import SkipJsonSchema
from starlette.requests import ClientDisconnect

from crm_api.dependencies.accounts import get_origin
from crm_api.dependencies.app_state import get_hubspot, get_session_factory, get_settings
from crm_api.dependencies.auth import CurrentUser, CurrentUserIfSent
from crm_api.errors import DEFAULT_RETRY_AFTER_SECONDS, ApiError
from crm_api.hubspot import CachedReads, ReadCache, current_call_context
from crm_api.models import User
from crm_api.schemas.common import DEFAULT_LIMIT, MAX_LIMIT, NO_NUL, Include, Limit, OptionalCursor
from crm_api.services.idempotency import LEASE_MARGIN_SECONDS
from crm_api.services.records.context import RecordContext
from crm_api.services.records.etags import is_unchanged

# The constraints belong to `str`: on `str | None` they would be missing in the OpenAPI document.
_ETags = Annotated[
    str, Field(min_length=1, max_length=1000, pattern=r'^(\*|(W/)?"[^"]*"(\s*,\s*(W/)?"[^"]*")*)$')
]
_SortName = Annotated[str, Field(max_length=101, pattern=r"^-?[a-z][a-z0-9_]*$")]
FilterText = Annotated[str, Field(min_length=1, max_length=100, pattern=NO_NUL)]


def _default_if_blank(default: int | None) -> BeforeValidator:
    """Return a validator that replaces an empty value and `null`, which some front ends send for "no value"."""
    return BeforeValidator(lambda value: default if value in ("", "null") else value)


LimitParameter = Annotated[Limit, _default_if_blank(DEFAULT_LIMIT), Query()]
OverviewLimit = Annotated[
    int,
    Field(ge=1, le=2_147_483_647),
    AfterValidator(lambda limit: min(limit, MAX_LIMIT)),
    _default_if_blank(DEFAULT_LIMIT),
    Query(
        description="Maximum number of contacts. A number above 100 means 100; an empty value or `null` means 10.",
        examples=[10],
    ),
]
CursorParameter = Annotated[OptionalCursor | SkipJsonSchema[None], _default_if_blank(None), Query()]
IfMatch = Annotated[
    _ETags | SkipJsonSchema[None],
    Header(
        alias="If-Match",
        description=(
            "ETag of this record; if the record has changed since, nothing is written and the response is a 412. "
            "Changes through this service are always detected; a change made in HubSpot is not detected if it "
            "happens between this service's read and its write. "
            'The forms into which a compressing proxy changes an ETag, `W/"..."` and `"...-gzip"`, match too.'
        ),
        examples=['"5f0c8a52c2f04d6c8a1d0a2b7c9e4f11"'],
    ),
]
_AnyETags = Annotated[str, Field(min_length=1, max_length=1000, pattern=r"^[ -~]+$")]
IfNoneMatch = Annotated[
    # An invalid ETag matches nothing, so the record is returned.
    _AnyETags | SkipJsonSchema[None],
    Header(
        alias="If-None-Match",
        description="`ETag` of an earlier response; if the response would be the same, it is a 304 without a body.",
        examples=['"5f0c8a52c2f04d6c8a1d0a2b7c9e4f11.9c1f0e5d7a3b2486"'],
    ),
]
SortBy = Annotated[
    _SortName | SkipJsonSchema[None],
    Query(
        description=(
            "Name of a filterable property in `GET /api/properties/{object_type}`, with the prefix `-` for "
            "descending order. Default: by ascending ID. HubSpot sorts only the first 10,000 records of an account."
        ),
        examples=["-createdate"],
    ),
]
IncludeParameter = Annotated[
    Include | SkipJsonSchema[None],
    Query(
        description=(
            "`associations` makes sure that `contact_ids` and `deal_ids` are read. Without it they are null where they "
            "would take another call to the CRM: in staff lists, and in `deal_ids` of a customer's ticket."
        ),
        examples=["associations"],
    ),
]
_IN_PIPELINE = "Only records in this pipeline, an ID in `GET /api/pipelines`."
_IN_STAGE = "Only records in this stage, an ID in `GET /api/pipelines`."
_OptionalText = FilterText | SkipJsonSchema[None]
DealPipelineFilter = Annotated[_OptionalText, Query(description=_IN_PIPELINE, examples=["default"])]
DealStageFilter = Annotated[_OptionalText, Query(description=_IN_STAGE, examples=["qualifiedtobuy"])]
TicketPipelineFilter = Annotated[_OptionalText, Query(description=_IN_PIPELINE, examples=["0"])]
TicketStageFilter = Annotated[_OptionalText, Query(description=_IN_STAGE, examples=["1"])]


async def get_record_context(request: Request, user: CurrentUser) -> AsyncGenerator[RecordContext, None]:
    """Provide the context of this request for records until the response is sent.

    Waits while the user has too many such requests. Raises 503 if that takes longer than the deadline, and
    `ClientDisconnect` if the client has closed its connection meanwhile.
    """
    simultaneous: asyncio.Semaphore = request.app.state.record_requests.of(str(user.id))
    has_to_wait = simultaneous.locked()
    call_context = current_call_context()
    try:
        async with asyncio.timeout(call_context.remaining() if call_context is not None else None):
            await simultaneous.acquire()
    except TimeoutError:
        raise ApiError("service_unavailable", retry_after=DEFAULT_RETRY_AFTER_SECONDS) from None
    try:
        if has_to_wait and await request.is_disconnected():
            # Without this check, a user who closes many waiting connections keeps the process busy in vain.
            raise ClientDisconnect
        yield await _record_context(request, user)
    finally:
        simultaneous.release()


async def get_schema_context(request: Request, user: CurrentUser) -> RecordContext:
    """Return the context of an operation that reads no records. It does not wait for the user's other requests.

    What such an operation reads from HubSpot is cached for all users.
    """
    return await _record_context(request, user)


async def get_schema_context_if_sent(request: Request, user: CurrentUserIfSent) -> RecordContext:
    """Return the same context of the caller, or of a new customer for a request without a login."""
    return await _record_context(request, user or User(role="customer"))


async def _record_context(request: Request, user: User) -> RecordContext:
    state = request.app.state
    settings = await get_settings(request)
    return RecordContext(
        user=user,
        hubspot=await get_hubspot(request),
        session_factory=await get_session_factory(request),
        fields=state.record_fields,
        links=state.contact_links,
        cursors=state.cursors,
        customer_stages=state.customer_stages,
        customer_operations=settings.customer_operations,
        time_slices=state.time_slices,
        lease_seconds=settings.request_deadline_seconds + LEASE_MARGIN_SECONDS,
        # The origin needs the user, so `get_origin` is called here instead of being a dependency.
        origin=await get_origin(request),
        versions=state.record_versions,
    )


RecordContextDep = Annotated[RecordContext, Depends(get_record_context)]
SchemaContextDep = Annotated[RecordContext, Depends(get_schema_context)]
SchemaContextIfSentDep = Annotated[RecordContext, Depends(get_schema_context_if_sent)]


async def get_cached_record_context(
    request: Request, response: Response, context: RecordContextDep
) -> RecordContext:
    """Return the context of a GET or search, which may use cached reads if the caller is a customer."""
    cache: ReadCache | None = request.app.state.read_cache
    if cache is None or context.is_staff:
        return context
    oldest = 0.0

    def note_age(age: float) -> None:
        nonlocal oldest
        oldest = max(oldest, age)
        response.headers["Age"] = str(math.ceil(oldest))
        response.headers["Cache-Control"] = "private"

    return replace(context, cached_reads=CachedReads(cache, note_age))


class _NotModified:
    """Response of a read that honours If-None-Match."""

    def __init__(self, response: Response, if_none_match: str | None) -> None:
        self._response = response
        self._if_none_match = if_none_match

    def of(self, etag: str) -> Response | None:
        """Set the ETag; return the 304 if the caller has this representation. The 304 keeps the Age of cached data."""
        self._response.headers["ETag"] = etag
        if not is_unchanged(self._if_none_match, etag):
            return None
        return Response(status_code=304, headers=dict(self._response.headers))


async def get_not_modified(response: Response, if_none_match: IfNoneMatch = None) -> _NotModified:
    """Return the check of this request's If-None-Match."""
    return _NotModified(response, if_none_match)


NotModifiedDep = Annotated[_NotModified, Depends(get_not_modified)]
CachedRecordContextDep = Annotated[RecordContext, Depends(get_cached_record_context)]
