"""Rendering of records as HubSpot's JSON."""

from collections.abc import Iterable, Sequence
from typing import Any

from hubspot_emulator.state.account import Account
from hubspot_emulator.state.labels import type_name
from hubspot_emulator.state.store import Record
from hubspot_emulator.wire.names import DEFAULT_PROPERTIES, LAST_MODIFIED, OBJECT_TYPE_BY_NAME, TYPE_IDS


class RecordRenderer:
    """Renderer of records with the requested and three system properties, or with the default ones."""

    def __init__(
        self,
        account: Account,
        object_type: str,
        requested: Sequence[str] | None,
        history: Sequence[str] | None = None,
    ) -> None:
        schema = account.schema
        if requested:
            # HubSpot silently drops unknown names.
            known = {name for name in requested if schema.live_definition(object_type, name)}
            always = ("createdate", LAST_MODIFIED[object_type], "hs_object_id")
            self.names: Sequence[str] = sorted(known.union(always))
        else:
            self.names = DEFAULT_PROPERTIES[object_type]
        self.history = sorted(
            name for name in set(history or ()) if schema.live_definition(object_type, name)
        )
        self.object_type = object_type
        self._url = f"https://app.hubspot.com/contacts/{account.portal_id}/record/{TYPE_IDS[object_type]}/"

    def render(self, record: Record) -> dict[str, Any]:
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

    def render_document(self, record_id: str, properties: dict[str, str]) -> dict[str, Any]:
        """Render a record of the search index."""
        return {
            "id": record_id,
            "properties": {name: properties.get(name) for name in self.names},
            "createdAt": properties["createdate"],
            "updatedAt": properties[LAST_MODIFIED[self.object_type]],
            "archived": False,
            "url": self._url + record_id,
        }


def render_written(account: Account, record: Record, names: Iterable[str] | None = None) -> dict[str, Any]:
    """Render the response of a write. `names` limits the properties to these and three system properties."""
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


def render_associations(account: Account, record: Record, to_types: Sequence[str]) -> dict[str, Any]:
    """Render `associations` of a read: the first page per object type that has any, keyed by plural name.

    https://github.com/HubSpot/hubspot-api-python/issues/135
    """
    pages = {}
    for name in to_types:
        to_type = OBJECT_TYPE_BY_NAME.get(name.lower())
        if to_type is None:
            # HubSpot ignores unknown types.
            continue
        links = account.store.links(record.object_type, record.id, to_type)
        if not links:
            continue
        size = account.switches.inline_association_page_size
        association_name = type_name(record.object_type, to_type)
        rows = []
        for position, (to_id, types) in enumerate(links.items()):
            if position == size:
                break
            rows.append({"id": to_id, "type": association_name})
            # HubSpot lists the ID a second time if the association has a label.
            if len(types) > 1:
                rows.append({"id": to_id, "type": f"{association_name}_unlabeled"})
        page: dict[str, Any] = {"results": rows}
        if len(links) > size:
            after = list(links)[size]
            page["paging"] = {"next": {"after": after, "link": _association_link(record, to_type, after)}}
        pages[to_type] = page
    return pages


def _association_link(record: Record, to_type: str, after: str) -> str:
    # HubSpot's links still name v3, so clients must not follow them.
    return f"https://api.hubapi.com/crm/v3/objects/{record.object_type}/{record.id}/associations/{to_type}?after={after}"


def _history(record: Record, name: str) -> list[dict[str, Any]]:
    return [
        {"value": values[name], "timestamp": timestamp, "sourceType": "INTEGRATION", "sourceId": "demo"}
        for timestamp, values in reversed(record.changes)
        if name in values
    ]
