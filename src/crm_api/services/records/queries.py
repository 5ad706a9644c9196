"""Lists and searches of one object type, for customers and for staff."""

from dataclasses import dataclass
from typing import Any, Final

from crm_api.errors import invalid
from crm_api.hubspot import CrmRecord
from crm_api.hubspot.names import MAX_SEARCH_RESULTS, ObjectType
from crm_api.schemas.common import or_none
from crm_api.schemas.search import RecordSearch
from crm_api.services.properties.filters import Order, RecordQuery, order_by_id, parse_search
from crm_api.services.records.account_search import list_account, search_account
from crm_api.services.records.context import RecordContext
from crm_api.services.records.customer_records import own_ids, own_records, read_records

_PAST_THE_END: Final = "leads past the 10,000 records that HubSpot sorts; narrow the list, or leave sort out"
# A cursor has room for so many characters of a value, whatever they are.
_LONGEST_VALUE: Final = 100


@dataclass(frozen=True, slots=True)
class FoundPage:
    """One page of a search, with its cursor written."""

    records: list[CrmRecord]
    total: int
    next_cursor: str | None
    truncated: bool


async def list_records(
    context: RecordContext, object_type: ObjectType, query: RecordQuery, *, limit: int, cursor: str | None
) -> tuple[list[CrmRecord], str | None]:
    """A page of a list, by ascending id unless it is sorted, and the cursor of the next.

    A customer's comes from associations, a staff member's from the account: unfiltered it is HubSpot's own list, which
    does not lag; filtered or sorted it is a search. Raises 400 `invalid_cursor`.
    """
    endpoint = f"list-{object_type}"
    place = _read_cursor(context, cursor, endpoint, query)
    if not context.is_staff:
        records, following = await _own_list(context, object_type, query, limit, place)
    elif query.is_empty:
        page = await context.hubspot.objects(object_type).list_page(
            limit=limit,
            after=place.get("after"),
            properties=context.fields[object_type].properties,
        )
        records, following = page.results, {"after": page.after} if page.after else None
    elif query.order is None:
        records, last = await list_account(
            context, object_type, query, limit=limit, after_id=place.get("id", "0")
        )
        following = {"id": last} if last else None
    else:
        records, following = await _sorted_list(context, object_type, query, limit, place)
    return records, _write_cursor(context, following, endpoint, query)


async def search_records(context: RecordContext, object_type: ObjectType, search: RecordSearch) -> FoundPage:
    """A page of a search: a customer's is evaluated here, exact and fresh, a staff member's by HubSpot.

    Raises a 400 that names the filter at fault, 400 `invalid_cursor`.
    """
    query = await parse_search(context.hubspot, context.fields, context.fields[object_type], search)
    return await find_records(context, object_type, query, limit=search.limit, cursor=or_none(search.cursor))


async def find_records(
    context: RecordContext,
    object_type: ObjectType,
    query: RecordQuery,
    *,
    limit: int,
    cursor: str | None = None,
) -> FoundPage:
    """A page of what answers the question."""
    endpoint = f"search-{object_type}"
    place = _read_cursor(context, cursor, endpoint, query)
    if context.is_staff:
        found = await search_account(context, object_type, query, limit=limit, place=place or None)
        next_cursor = _write_cursor(context, found.place, endpoint, query)
        return FoundPage(found.records, found.total, next_cursor, found.truncated)
    order = query.order or order_by_id(context.fields[object_type])
    selected = query.select(await own_records(context, object_type), context.fields[object_type])
    shown, following = _page(selected, order, limit, place)
    return FoundPage(shown, len(selected), _write_cursor(context, following, endpoint, query), False)


async def _own_list(
    context: RecordContext, object_type: ObjectType, query: RecordQuery, limit: int, place: dict[str, Any]
) -> tuple[list[CrmRecord], dict[str, Any] | None]:
    order = query.order or order_by_id(context.fields[object_type])
    if object_type == "contacts" or not query.is_empty:
        selected = query.select(await own_records(context, object_type), context.fields[object_type])
        return _page(selected, order, limit, place)
    ids = await own_ids(context, object_type)
    after = int(place.get("id", "0"))
    left = [each for each in ids if int(each) > after]
    shown = left[:limit]
    records = order.sorted(await read_records(context, object_type, shown))
    return records, {"id": shown[-1]} if len(left) > limit else None


async def _sorted_list(
    context: RecordContext, object_type: ObjectType, query: RecordQuery, limit: int, place: dict[str, Any]
) -> tuple[list[CrmRecord], dict[str, Any] | None]:
    if place.get("skip", 0) >= MAX_SEARCH_RESULTS:
        raise invalid("cursor", _PAST_THE_END)
    found = await search_account(context, object_type, query, limit=limit, place=place or None)
    # A list that is cut off says so on its next page, rather than looking like a whole one.
    return found.records, found.place or ({"skip": MAX_SEARCH_RESULTS} if found.truncated else None)


def _page(
    records: list[CrmRecord], order: Order, limit: int, place: dict[str, Any]
) -> tuple[list[CrmRecord], dict[str, Any] | None]:
    """What comes after the place where the last page ended, whatever became of the record that stood there."""
    left = _left(records, order, place)
    shown = left[:limit]
    if len(left) <= limit:
        return shown, None
    following = {"id": shown[-1].id, "shown": place.get("shown", 0) + len(shown)}
    value = order.value_of(shown[-1])
    return shown, following if len(value or "") > _LONGEST_VALUE else following | {"value": value}


def _left(records: list[CrmRecord], order: Order, place: dict[str, Any]) -> list[CrmRecord]:
    if not place:
        return records
    if "value" in place:
        return order.after(records, place["id"], place["value"])
    # The value is too long for a cursor: after the record, or after as many as were shown where it is gone.
    positions = {record.id: position for position, record in enumerate(records, start=1)}
    return records[positions.get(place["id"], place["shown"]) :]


def _read_cursor(
    context: RecordContext, cursor: str | None, endpoint: str, query: RecordQuery
) -> dict[str, Any]:
    if cursor is None:
        return {}
    # Roles page differently, and a role may change between two pages.
    return context.cursors.read(cursor, context.user.id, f"{endpoint}-{context.user.role}", query.fingerprint)


def _write_cursor(
    context: RecordContext, place: dict[str, Any] | None, endpoint: str, query: RecordQuery
) -> str | None:
    if place is None:
        return None
    return context.cursors.write(place, context.user.id, f"{endpoint}-{context.user.role}", query.fingerprint)
