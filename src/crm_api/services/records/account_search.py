"""Searches over the whole account: HubSpot's, with what the caller wrote a moment ago put in its place."""

import asyncio
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from crm_api.errors import invalid
from crm_api.hubspot import CrmRecord, Filter, SearchPage, SearchRequest
from crm_api.hubspot.errors import HubSpotValidationError
from crm_api.hubspot.names import MAX_SEARCH_RESULTS, ObjectType
from crm_api.services.properties.fields import ObjectFields
from crm_api.services.properties.filters import Order, RecordQuery, order_by_id
from crm_api.services.properties.mapping import map_validation_error
from crm_api.services.records.context import RecordContext
from crm_api.services.records.recent_writes import read_recent, recent_ids

# https://developers.hubspot.com/docs/api-reference/search/guide
LONGEST_BODY: Final = 3_000


@dataclass(frozen=True, slots=True)
class Found:
    """One page, and the place where the next begins; None on the last."""

    records: list[CrmRecord]
    total: int
    place: dict[str, Any] | None
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a search goes on: how far in HubSpot's results, and which recent records are still to come."""

    skip: int = 0
    left_out: tuple[str, ...] = ()
    """Recent records that HubSpot is told to leave out, since we know them better."""
    to_come: tuple[str, ...] = ()
    """Those of them that were found and are not shown yet."""
    found: int = 0
    """How many of them were found at all."""
    total: int = 0
    """What HubSpot last said there is."""

    @classmethod
    def of(cls, place: Mapping[str, Any]) -> "_Place":
        left_out = tuple(place["out"])
        to_come = tuple(left_out[position] for position in place["next"])
        return cls(place["skip"], left_out, to_come, place["found"], place["total"])

    def to_cursor(self) -> dict[str, Any]:
        # By position: a cursor has room for the ids once.
        positions = [place for place, each in enumerate(self.left_out) if each in self.to_come]
        return {
            "skip": self.skip,
            "out": list(self.left_out),
            "next": positions,
            "found": self.found,
            "total": self.total,
        }


async def search_account(
    context: RecordContext,
    object_type: ObjectType,
    query: RecordQuery,
    *,
    limit: int,
    place: Mapping[str, Any] | None,
) -> Found:
    """A page of the account's records that answer the question, each exactly once over all pages.

    Costs one search, and one batch read where there is something recent to merge. HubSpot shows 10,000 results of
    one search: the last page before that has no next place, and is `truncated` where there are more.
    """
    fields = context.fields[object_type]
    order = query.order or order_by_id(fields)
    if place is None:
        ids = await recent_ids(context, object_type)
        recent = await read_recent(context, object_type, ids)
        start = _begin(fields, query, ids, recent)
    else:
        start = _Place.of(place)
        # Read again, with what was written since: what was shown or left out is a moment old.
        ids = list(dict.fromkeys([*await recent_ids(context, object_type), *start.to_come]))
        recent = await read_recent(context, object_type, ids)
    waiting = [recent[each] for each in start.to_come if each in recent]
    to_come = order.sorted([record for record in waiting if query.matches(record, fields)])
    page, skip = await _search(context, object_type, query, order, start, limit=limit)
    shown, taken, rest = _merge(
        order, page.results, to_come, limit, stale=_stale(query, ids, recent), is_last=page.after is None
    )
    skip += taken
    if taken == len(page.results):
        skip = max(skip, _offset(page) or 0)  # a page may be shorter than what HubSpot went through for it
    is_more = taken < len(page.results) or page.after is not None
    truncated = skip >= MAX_SEARCH_RESULTS and page.total > skip
    place_after = None
    if rest or (is_more and skip < MAX_SEARCH_RESULTS):
        left = tuple(record.id for record in rest)
        place_after = replace(start, skip=skip, to_come=left, total=page.total).to_cursor()
    refreshed = [recent.get(record.id, record) for record in shown]
    return Found(refreshed, page.total + start.found, place_after, truncated and place_after is None)


def _begin(
    fields: ObjectFields, query: RecordQuery, ids: Sequence[str], recent: Mapping[str, CrmRecord]
) -> _Place:
    found = [record.id for record in recent.values() if query.matches(record, fields)]
    if query.text is None:
        left_out = list(dict.fromkeys([*ids, *recent]))
    else:
        # HubSpot finds words in more ways than we do: what only HubSpot finds stays HubSpot's to show.
        left_out = list(dict.fromkeys([*_stale(query, ids, recent), *found]))
    return _Place(left_out=tuple(left_out), to_come=tuple(found), found=len(found))


def _stale(query: RecordQuery, ids: Sequence[str], recent: Mapping[str, CrmRecord]) -> list[str]:
    """Of the records written a moment ago those that HubSpot may still show: gone by now, or past the filters."""
    unmet = [
        record.id for record in recent.values() if not all(each.matches(record) for each in query.conditions)
    ]
    return [*(each for each in ids if each not in recent), *unmet]


