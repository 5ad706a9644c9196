"""Records as they stand on the wire."""

from collections.abc import Iterable, Sequence
from typing import Any

from hubspot_emulator.state.account import Account
from hubspot_emulator.state.labels import type_name
from hubspot_emulator.state.store import Record
from hubspot_emulator.wire.names import DEFAULT_PROPERTIES, LAST_MODIFIED, OBJECT_TYPE_BY_NAME, TYPE_IDS


class Shape:
    """Which properties an answer shows: the asked ones and three system ones, in alphabetical order."""

    def __init__(
        self,
        account: Account,
        object_type: str,
        asked: Sequence[str] | None,
        history: Sequence[str] | None = None,
    ) -> None:
        schema = account.schema
        if asked:
            # Names that do not exist are dropped without a word.
            known = {each for each in asked if schema.live_definition(object_type, each)}
            always = ("createdate", LAST_MODIFIED[object_type], "hs_object_id")
            self.names: Sequence[str] = sorted(known.union(always))
        else:
            self.names = DEFAULT_PROPERTIES[object_type]
        self.history = sorted(
            each for each in set(history or ()) if schema.live_definition(object_type, each)
        )
        self.object_type = object_type
        self._url = f"https://app.hubspot.com/contacts/{account.portal_id}/record/{TYPE_IDS[object_type]}/"

    def record(self, record: Record) -> dict[str, Any]:
        value = record.properties.get
        wire = {
            "id": record.id,
            "properties": {name: value(name) for name in self.names},
            "createdAt": record.created_at,
            "updatedAt": record.updated_at,
            "archived": record.archived_at is not None,
            "url": self._url + record.id,
        }
        if record.archived_at is not None:
            wire["archivedAt"] = record.archived_at
        if self.history:
            wire["propertiesWithHistory"] = {name: _history(record, name) for name in self.history}
        return wire

    def document(self, record_id: str, properties: dict[str, str]) -> dict[str, Any]:
        """A record as the search index knows it."""
        return {
            "id": record_id,
            "properties": {name: properties.get(name) for name in self.names},
            "createdAt": properties["createdate"],
            "updatedAt": properties[LAST_MODIFIED[self.object_type]],
            "archived": False,
            "url": self._url + record_id,
        }


def written(account: Account, record: Record, names: Iterable[str] | None = None) -> dict[str, Any]:
    """The answer of a write: what is stored, or only what changed and some system values."""
    properties = record.properties
    if names is None:
        shown = sorted(properties)
    else:
        always = ("createdate", LAST_MODIFIED[record.object_type], "hs_object_id")
        shown = sorted(set(names).union(always))
    return {
        "id": record.id,
        "properties": {name: properties.get(name) for name in shown},
        "createdAt": record.created_at,
        "updatedAt": record.updated_at,
        "archived": False,
        "url": f"https://app.hubspot.com/contacts/{account.portal_id}/record/"
        f"{TYPE_IDS[record.object_type]}/{record.id}",
    }


def inline_associations(account: Account, record: Record, asked: Sequence[str]) -> dict[str, Any]:
    """The `associations` of a read: the first page of each type, keyed by plural name; types without links have no key.

    https://github.com/HubSpot/hubspot-api-python/issues/135
    """
    found = {}
    for name in asked:
        to_type = OBJECT_TYPE_BY_NAME.get(name.lower())
        if to_type is None:
            # Unknown types are ignored.
            continue
        links = account.store.links(record.object_type, record.id, to_type)
        if not links:
            continue
        size = account.switches.inline_association_page_size
        text = type_name(record.object_type, to_type)
        rows = []
        for position, (to_id, types) in enumerate(links.items()):
            if position == size:
                break
            rows.append({"id": to_id, "type": text})
            # With labels about, the same id is listed once more.
            rows += [{"id": to_id, "type": f"{text}_unlabeled"}] * (len(types) > 1)
        page: dict[str, Any] = {"results": rows}
        if len(links) > size:
            after = list(links)[size]
            page["paging"] = {"next": {"after": after, "link": _association_link(record, to_type, after)}}
        found[to_type] = page
    return found


def _association_link(record: Record, to_type: str, after: str) -> str:
    # Links still name v3; nobody should follow them.
    return f"https://api.hubapi.com/crm/v3/objects/{record.object_type}/{record.id}/associations/{to_type}?after={after}"


def _history(record: Record, name: str) -> list[dict[str, Any]]:
    return [
        {"value": what[name], "timestamp": when, "sourceType": "INTEGRATION", "sourceId": "demo"}
        for when, what in reversed(record.changes)
        if name in what
    ]
