"""Records and associations in memory, with their indexes; every change goes to the journal."""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from hubspot_emulator.state.journal import Journal
from hubspot_emulator.wire.names import DEFAULT_ASSOCIATION_TYPES, OBJECT_TYPES

# IDs of each type rise from these numbers, with gaps.
_FIRST_IDS = {"contacts": 37_765_128_953, "deals": 21_318_452_201, "tickets": 4_418_906_117}
_ID_STEP = 3
_MAX_CHANGES = 50
_RECORDS_WITH_SHARED_VALUES = 1_000

AssociationType = tuple[str, int]
"""(category, type ID)"""
AssociationTypes = tuple[AssociationType, ...]
RecordKey = tuple[str, str]
"""(object type, record ID)"""
Change = tuple[str, dict[str, str]]
"""(timestamp, properties set)"""


@dataclass(slots=True)
class Record:
    """One contact, deal or ticket. `properties` is replaced by a new dict at each change."""

    object_type: str
    id: str
    properties: dict[str, str]
    created_at: str
    updated_at: str
    archived_at: str | None = None

    @property
    def archived(self) -> bool:
        return self.archived_at is not None

    def to_row(self) -> dict[str, Any]:
        return {
            "p": self.properties,
            "c": self.created_at,
            "u": self.updated_at,
            "a": self.archived_at,
        }