async def _search(
    context: RecordContext,
    object_type: ObjectType,
    query: RecordQuery,
    order: Order,
    start: _Place,
    *,
    limit: int,
) -> tuple[SearchPage, int]:
    """The next page of HubSpot's that holds anything, and how many of its results lie before it."""
    filters = [condition.to_wire() for condition in query.conditions]
    if start.left_out:
        filters.append(Filter("hs_object_id", "NOT_IN", values=start.left_out))
    request = SearchRequest(
        filter_groups=[filters] if filters else [], query=query.text, sort=order.to_wire()
    )
    skip, total = start.skip, start.total
    while skip < MAX_SEARCH_RESULTS:
        room = min(limit, MAX_SEARCH_RESULTS - skip)
        page = await ask(
            context, object_type, replace(request, limit=room, after=str(skip) if skip else None)
        )
        following = _offset(page)
        # A page may be empty and still not the last. https://github.com/airbytehq/airbyte/issues/80744
        if page.results or following is None or following <= skip:
            return page, skip
        skip, total = following, page.total
    return SearchPage(results=[], total=total), skip


def _offset(page: SearchPage) -> int | None:
    """How many results lie before the next page, None on the last."""
    return int(page.after) if page.after is not None and page.after.isdecimal() else None


async def ask(context: RecordContext, object_type: ObjectType, request: SearchRequest) -> SearchPage:
    """One page of HubSpot's search with everything that is readable.

    HubSpot takes 3,000 characters: where the names of all properties do not fit among them, the records are read by
    id, at one call more. Raises a 400 where the question itself is too long.
    """
    fields = context.fields[object_type]
    objects = context.hubspot.objects(object_type)
    whole = replace(request, properties=fields.properties)
    brief = replace(request, properties=("hs_object_id",))
    fits = _length(whole) <= LONGEST_BODY
    if not fits and _length(brief) > LONGEST_BODY:
        field = "filters" if request.filter_groups else "query"
        raise invalid(field, "is too long; HubSpot takes 3,000 characters for a search")
    try:
        page = await objects.search(whole if fits else brief)
    except HubSpotValidationError as error:
        every = [field.path for field in fields.fields]
        raise map_validation_error(error, every, fields.paths) or error from error
    if fits or not page.results:
        return page
    ids = [record.id for record in page.results]
    read = (await objects.batch_read(ids, properties=fields.properties)).records
    # One that went meanwhile keeps its place and what the search said: the places of the others are counted.
    return page.model_copy(update={"results": [read.get(record.id, record) for record in page.results]})


def _length(request: SearchRequest) -> int:
    # As the client sends it.
    return len(json.dumps(request.to_wire(), ensure_ascii=False, separators=(",", ":")))


def _merge(
    order: Order,
    results: Sequence[CrmRecord],
    to_come: Sequence[CrmRecord],
    limit: int,
    *,
    stale: Collection[str],
    is_last: bool,
) -> tuple[list[CrmRecord], int, list[CrmRecord]]:
    """Two ordered lists as one page: what it shows, how many of HubSpot's it took, and which of ours are left.

    What HubSpot has of the `stale` is taken and not shown.
    """
    shown: list[CrmRecord] = []
    taken, waiting = 0, list(to_come)
    while True:
        while taken < len(results) and results[taken].id in stale:
            taken += 1
        if len(shown) == limit:
            break
        from_hubspot = results[taken] if taken < len(results) else None
        if from_hubspot is None and not is_last:
            break  # what HubSpot shows next may come before what is left of ours
        if waiting and (from_hubspot is None or order.precedes(waiting[0], from_hubspot)):
            shown.append(waiting.pop(0))
        elif from_hubspot is not None:
            shown.append(from_hubspot)
            taken += 1
        else:
            break
    return shown, taken, waiting


async def list_account(
    context: RecordContext, object_type: ObjectType, query: RecordQuery, *, limit: int, after_id: str
) -> tuple[list[CrmRecord], str | None]:
    """A page of a filtered list in the order of ids, after this one, and the id after which the next begins.

    Each page is a search of its own past the last id, so that a list has no end at 10,000.
    """
    fields = context.fields[object_type]
    ids = await recent_ids(context, object_type)
    beyond = Filter("hs_object_id", "GT", after_id)
    filters = [*(condition.to_wire() for condition in query.conditions), beyond]
    if ids:
        filters.append(Filter("hs_object_id", "NOT_IN", values=ids))
    request = SearchRequest(filter_groups=[filters], sort=order_by_id(fields).to_wire(), limit=limit)
    page, recent = await asyncio.gather(
        _first_page_with_results(context, object_type, request), read_recent(context, object_type, ids)
    )
    ours = [
        record
        for record in recent.values()
        if int(record.id) > int(after_id) and query.matches(record, fields)
    ]
    known = {record.id: record for record in [*page.results, *ours]}
    in_order = order_by_id(fields).sorted(known.values())
    if page.after is not None and page.results:
        # Between the last that HubSpot shows and its next there may be more; ours beyond it wait.
        last = int(page.results[-1].id)
        in_order = [record for record in in_order if int(record.id) <= last]
    shown = in_order[:limit]
    is_more = len(in_order) > limit or page.after is not None
    return shown, shown[-1].id if is_more and shown else None


async def _first_page_with_results(
    context: RecordContext, object_type: ObjectType, request: SearchRequest
) -> SearchPage:
    """A page may be empty and still not the last. https://github.com/airbytehq/airbyte/issues/80744"""
    page = await ask(context, object_type, request)
    while page.after is not None and page.after != request.after and not page.results:
        request = replace(request, after=page.after)
        page = await ask(context, object_type, request)
    return page
