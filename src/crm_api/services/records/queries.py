"""Lists and searches of one object type, for customers and for staff."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from operator import attrgetter
from types import MappingProxyType
from typing import Any, Final, TypeVar

from crm_api.errors import invalid
from crm_api.hubspot import CrmRecord
from crm_api.hubspot.names import MAX_SEARCH_RESULTS, ObjectType
from crm_api.schemas.common import Include, Page, RecordModel, SearchPage, or_none
from crm_api.schemas.search import RecordSearch
from crm_api.services.properties.filters import (
    RecordQuery,
    SortKey,
    order_by_id,
    parse_list_filters,
    parse_search,
)
from crm_api.services.properties.mapping import Model
from crm_api.services.records.account_search import SearchResult, list_account, search_account
from crm_api.services.records.associations import ASSOCIATED_TYPES, read_id_fields
from crm_api.services.records.context import RecordContext
from crm_api.services.records.customer_records import (
    RecordRounds,
    fitting_page,
    own_ids,
    own_rounds,
    read_fitting,
    read_records,
)

ListPage = TypeVar("ListPage", bound=Page[Any])
FoundPage = TypeVar("FoundPage", bound=SearchPage[Any])
# A cursor has room for this many characters of a value.
_MAX_VALUE_CHARACTERS: Final = 100


async def list_records(
    context: RecordContext,
    page_model: type[ListPage],
    model: type[RecordModel],
    *,
    equal: Mapping[str, str | None],
    sort: str | None,
    limit: int,
    cursor: str | None,
    include: Include | None = None,
) -> ListPage:
    """Return a page of a list with these values, by ascending ID without `sort`. A customer's list has only their own.

    A customer's list comes from associations. A staff list without filters and order is HubSpot's list, which does
    not lag behind writes; with them it is a search. `include` reads the IDs of associated records for staff; a
    customer's list has them anyway. Raises 400 `invalid_cursor`.
    """
    object_type = model.OBJECT_TYPE
    query = await parse_list_filters(context.hubspot, context.fields[object_type], equal=equal, sort=sort)
    endpoint = f"list-{object_type}-{context.user.role}"
    position = _read_cursor(context, cursor, endpoint, query)
    if context.is_staff:

        async def read(limit: int) -> SearchResult:
            return await _list_account(context, object_type, query, limit, position, include)

        result = await read_fitting(read, attrgetter("records"), limit)
    else:
        result = await _list_own(context, object_type, query, limit, position)
    if include and context.is_staff:
        result = await _with_id_fields(context, object_type, result, are_inline=query.is_empty)
    return page_model(
        results=await _results(context, model, result),
        next_cursor=_write_cursor(context, result.next_position, endpoint, query),
    )


async def search_records(
    context: RecordContext, page_model: type[FoundPage], model: type[RecordModel], search: RecordSearch
) -> FoundPage:
    """Return a page of the search that a request body describes.

    Raises 400 with the location of an invalid filter, and 400 `invalid_cursor`.
    """
    object_type = model.OBJECT_TYPE
    query = await parse_search(context.hubspot, context.fields[object_type], search)
    result, next_cursor = await find_records(
        context, object_type, query, limit=search.limit, cursor=or_none(search.cursor)
    )
    if or_none(search.include) and context.is_staff:
        result = await _with_id_fields(context, object_type, result, are_inline=False)
    return page_model(
        results=await _results(context, model, result),
        total=result.total,
        next_cursor=next_cursor,
        truncated=result.truncated,
    )


async def find_records(
    context: RecordContext,
    object_type: ObjectType,
    query: RecordQuery,
    *,
    limit: int,
    cursor: str | None = None,
) -> tuple[SearchResult, str | None]:
    """Return a page of the matching records, and the cursor of the next page.

    A customer's search is evaluated here, over their own records; a staff search is evaluated by HubSpot.
    """
    endpoint = f"search-{object_type}-{context.user.role}"
    position = _read_cursor(context, cursor, endpoint, query)
    if context.is_staff:

        async def read(limit: int) -> SearchResult:
            return await search_account(context, object_type, query, limit=limit, position=position or None)

        result = await read_fitting(read, attrgetter("records"), limit)
    else:
        result = await _search_own(context, object_type, query, limit, position)
    return result, _write_cursor(context, result.next_position, endpoint, query)


async def _with_id_fields(
    context: RecordContext, object_type: ObjectType, result: SearchResult, *, are_inline: bool
) -> SearchResult:
    id_fields = await read_id_fields(context, object_type, result.records, are_inline=are_inline)
    return replace(result, id_fields=id_fields)


async def _results(context: RecordContext, model: type[Model], result: SearchResult) -> list[Model]:
    await context.wait_to_respond(result.records)
    return [
        context.to_model(model, record, **result.id_fields.get(record.id, {})) for record in result.records
    ]


async def _search_own(
    context: RecordContext, object_type: ObjectType, query: RecordQuery, limit: int, position: dict[str, Any]
) -> SearchResult:
    rounds, ids = await own_rounds(context, object_type)
    page = await search_rounds(context, object_type, query, rounds, limit=limit, position=position)
    return replace(page, id_fields=ids.id_fields)


async def search_rounds(
    context: RecordContext,
    object_type: ObjectType,
    query: RecordQuery,
    rounds: RecordRounds,
    *,
    limit: int,
    position: Mapping[str, Any] = MappingProxyType({}),
) -> SearchResult:
    """Return the page of matching records after the position, even if its record was changed or deleted."""
    order = query.order or order_by_id(context.fields[object_type])
    after = await _sort_key_of_cursor(context, object_type, query, rounds, position)
    page: list[tuple[SortKey, CrmRecord]] = []
    total = remaining = 0
    async for entries in _matching_entries(context, object_type, query, rounds):
        total += len(entries)
        if after is not None:
            entries = [
                entry
                for entry in entries
                if order.precedes(after, entry[0]) and entry[1].id != position["id"]
            ]
        remaining += len(entries)
        page = order.sorted_entries([*page, *entries])[:limit]
        page = page[: len(fitting_page([record for _, record in page]))]
    records = [record for _, record in page]
    if len(records) == remaining:
        return SearchResult(records, None, total=total)
    next_position = {"id": records[-1].id, "shown": position.get("shown", 0) + len(records)}
    value = order.value_of(records[-1])
    if value is None or len(value) <= _MAX_VALUE_CHARACTERS:
        next_position["value"] = value
    return SearchResult(records, next_position, total=total)


async def _matching_entries(
    context: RecordContext, object_type: ObjectType, query: RecordQuery, rounds: RecordRounds
) -> AsyncIterator[list[tuple[SortKey, CrmRecord]]]:
    """Yield the matching records of each round with their sort keys."""
    fields = context.fields[object_type]
    order = query.order or order_by_id(fields)
    async for records in rounds:
        matching = await query.matching(records, fields, context.time_slices)
        sort_keys = await context.time_slices.map(order.sort_key, matching)
        yield list(zip(sort_keys, matching, strict=True))


async def _sort_key_of_cursor(
    context: RecordContext,
    object_type: ObjectType,
    query: RecordQuery,
    rounds: RecordRounds,
    position: Mapping[str, Any],
) -> SortKey | None:
    if not position:
        return None
    order = query.order or order_by_id(context.fields[object_type])
    if "value" in position:
        return order.sort_key_of(position["id"], position["value"])
    # The cursor has no room for the value, so search for the record, and count records if it is missing.
    ids: list[tuple[SortKey, str]] = []
    async for entries in _matching_entries(context, object_type, query, rounds):
        ids += [(sort_key, record.id) for sort_key, record in entries]
    ordered = order.sorted_entries(ids)
    counts = {record_id: count for count, (_, record_id) in enumerate(ordered, start=1)}
    last = min(counts.get(position["id"], position["shown"]), len(ordered))
    return ordered[last - 1][0] if last else None


async def _list_own(
    context: RecordContext, object_type: ObjectType, query: RecordQuery, limit: int, position: dict[str, Any]
) -> SearchResult:
    # If pipelines are hidden, a page of IDs is not a page of records.
    if object_type == "contacts" or not query.is_empty or context.stages.is_restricted(object_type):
        return await _search_own(context, object_type, query, limit, position)
    # Only the records of this page are read.
    after_id = int(position.get("id", "0"))
    own = await own_ids(context, object_type)
    ids = [record_id for record_id in own.ids if int(record_id) > after_id]
    records = await read_records(context, object_type, ids[:limit])
    records.sort(key=lambda record: int(record.id))
    page = fitting_page(records)
    last_id = page[-1].id if len(page) < len(records) else ids[limit - 1] if len(ids) > limit else None
    return SearchResult(page, None if last_id is None else {"id": last_id}, id_fields=own.id_fields)


async def _list_account(
    context: RecordContext,
    object_type: ObjectType,
    query: RecordQuery,
    limit: int,
    position: dict[str, Any],
    include: Include | None,
) -> SearchResult:
    if query.is_empty:
        page = await context.hubspot.objects(object_type).list_page(
            limit=limit,
            after=position.get("after"),
            properties=context.fields[object_type].properties,
            associations=ASSOCIATED_TYPES[object_type] if include else (),
        )
        return SearchResult(page.results, {"after": page.after} if page.after else None)
    if query.order is None:
        after_id = position.get("id", "0")
        return await list_account(context, object_type, query, limit=limit, after_id=after_id)
    return await _list_sorted(context, object_type, query, limit, position)


async def _list_sorted(
    context: RecordContext, object_type: ObjectType, query: RecordQuery, limit: int, position: dict[str, Any]
) -> SearchResult:
    if position.get("skip", 0) >= MAX_SEARCH_RESULTS:
        message = "leads past the 10,000 records that HubSpot sorts; narrow the list or omit sort"
        raise invalid("cursor", message)
    result = await search_account(context, object_type, query, limit=limit, position=position or None)
    if not result.truncated:
        return result
    # A truncated list has a next page, which fails, because without one the list would look complete.
    return SearchResult(result.records, {"skip": MAX_SEARCH_RESULTS})


# Endpoints contain the role: each role has positions of its own, and a user's role may change between two pages.
def _read_cursor(
    context: RecordContext, cursor: str | None, endpoint: str, query: RecordQuery
) -> dict[str, Any]:
    if cursor is None:
        return {}
    return context.cursors.read(cursor, context.user.id, endpoint, query.fingerprint)


def _write_cursor(
    context: RecordContext, position: dict[str, Any] | None, endpoint: str, query: RecordQuery
) -> str | None:
    if position is None:
        return None
    return context.cursors.write(position, context.user.id, endpoint, query.fingerprint)
