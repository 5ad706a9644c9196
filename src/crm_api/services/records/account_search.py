"""Searches of all records of the HubSpot account, merged with the caller's recent writes."""

import asyncio
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from crm_api.errors import invalid
from crm_api.hubspot import CrmRecord, Filter, SearchPage, SearchRequest
from crm_api.hubspot.errors import HubSpotValidationError
from crm_api.hubspot.names import MAX_SEARCH_RESULTS, ObjectType
from crm_api.services.properties.filters import Order, RecordQuery, order_by_id
from crm_api.services.properties.refusals import refused_search
from crm_api.services.records.associations import IdFields
from crm_api.services.records.context import RecordContext
from crm_api.services.records.recent_writes import read_recent, recent_ids

# https://developers.hubspot.com/docs/api-reference/search/guide
MAX_SEARCH_CHARACTERS: Final = 3_000


@dataclass(frozen=True, slots=True)
class SearchResult:
    """One page of a list or search, and the position at which the next page begins; None on the last page."""

    records: list[CrmRecord]
    next_position: dict[str, Any] | None
    total: int = 0
    truncated: bool = False
    """True on the last page if more records match than HubSpot's search returns."""
    id_fields: Mapping[str, IdFields] = field(default_factory=dict)
    """The IDs of associated records, by record ID, if they were read."""


@dataclass(frozen=True, slots=True)
class _Position:
    """Start of a page: an offset into HubSpot's results, and the recent writes to merge with them."""

    offset: int = 0
    excluded_ids: tuple[str, ...] = ()
    """Recent writes that HubSpot's search excludes, because HubSpot's index may not contain them yet."""
    pending_ids: tuple[str, ...] = ()
    """Excluded records that match the query and were not on an earlier page."""
    match_count: int = 0
    """Number of excluded records that match the query."""
    total: int = 0
    """Total of HubSpot's last response."""

    @classmethod
    def from_cursor(cls, position: Mapping[str, Any]) -> "_Position":
        excluded_ids = tuple(position["out"])
        pending_ids = tuple(excluded_ids[index] for index in position["next"])
        return cls(position["skip"], excluded_ids, pending_ids, position["found"], position["total"])

    def to_cursor(self) -> dict[str, Any]:
        # A cursor has room for each ID once, so pending IDs are written as indexes.
        indexes = [
            index for index, record_id in enumerate(self.excluded_ids) if record_id in self.pending_ids
        ]
        return {
            "skip": self.offset,
            "out": list(self.excluded_ids),
            "next": indexes,
            "found": self.match_count,
            "total": self.total,
        }


async def search_account(
    context: RecordContext,
    object_type: ObjectType,
    query: RecordQuery,
    *,
    limit: int,
    position: Mapping[str, Any] | None,
) -> SearchResult:
    """Return a page of the account's records that match the query. Each record is on one page only.

    Costs one search, and one batch read if the caller has recent writes. HubSpot returns at most 10,000 results of a
    search.
    """
    fields = context.fields[object_type]
    order = query.order or order_by_id(fields)
    start = None if position is None else _Position.from_cursor(position)
    # Recent writes are read again for each page, because they may have changed since the last page.
    ids = await recent_ids(context, object_type)
    if start is not None:
        ids = list(dict.fromkeys([*ids, *start.pending_ids]))
    recent = await read_recent(context, object_type, ids)
    matching = await query.matching(recent.values(), fields, context.time_slices)
    outdated = await _outdated_ids(context, query, ids, recent)
    if start is None:
        start = _first_position(query, ids, recent, outdated, [record.id for record in matching])
    pending = await order.sorted(
        [record for record in matching if record.id in start.pending_ids], context.time_slices
    )
    filters = [condition.to_wire() for condition in query.conditions]
    if start.excluded_ids:
        filters.append(Filter("hs_object_id", "NOT_IN", values=start.excluded_ids))
    request = SearchRequest(
        filter_groups=[filters] if filters else [], query=query.text, sort=order.to_wire(), limit=limit
    )
    results, offset = await _next_hubspot_page(
        context, object_type, request, offset=start.offset, total=start.total
    )
    page, consumed, remaining = await _merge(
        context, order, results.results, pending, limit, outdated=outdated, is_last=results.after is None
    )
    offset += consumed
    is_consumed = consumed == len(results.results)
    if is_consumed:
        # HubSpot's next offset can be higher, because a page may hold fewer results than HubSpot counts for it.
        offset = max(offset, _next_offset(results) or 0)
    has_more = not is_consumed or results.after is not None
    next_position = None
    if remaining or (has_more and offset < MAX_SEARCH_RESULTS):
        pending_ids = tuple(record.id for record in remaining)
        next_position = replace(
            start, offset=offset, pending_ids=pending_ids, total=results.total
        ).to_cursor()
    return SearchResult(
        [recent.get(record.id, record) for record in page],
        next_position,
        total=results.total + start.match_count,
        truncated=next_position is None and offset >= MAX_SEARCH_RESULTS and results.total > offset,
    )


def _first_position(
    query: RecordQuery,
    ids: Sequence[str],
    recent: Mapping[str, CrmRecord],
    outdated: Sequence[str],
    matching: Sequence[str],
) -> _Position:
    # HubSpot's text matching is broader than ours, so keep records that only HubSpot matches.
    excluded = [*ids, *recent] if query.text is None else [*outdated, *matching]
    return _Position(
        excluded_ids=tuple(dict.fromkeys(excluded)), pending_ids=tuple(matching), match_count=len(matching)
    )


