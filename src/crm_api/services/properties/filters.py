"""Queries of lists and searches: evaluated here for a customer's own records, translated for HubSpot's search."""

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from datetime import UTC, tzinfo
from functools import cached_property, partial
from itertools import compress
from operator import attrgetter, eq, ge, gt, le, lt, ne
from typing import Any, Final, TypeVar

from crm_api.errors import invalid
from crm_api.hubspot import CrmRecord, Filter, HubSpotClient, Property
from crm_api.hubspot import Sort as WireSort
from crm_api.schemas.common import or_none
from crm_api.schemas.search import RecordSearch, SearchFilter
from crm_api.services.properties.categories import words_to_wire
from crm_api.services.properties.days import day_bounds, is_day
from crm_api.services.properties.fields import Field, ObjectFields, with_value_type
from crm_api.services.properties.text import casefold_text
from crm_api.services.properties.time_slices import TimeSlices
from crm_api.services.properties.values import comparison_key, epoch_milliseconds, load_schema_for, to_wire

T = TypeVar("T")
SortKey = tuple[Any, int]
"""Comparison key and ID of a record in an order; the key is None for a record without a value."""

_COMPARISONS: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "EQ": eq,
    "NEQ": ne,
    "LT": lt,
    "LTE": le,
    "GT": gt,
    "GTE": ge,
}


@dataclass(frozen=True)
class Condition:
    """One filter; its values are in HubSpot's format."""

    field: Field
    operator: str
    values: tuple[str, ...] = dataclass_field(default=(), repr=False)

    def matches(self, record: CrmRecord) -> bool:
        """Return whether the record meets the condition; an empty property meets NOT_HAS_PROPERTY only."""
        value = value_of(record, self.field)
        if self.operator == "NOT_HAS_PROPERTY":
            return value is None
        if self.operator == "HAS_PROPERTY":
            return value is not None
        key = comparison_key(self.field.value_type, value)
        return key is not None and self._compare(key)

    def to_wire(self) -> Filter:
        """Return the filter for HubSpot's search."""
        values = [self._wire_value(value) for value in self.values]
        operator: Any = self.operator
        if self.operator == "IN":
            return Filter(self.field.wire_name, operator, values=values)
        low, high = [*values, None, None][:2]
        return Filter(self.field.wire_name, operator, low, high)

    @cached_property
    def operands(self) -> list[Any]:
        """Comparison keys of the values. Computing them is slow for many long texts."""
        return [comparison_key(self.field.value_type, value) for value in self.values]

    def _compare(self, key: Any) -> bool:
        operands = self.operands
        if self.field.value_type == "choices":
            # One common option is enough. Sets of options have no order, so other operators match nothing.
            has_overlap = any(key & operand for operand in operands if operand)
            return self.operator in ("EQ", "NEQ", "IN") and has_overlap != (self.operator == "NEQ")
        if self.operator == "IN":
            return key in operands
        if None in operands:
            return False
        if self.operator == "BETWEEN":
            return bool(operands[0] <= key <= operands[1])
        return bool(_COMPARISONS[self.operator](key, operands[0]))

    def _wire_value(self, value: str) -> str:
        if self.field.value_type in ("datetime", "date"):
            return epoch_milliseconds(value)
        # HubSpot expects text values of IN in lower case; options keep their case.
        # https://developers.hubspot.com/docs/api-reference/search/guide
        return value.lower() if self.operator == "IN" and self.field.value_type == "text" else value


@dataclass(frozen=True, slots=True)
class Order:
    """Sort order; records without a value come last, and equal values are sorted by ascending ID."""

    field: Field
    descending: bool = False

    def sort_key(self, record: CrmRecord) -> SortKey:
        """Return the sort key of a record. Computing it is slow for a long text."""
        return self.sort_key_of(record.id, self.value_of(record))

    async def sorted(self, records: Sequence[CrmRecord], slices: TimeSlices) -> list[CrmRecord]:
        """Return the records in this order."""
        sort_keys = await slices.map(self.sort_key, records)
        return [record for _, record in self.sorted_entries(zip(sort_keys, records, strict=True))]

    def sorted_entries(self, entries: Iterable[tuple[SortKey, T]]) -> list[tuple[SortKey, T]]:
        """Return pairs of a sort key and something else in this order."""
        ascending = sorted(entries, key=lambda entry: entry[0][1])
        present = [entry for entry in ascending if entry[0][0] is not None]
        present.sort(key=lambda entry: entry[0][0], reverse=self.descending)
        return present + [entry for entry in ascending if entry[0][0] is None]

    def precedes(self, first: SortKey, second: SortKey) -> bool:
        """Return whether a record with the first sort key is before one with the second in this order."""
        (first_key, first_id), (second_key, second_id) = first, second
        if first_key == second_key:
            return first_id < second_id
        if first_key is None or second_key is None:
            return second_key is None
        return bool(first_key > second_key if self.descending else first_key < second_key)

    def value_of(self, record: CrmRecord) -> str | None:
        """Return the value that the record is sorted by."""
        return value_of(record, self.field)

    def sort_key_of(self, record_id: str, value: str | None) -> SortKey:
        """Return the sort key of a record with this ID and value."""
        return self._key_of_value(value), int(record_id)

    def to_wire(self) -> WireSort:
        """Return the sort for HubSpot's search."""
        return WireSort(self.field.wire_name, "DESCENDING" if self.descending else "ASCENDING")

    def _key_of_value(self, value: str | None) -> Any:
        # Sets of options have no order, so they are sorted by their text.
        is_set = self.field.value_type == "choices"
        return value if is_set else comparison_key(self.field.value_type, value)


