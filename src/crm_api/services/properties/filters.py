"""What a list or a search asks for: evaluated by us over a customer's own records, by HubSpot over the account's."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crm_api.errors import invalid
from crm_api.hubspot import CrmRecord, Filter, HubSpotClient, Property
from crm_api.hubspot import Sort as WireSort
from crm_api.schemas.common import or_none
from crm_api.schemas.search import RecordSearch, SearchFilter
from crm_api.services.properties.fields import Field, ObjectFields, RecordFields, with_value_type
from crm_api.services.properties.mapping import EPOCH
from crm_api.services.properties.values import (
    casefold_text,
    comparison_key,
    epoch_milliseconds,
    load_schema_for,
    to_wire,
)


@dataclass(frozen=True, slots=True)
class Condition:
    """One filter; its values are HubSpot's text."""

    field: Field
    operator: str
    values: tuple[str, ...] = ()

    def matches(self, record: CrmRecord) -> bool:
        """Whether the record meets it; an empty property meets NOT_HAS_PROPERTY alone."""
        value = value_of(record, self.field)
        if self.operator == "NOT_HAS_PROPERTY":
            return value is None
        if value is None or self.operator == "HAS_PROPERTY":
            return value is not None
        have = comparison_key(self.field.value_type, value)
        wanted = [comparison_key(self.field.value_type, each) for each in self.values]
        return have is not None and _compare(self.field.value_type, self.operator, have, wanted)

    def to_wire(self) -> Filter:
        """As HubSpot's search takes it."""
        values = [self._wire_value(each) for each in self.values]
        operator: Any = self.operator
        if self.operator == "IN":
            return Filter(self.field.wire_name, operator, values=values)
        low = values[0] if values else None
        return Filter(self.field.wire_name, operator, low, values[1] if len(values) > 1 else None)

    def _wire_value(self, value: str) -> str:
        if self.field.value_type in ("datetime", "date"):
            return epoch_milliseconds(value)
        # HubSpot wants the texts of an IN in lower case; options keep theirs.
        # https://developers.hubspot.com/docs/api-reference/search/guide
        return value.lower() if self.operator == "IN" and self.field.value_type == "text" else value


@dataclass(frozen=True, slots=True)
class Order:
    """What to sort by; records without a value come last, equal ones by ascending id."""

    field: Field
    descending: bool = False

    def sorted(self, records: Iterable[CrmRecord]) -> list[CrmRecord]:
        """The records in this order."""
        ascending = sorted(records, key=lambda record: int(record.id))
        present = [record for record in ascending if self._key(record) is not None]
        present.sort(key=self._key, reverse=self.descending)
        return present + [record for record in ascending if self._key(record) is None]

    def precedes(self, one: CrmRecord, other: CrmRecord) -> bool:
        """Whether `one` comes before `other`."""
        return self.sorted((one, other))[0] is one

    def value_of(self, record: CrmRecord) -> str | None:
        """What the record is sorted by."""
        return value_of(record, self.field)

    def after(self, records: Iterable[CrmRecord], record_id: str, value: str | None) -> list[CrmRecord]:
        """The records that come after where one with this id and value stands, itself left out wherever it is."""
        properties = {self.field.wire_name: value}
        mark = CrmRecord(id=record_id, properties=properties, created_at=EPOCH, updated_at=EPOCH)
        in_order = self.sorted([mark, *(record for record in records if record.id != record_id)])
        place = next(place for place, record in enumerate(in_order) if record is mark)
        return in_order[place + 1 :]

    def to_wire(self) -> WireSort:
        """As HubSpot's search takes it."""
        return WireSort(self.field.wire_name, "DESCENDING" if self.descending else "ASCENDING")

    def _key(self, record: CrmRecord) -> Any:
        value = value_of(record, self.field)
        # Several options have no order among themselves; their text has.
        return value if self.field.value_type == "choices" else comparison_key(self.field.value_type, value)