async def _outdated_ids(
    context: RecordContext, query: RecordQuery, ids: Sequence[str], recent: Mapping[str, CrmRecord]
) -> list[str]:
    """Return the recent writes that HubSpot may still find, but that were archived or no longer match the filters."""
    archived = [record_id for record_id in ids if record_id not in recent]
    is_met = await context.time_slices.map(query.meets_conditions, recent.values())
    return archived + [record_id for record_id, met in zip(recent, is_met, strict=True) if not met]


async def _next_hubspot_page(
    context: RecordContext,
    object_type: ObjectType,
    request: SearchRequest,
    *,
    offset: int = 0,
    total: int = 0,
) -> tuple[SearchPage, int]:
    """Return HubSpot's first page with results at or after this offset, and its offset."""
    while offset < MAX_SEARCH_RESULTS:
        limit = min(request.limit, MAX_SEARCH_RESULTS - offset)
        page = await _search(
            context, object_type, replace(request, limit=limit, after=str(offset) if offset else None)
        )
        next_offset = _next_offset(page)
        # An empty page is not always the last one. https://github.com/airbytehq/airbyte/issues/80744
        if page.results or next_offset is None or next_offset <= offset:
            return page, offset
        offset, total = next_offset, page.total
    return SearchPage(results=[], total=total), offset


def _next_offset(page: SearchPage) -> int | None:
    return int(page.after) if page.after is not None and page.after.isdecimal() else None


async def _search(context: RecordContext, object_type: ObjectType, request: SearchRequest) -> SearchPage:
    """Return one page of HubSpot's search with all readable properties.

    HubSpot accepts 3,000 characters. If the names of all properties make the request longer, the search returns only
    IDs, and a batch read returns the records. Raises 400 if the query itself is too long.
    """
    fields = context.fields[object_type]
    objects = context.hubspot.objects(object_type)
    request = replace(request, properties=fields.properties)
    is_too_long = _length(request) > MAX_SEARCH_CHARACTERS
    if is_too_long:
        request = replace(request, properties=("hs_object_id",))
        if _length(request) > MAX_SEARCH_CHARACTERS:
            field = "filters" if request.filter_groups else "query"
            raise invalid(field, "is too long; HubSpot accepts 3,000 characters per search")
    try:
        page = await objects.search(request)
    except HubSpotValidationError as error:
        raise refused_search(error, fields) from error
    if not is_too_long:
        return page
    ids = [record.id for record in page.results]
    records = (await objects.batch_read(ids, properties=fields.properties)).records
    # Records that were archived since stay in the page, because offsets count them.
    return page.model_copy(update={"results": [records.get(record.id, record) for record in page.results]})


def _length(request: SearchRequest) -> int:
    """Return the length of the request's body as the client sends it."""
    return len(json.dumps(request.to_wire(), ensure_ascii=False, separators=(",", ":")))


async def _merge(
    context: RecordContext,
    order: Order,
    results: Sequence[CrmRecord],
    pending: Sequence[CrmRecord],
    limit: int,
    *,
    outdated: Collection[str],
    is_last: bool,
) -> tuple[list[CrmRecord], int, list[CrmRecord]]:
    """Merge two ordered lists into one page; return it, the number of consumed results, and the remaining pending.

    Outdated results are consumed, but are not on the page.
    """
    page: list[CrmRecord] = []
    consumed, remaining = 0, list(pending)
    compared = [*results, *pending] if pending else []
    sort_keys = await context.time_slices.map(order.sort_key, compared)
    sort_key_of = {id(record): sort_key for record, sort_key in zip(compared, sort_keys, strict=True)}
    while True:
        while consumed < len(results) and results[consumed].id in outdated:
            consumed += 1
        if len(page) == limit:
            break
        result = results[consumed] if consumed < len(results) else None
        if result is None and not is_last:
            break  # HubSpot's next page may contain results that precede the remaining records
        if remaining and (
            result is None or order.precedes(sort_key_of[id(remaining[0])], sort_key_of[id(result)])
        ):
            page.append(remaining.pop(0))
        elif result is not None:
            page.append(result)
            consumed += 1
        else:
            break
    return page, consumed, remaining


async def list_account(
    context: RecordContext, object_type: ObjectType, query: RecordQuery, *, limit: int, after_id: str
) -> SearchResult:
    """Return a page of a filtered list by ascending ID, after `after_id`.

    Each page is a new search for higher IDs, so that a list can be longer than 10,000 records.
    """
    order = order_by_id(context.fields[object_type])
    ids = await recent_ids(context, object_type)
    filters = [condition.to_wire() for condition in query.conditions]
    filters.append(Filter("hs_object_id", "GT", after_id))
    if ids:
        filters.append(Filter("hs_object_id", "NOT_IN", values=ids))
    request = SearchRequest(filter_groups=[filters], sort=order.to_wire(), limit=limit)
    (page, _), recent = await asyncio.gather(
        _next_hubspot_page(context, object_type, request), read_recent(context, object_type, ids)
    )
    records = {record.id: record for record in page.results}
    matching = await query.matching(recent.values(), context.fields[object_type], context.time_slices)
    records |= {record.id: record for record in matching if int(record.id) > int(after_id)}
    merged = sorted(records.values(), key=lambda record: int(record.id))
    if page.after is not None and page.results:
        # HubSpot's next page begins after this ID, so recent records with higher IDs belong to a later page.
        last_id = int(page.results[-1].id)
        merged = [record for record in merged if int(record.id) <= last_id]
    has_more = len(merged) > limit or page.after is not None
    records_of_page = merged[:limit]
    is_last = not records_of_page or not has_more
    return SearchResult(records_of_page, None if is_last else {"id": records_of_page[-1].id})