class Store:
    """All records and associations of one account.

    `on_change(record, removed)` is called for every record that is created, changed, archived or removed.
    """

    def __init__(self, journal: Journal, on_change: Callable[[Record, bool], None]) -> None:
        self._journal = journal
        self._on_change = on_change
        self.reset()

    def reset(self) -> None:
        self.records: dict[str, dict[str, Record]] = {object_type: {} for object_type in OBJECT_TYPES}
        self._live_ids: dict[str, list[int]] = {object_type: [] for object_type in OBJECT_TYPES}
        self._archived_ids: dict[str, list[int]] = {object_type: [] for object_type in OBJECT_TYPES}
        self._by_value: dict[tuple[str, str], dict[str, str]] = {("contacts", "email"): {}}
        self.merged: dict[str, dict[str, str]] = {object_type: {} for object_type in OBJECT_TYPES}
        self._links: dict[tuple[str, str], dict[str, dict[str, AssociationTypes]]] = {
            pair: {} for pair in DEFAULT_ASSOCIATION_TYPES
        }
        # Associations share equal tuples, of which there are few.
        self._type_tuples: dict[AssociationTypes, AssociationTypes] = {}
        # Without a state file the histories are here, newest change last.
        self._histories: dict[RecordKey, list[Change]] = {}
        self._next_ids = dict(_FIRST_IDS)

    def load(self, unique: Iterable[tuple[str, str]]) -> None:
        for object_type, name in unique:
            self.add_unique_index(object_type, name)
        values: dict[str, str] = {}
        for position, (key, row) in enumerate(self._journal.rows("record")):
            object_type, record_id = key.split("/")
            if position % _RECORDS_WITH_SHARED_VALUES == 0:
                values.clear()
            share = values.setdefault
            share(record_id, record_id)
            properties = {name: share(value, value) for name, value in row["p"].items()}
            created_at, updated_at = share(row["c"], row["c"]), share(row["u"], row["u"])
            record = Record(object_type, record_id, properties, created_at, updated_at, row["a"])
            self.records[object_type][record_id] = record
            (self._archived_ids if record.archived else self._live_ids)[object_type].append(int(record_id))
            if not record.archived:
                self._index_values(record, {}, record.properties)
        for object_type in OBJECT_TYPES:
            self._live_ids[object_type].sort()
            self._archived_ids[object_type].sort()
            ordered = self._live_ids[object_type]
            for number in ordered:
                self._on_change(self.records[object_type][str(number)], False)
        for key, to in self._journal.rows("merged"):
            object_type, old = key.split("/")
            self.merged[object_type][old] = to
        for key, rows in self._journal.rows("links"):
            if not rows:
                continue
            from_type, to_type, from_id = key.split("/")
            table = self.records[to_type]
            self._links[from_type, to_type][self.records[from_type][from_id].id] = {
                table[to_id].id: self._shared((category, number) for category, number in types)
                for to_id, types in rows.items()
            }
        for key, number in self._journal.rows("next_id"):
            self._next_ids[key] = number

    # Records

    def add(
        self, object_type: str, properties: dict[str, str], now: str, *, record_id: str | None = None
    ) -> Record:
        record_id = self.reserve_id(object_type, record_id)
        properties["hs_object_id"] = record_id
        if object_type == "tickets":
            properties["hs_ticket_id"] = record_id
        elif object_type == "contacts":
            properties.setdefault("hs_all_contact_vids", record_id)
        record = Record(object_type, record_id, properties, now, now)
        self._put_history(record, [(now, properties)])
        self.records[object_type][record_id] = record
        insort(self._live_ids[object_type], int(record_id))
        self._index_values(record, {}, properties)
        self._save(record)
        self._on_change(record, False)
        return record

    def reserve_id(self, object_type: str, record_id: str | None = None) -> str:
        """Return the next ID, or reserve the given one."""
        record_id = record_id or str(self._next_ids[object_type])
        next_id = max(self._next_ids[object_type], int(record_id) + _ID_STEP)
        self._next_ids[object_type] = next_id
        self._journal.put("next_id", object_type, lambda: next_id)
        return record_id

    def change(self, record: Record, changes: dict[str, str], now: str) -> None:
        """Set properties, among which the caller includes the last-modified date."""
        before = record.properties
        record.properties = before | changes
        record.updated_at = now
        self._put_history(record, [*self.history(record), (now, changes)][-_MAX_CHANGES:])
        self._index_values(record, before, record.properties)
        self._save(record)
        self._on_change(record, False)

    def history(self, record: Record) -> list[Change]:
        """Return the last changes of a record, newest last."""
        if self._journal.is_persistent:
            return self._journal.row("history", f"{record.object_type}/{record.id}") or []
        return self._histories.get((record.object_type, record.id), [])

    def _put_history(self, record: Record, history: list[Change]) -> None:
        if self._journal.is_persistent:
            self._journal.put("history", f"{record.object_type}/{record.id}", lambda: history)
        else:
            self._histories[record.object_type, record.id] = history

    def set_rollup(self, record: Record, name: str, value: str) -> None:
        """Set a property that HubSpot counts itself, without a modification date and without history."""
        record.properties = record.properties | {name: value}
        self._save(record)
        self._on_change(record, False)

    def archive(self, record: Record, now: str) -> None:
        record.archived_at = now
        record.updated_at = now
        number = int(record.id)
        _remove(self._live_ids[record.object_type], number)
        insort(self._archived_ids[record.object_type], number)
        self._index_values(record, record.properties, {})
        self._save(record)
        self._on_change(record, True)

    def restore(self, record: Record) -> None:
        record.archived_at = None
        number = int(record.id)
        _remove(self._archived_ids[record.object_type], number)
        insort(self._live_ids[record.object_type], number)
        self._index_values(record, {}, record.properties)
        self._save(record)
        self._on_change(record, False)

    def remove(self, record: Record) -> None:
        """Delete a record (merged into another, or erased) and its associations."""
        object_type, number = record.object_type, int(record.id)
        _remove((self._archived_ids if record.archived else self._live_ids)[object_type], number)
        if not record.archived:
            self._index_values(record, record.properties, {})
        del self.records[object_type][record.id]
        self._journal.delete("record", f"{object_type}/{record.id}")
        self._journal.delete("history", f"{object_type}/{record.id}")
        self._histories.pop((object_type, record.id), None)
        for (from_type, to_type), links in self._links.items():
            if from_type == object_type:
                for to_id in list(links.get(record.id, ())):
                    self.unlink((object_type, record.id), (to_type, to_id))
        self._on_change(record, True)

    def add_merge(self, object_type: str, old_id: str, new_id: str) -> None:
        merged = self.merged[object_type]
        for merged_id in [old_id, *(key for key, survivor_id in merged.items() if survivor_id == old_id)]:
            merged[merged_id] = new_id
            self._journal.put("merged", f"{object_type}/{merged_id}", lambda: new_id)

    def get(self, object_type: str, record_id: str) -> Record | None:
        """Return the record with this ID or the one that it was merged into, even if archived."""
        table = self.records[object_type]
        found = table.get(record_id)
        return found if found is not None else table.get(self.merged[object_type].get(record_id, ""))

    def find(self, object_type: str, name: str, value: str) -> Record | None:
        """Return the live record with this value of a unique property or (primary or secondary) e-mail."""
        record_id = self._by_value.get((object_type, name), {}).get(value)
        return self.records[object_type][record_id] if record_id is not None else None

    def page(
        self, object_type: str, after: int, limit: int, *, archived: bool
    ) -> tuple[list[Record], int | None]:
        """Return a page of records by ascending ID from `after` on, and the ID at which the next page begins."""
        ids = (self._archived_ids if archived else self._live_ids)[object_type]
        start = bisect_left(ids, after)
        table = self.records[object_type]
        found = [table[str(number)] for number in ids[start : start + limit]]
        return found, ids[start + limit] if start + limit < len(ids) else None

    def live(self, object_type: str) -> Iterator[Record]:
        table = self.records[object_type]
        return (table[str(number)] for number in self._live_ids[object_type])

    def add_unique_index(self, object_type: str, name: str) -> None:
        if (object_type, name) not in self._by_value:
            self._by_value[object_type, name] = {
                record.properties[name]: record.id
                for record in self.live(object_type)
                if record.properties.get(name)
            }

    def drop_unique_index(self, object_type: str, name: str) -> None:
        """Stop treating the values of an archived property as unique."""
        self._by_value.pop((object_type, name), None)

    def is_unique(self, object_type: str, name: str) -> bool:
        return (object_type, name) in self._by_value

    def _index_values(self, record: Record, before: dict[str, str], now: dict[str, str]) -> None:
        for (object_type, name), ids in self._by_value.items():
            if object_type != record.object_type or before.get(name) == now.get(name):
                continue
            if (old := before.get(name)) and ids.get(old) == record.id:
                del ids[old]
            if new := now.get(name):
                ids[new] = record.id
        if record.object_type == "contacts":
            emails = self._by_value["contacts", "email"]
            for old in before.get("hs_additional_emails", "").split(";"):
                if old and emails.get(old) == record.id and old != now.get("email"):
                    del emails[old]
            for new in now.get("hs_additional_emails", "").split(";"):
                if new:
                    emails[new] = record.id

    # Associations, stored in both directions

    def link(
        self, source: RecordKey, target: RecordKey, forward: AssociationType, inverse: AssociationType
    ) -> None:
        """Add an association and its inverse; an existing one stays as it is."""
        for (from_type, from_id), (to_type, to_id), association_type in (
            (source, target, forward),
            (target, source, inverse),
        ):
            rows = self._links[from_type, to_type].setdefault(from_id, {})
            types = rows.get(to_id, ())
            if association_type not in types:
                rows[to_id] = self._shared((*types, association_type))
                self._save_links(from_type, to_type, from_id)

    def unlink(
        self,
        source: RecordKey,
        target: RecordKey,
        *,
        forward: AssociationType | None = None,
        inverse: AssociationType | None = None,
    ) -> None:
        """Remove the association of one type, or of all types if none is given."""
        for (from_type, from_id), (to_type, to_id), association_type in (
            (source, target, forward),
            (target, source, inverse),
        ):
            rows = self._links[from_type, to_type].get(from_id, {})
            if association_type is not None:
                rows[to_id] = self._shared(
                    other for other in rows.get(to_id, ()) if other != association_type
                )
            if association_type is None or not rows[to_id]:
                rows.pop(to_id, None)
            self._save_links(from_type, to_type, from_id)

    def links(self, from_type: str, from_id: str, to_type: str) -> dict[str, AssociationTypes]:
        """Return the IDs of associated live records with the association types, oldest association first."""
        rows = self._links[from_type, to_type].get(from_id)
        if not rows:
            return {}
        table = self.records[to_type]
        # Without archived records no scan is needed, so creates do not get slower with the deals of a contact.
        if not self._archived_ids[to_type] or all(table[to_id].archived_at is None for to_id in rows):
            return rows
        return {to_id: types for to_id, types in rows.items() if not table[to_id].archived}

    def _shared(self, types: Iterable[AssociationType]) -> AssociationTypes:
        found = tuple(types)
        return self._type_tuples.setdefault(found, found)

    def _save(self, record: Record) -> None:
        if self._journal.is_persistent:
            self._journal.put("record", f"{record.object_type}/{record.id}", record.to_row)

    def _save_links(self, from_type: str, to_type: str, from_id: str) -> None:
        if self._journal.is_persistent:
            rows = self._links[from_type, to_type]
            self._journal.put("links", f"{from_type}/{to_type}/{from_id}", lambda: rows.get(from_id, {}))


def _remove(ids: list[int], number: int) -> None:
    position = bisect_left(ids, number)
    if position < len(ids) and ids[position] == number:
        del ids[position]