@dataclass(frozen=True, slots=True)
class RecordQuery:
    """A whole question: all conditions hold, and the text is found."""

    conditions: tuple[Condition, ...] = ()
    order: Order | None = None
    text: str | None = None

    def matches(self, record: CrmRecord, fields: ObjectFields) -> bool:
        """Whether the record answers it; the text counts wherever it stands in a queried field, whatever its case."""
        if not all(condition.matches(record) for condition in self.conditions):
            return False
        if self.text is None:
            return True
        wanted = casefold_text(self.text)
        return any(wanted in casefold_text(record.get(name) or "") for name in fields.queried)

    def select(self, records: Iterable[CrmRecord], fields: ObjectFields) -> list[CrmRecord]:
        """The records that answer it, in order."""
        found = [record for record in records if self.matches(record, fields)]
        return (self.order or order_by_id(fields)).sorted(found)

    @property
    def is_empty(self) -> bool:
        """Whether it asks for all records in the order of their ids."""
        return not self.conditions and self.order is None and self.text is None

    @property
    def fingerprint(self) -> str:
        """Binds a cursor to the question that it was given for."""
        parts = (
            [(each.field.wire_name, each.operator, each.values) for each in self.conditions],
            self.order and (self.order.field.wire_name, self.order.descending),
            self.text,
        )
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def order_by_id(fields: ObjectFields) -> Order:
    """Oldest first."""
    return Order(fields.by_name["hs_object_id"])


def value_of(record: CrmRecord, field: Field) -> str | None:
    """A field's text, None where it is empty; the id is what the record is known by now."""
    return record.id if field.wire_name == "hs_object_id" else record.get(field.wire_name)


async def parse_search(
    hubspot: HubSpotClient, fields: RecordFields, table: ObjectFields, search: RecordSearch
) -> RecordQuery:
    """The question that a search's body asks. Raises a 400 that names the filter at fault."""
    filters, sort = or_none(search.filters) or [], or_none(search.sort)
    names = [each.property for each in filters] + ([sort.property] if sort else [])
    schema = await load_schema_for(hubspot, table, names)
    conditions = tuple(
        _condition(each, _field(table, schema, each.property, f"filters.{place}.property"), place, fields)
        for place, each in enumerate(filters)
    )
    order = None
    if sort:
        field = _field(table, schema, sort.property, "sort.property")
        order = Order(field, descending=sort.direction == "descending")
    return RecordQuery(conditions, order, or_none(search.query))


async def parse_list_filters(
    hubspot: HubSpotClient, table: ObjectFields, *, equal: Mapping[str, str | None], sort: str | None
) -> RecordQuery:
    """The question that a list's query parameters ask; `sort` is a name, with `-` before it for descending."""
    conditions = tuple(
        Condition(table.by_name[name], "EQ", (value,)) for name, value in equal.items() if value is not None
    )
    if sort is None:
        return RecordQuery(conditions)
    name = sort.removeprefix("-")
    field = _field(table, await load_schema_for(hubspot, table, [name]), name, "sort")
    return RecordQuery(conditions, Order(field, descending=sort.startswith("-")))


def _field(table: ObjectFields, schema: Mapping[str, Property], name: str, where: str) -> Field:
    field = table.by_name.get(name)
    if field is None or not field.filterable:
        raise invalid(where, f"is not filterable; GET /api/properties/{table.object_type} lists what is")
    return with_value_type(field, schema)


def _condition(given: SearchFilter, field: Field, place: int, fields: RecordFields) -> Condition:
    if given.operator.endswith("HAS_PROPERTY"):
        return Condition(field, given.operator)
    named = ("values",) if given.operator == "IN" else ("value", "high_value")
    values: list[str] = []
    for name in named:
        value: str | list[str] | None = or_none(getattr(given, name))
        if value is None:
            continue
        each = value if isinstance(value, list) else [value]
        try:
            values += [_to_wire(field, text, fields) for text in each]
        except ValueError as error:
            raise invalid(f"filters.{place}.{name}", str(error)) from None
    return Condition(field, given.operator, tuple(values))


def _to_wire(field: Field, value: str, fields: RecordFields) -> str:
    if field.name == "category":
        return fields.categories.get(value, value)
    return to_wire(field.value_type, value)


def _compare(value_type: str, operator: str, have: Any, wanted: Sequence[Any]) -> bool:
    if value_type == "choices":
        # Several options at once: one of them is enough, and they have no order.
        overlap = any(have & each for each in wanted if each)
        return overlap if operator in ("EQ", "IN") else not overlap if operator == "NEQ" else False
    known = [each for each in wanted if each is not None]
    if operator == "IN":
        return have in known
    if len(known) != len(wanted):
        return False
    first = known[0]
    outcomes = {
        "EQ": lambda: have == first,
        "NEQ": lambda: have != first,
        "LT": lambda: have < first,
        "LTE": lambda: have <= first,
        "GT": lambda: have > first,
        "GTE": lambda: have >= first,
        "BETWEEN": lambda: first <= have <= known[1],
    }
    return bool(outcomes[operator]())
