"""Lists and searches of one object type, for customers and for staff."""

from collections.abc import Mapping
from dataclasses import replace
from operator import attrgetter
from typing import Any, Final, TypeVar

from crm_api.errors import invalid
from crm_api.hubspot import CrmRecord
from crm_api.hubspot.names import MAX_SEARCH_RESULTS, ObjectType
from crm_api.schemas.common import Include, Page, RecordModel, SearchPage, or_none
from crm_api.schemas.search import RecordSearch
from crm_api.services.properties.filters import (
    Order,
    RecordQuery,
    order_by_id,
    parse_list_filters,
    parse_search,
)
from crm_api.services.properties.mapping import Model
from crm_api.services.records.account_search import SearchResult, list_account, search_account
from crm_api.services.records.associations import ASSOCIATED_TYPES, read_id_fields
from crm_api.services.records.context import RecordContext
from crm_api.services.records.customer_records import (
    fitting_page,
    own_ids,
    own_records,
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
    fields = context.fields[object_type]
    own, ids = await own_records(context, object_type)
    records = await query.select(own, fields, context.time_slices)
    page = _page_after(records, query.order or order_by_id(fields), limit, position)
    return replace(page, id_fields=ids.id_fields)


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


def _page_after(records: list[CrmRecord], order: Order, limit: int, position: dict[str, Any]) -> SearchResult:
    """Return the page after the position, even if the record at that position was changed or deleted."""
    remaining = _remaining(records, order, position)
    page = fitting_page(remaining[:limit])
    if len(page) == len(remaining):
        return SearchResult(page, None, total=len(records))
    next_position = {"id": page[-1].id, "shown": position.get("shown", 0) + len(page)}
    value = order.value_of(page[-1])
    if value is None or len(value) <= _MAX_VALUE_CHARACTERS:
        next_position["value"] = value
    return SearchResult(page, next_position, total=len(records))


def _remaining(records: list[CrmRecord], order: Order, position: dict[str, Any]) -> list[CrmRecord]:
    if not position:
        return records
    if "value" in position:
        return order.after(records, position["id"], position["value"])
    # The cursor has no room for the value, so search for the record, and count records if it is missing.
    counts = {record.id: count for count, record in enumerate(records, start=1)}
    return records[counts.get(position["id"], position["shown"]) :]


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