@dataclass(frozen=True)
class RecordQuery:
    """What a list or search asks for: all conditions must hold, and the text must occur in the record."""

    conditions: tuple[Condition, ...] = ()
    order: Order | None = None
    text: str | None = dataclass_field(default=None, repr=False)

    def meets_conditions(self, record: CrmRecord) -> bool:
        """Return whether the record meets all conditions."""
        return all(condition.matches(record) for condition in self.conditions)

    def matches(self, record: CrmRecord, fields: ObjectFields) -> bool:
        """Return whether the record meets all conditions and contains the text in a searched property, in any case."""
        if not self.meets_conditions(record):
            return False
        text = self._casefolded_text
        return text is None or any(text in casefold_text(record.get(name) or "") for name in fields.searched)

    async def matching(
        self, records: Collection[CrmRecord], fields: ObjectFields, slices: TimeSlices
    ) -> list[CrmRecord]:
        """Return the matching records in the given order."""
        # All conditions together can take much longer than one slice to normalise, so each is an item of its own.
        await slices.map(attrgetter("operands"), self.conditions)
        matches = await slices.map(partial(self.matches, fields=fields), records)
        return list(compress(records, matches))

    @property
    def is_empty(self) -> bool:
        """Whether the query selects all records, in ascending order of their IDs."""
        return not self.conditions and self.order is None and self.text is None

    @cached_property
    def fingerprint(self) -> str:
        """Hash that binds a cursor to this query."""
        parts = (
            [
                (condition.field.wire_name, condition.operator, condition.values)
                for condition in self.conditions
            ],
            self.order and (self.order.field.wire_name, self.order.descending),
            self.text,
        )
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    @cached_property
    def _casefolded_text(self) -> str | None:
        return None if self.text is None else casefold_text(self.text)


def order_by_id(fields: ObjectFields) -> Order:
    """Return the order by ascending record ID."""
    return Order(fields.by_name["hs_object_id"])


def value_of(record: CrmRecord, field: Field) -> str | None:
    """Return the field's value in HubSpot's format, None if empty. The ID is the record's current one."""
    return record.id if field.wire_name == "hs_object_id" else record.get(field.wire_name)


async def parse_search(hubspot: HubSpotClient, table: ObjectFields, search: RecordSearch) -> RecordQuery:
    """Return the query of a search request. Raises a 400 that names the invalid filter."""
    filters, sort = or_none(search.filters) or [], or_none(search.sort)
    names = [item.property for item in filters] + ([sort.property] if sort else [])
    schema = await load_schema_for(hubspot, table, names)
    zone = await hubspot.account.time_zone() if any(map(is_day, _operands(filters))) else UTC
    conditions = []
    for index, item in enumerate(filters):
        field = _filterable_field(table, schema, item.property, f"filters.{index}.property")
        conditions.append(_condition(item, field, index, schema, zone))
    order = None
    if sort:
        field = _filterable_field(table, schema, sort.property, "sort.property")
        order = Order(field, descending=sort.direction == "descending")
    return RecordQuery(tuple(conditions), order, or_none(search.query))


async def parse_list_filters(
    hubspot: HubSpotClient, table: ObjectFields, *, equal: Mapping[str, str | None], sort: str | None
) -> RecordQuery:
    """Return the query of a list's parameters; a `-` before the sort property means descending."""
    conditions = tuple(
        Condition(table.by_name[name], "EQ", (value,)) for name, value in equal.items() if value is not None
    )
    if sort is None:
        return RecordQuery(conditions)
    name = sort.removeprefix("-")
    field = _filterable_field(table, await load_schema_for(hubspot, table, [name]), name, "sort")
    return RecordQuery(conditions, Order(field, descending=sort.startswith("-")))


def _filterable_field(table: ObjectFields, schema: Mapping[str, Property], name: str, location: str) -> Field:
    field = table.by_name.get(name)
    if field is None or not field.filterable:
        raise invalid(
            location, f"is not filterable; GET /api/properties/{table.object_type} lists filterable ones"
        )
    return with_value_type(field, schema)


def _operands(filters: Sequence[SearchFilter]) -> list[str]:
    texts: list[str] = []
    for item in filters:
        single = [text for text in (or_none(item.value), or_none(item.high_value)) if text is not None]
        texts += [*single, *(or_none(item.values) or ())]
    return texts


def _condition(
    item: SearchFilter, field: Field, index: int, schema: Mapping[str, Property], zone: tzinfo
) -> Condition:
    values: list[str] = []
    operator: str = item.operator
    for name in ("value", "high_value", "values"):
        operands: str | Sequence[str] = or_none(getattr(item, name)) or ()
        try:
            for operand in [operands] if isinstance(operands, str) else operands:
                if field.value_type != "datetime" or not is_day(operand):
                    values.append(_to_wire(field, operand, schema))
                    continue
                first, last = day_bounds(operand, zone)
                # A day equals each of its times, and is over after its last one.
                if operator == "EQ":
                    operator, values = "BETWEEN", [first, last]
                else:
                    values.append(last if operator in ("LTE", "GT") or name == "high_value" else first)
        except ValueError as error:
            raise invalid(f"filters.{index}.{name}", str(error)) from None
    return Condition(field, operator, tuple(values))


def _to_wire(field: Field, value: str, schema: Mapping[str, Property]) -> str:
    definition = schema.get(field.wire_name)
    options = {option.value for option in definition.options} if definition is not None else ()
    return to_wire(field.value_type, words_to_wire(value, field.words, options))
