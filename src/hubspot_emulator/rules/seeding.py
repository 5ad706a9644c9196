"""Creation of many records at once, with associated records nested inside."""

from collections.abc import Iterable, Mapping
from typing import Any

from hubspot_emulator.rules import calculated, writes
from hubspot_emulator.state.account import Account
from hubspot_emulator.state.store import RecordKey
from hubspot_emulator.wire.names import OBJECT_TYPES, ApiVersion
from hubspot_emulator.wire.replies import invalid


def seed(account: Account, objects: Mapping[str, Iterable[Mapping[str, Any]]]) -> dict[str, list[str]]:
    """Create all records and return their IDs by type, in order of creation. Creates none if one is refused."""
    created: dict[str, list[str]] = {object_type: [] for object_type in OBJECT_TYPES}
    try:
        for object_type, rows in objects.items():
            if object_type not in OBJECT_TYPES:
                raise invalid(f"{object_type} is not an object type of the emulator")
            for row in rows:
                _create(account, object_type, row, None, created)
    except BaseException:
        for object_type, ids in created.items():
            for record_id in ids:
                account.store.remove(account.store.records[object_type][record_id])
        raise
    return created


def _create(
    account: Account,
    object_type: str,
    row: Mapping[str, Any],
    parent: RecordKey | None,
    created: dict[str, list[str]],
) -> None:
    children = {name: row[name] for name in OBJECT_TYPES if name in row}
    raw = {name: value for name, value in row.items() if name not in children and name != "id"}
    values = writes.check_create(account, object_type, raw, ApiVersion("v3"))
    record_id = row.get("id")
    if record_id is not None:
        record_id = str(record_id)
        if not record_id.isdigit() or account.store.get(object_type, record_id) is not None:
            raise invalid(f"{record_id} is not a number, or a record has this ID already", id=[record_id])
    now = account.now()
    properties = values | calculated.values_on_create(object_type, values, now)
    properties |= calculated.values_on_write(account.schema, object_type, {}, properties, now)
    record = account.store.add(object_type, properties, now, record_id=record_id)
    created[object_type].append(record.id)
    if parent is not None:
        forward = account.labels.default(object_type, parent[0])
        inverse = account.labels.default(parent[0], object_type)
        # The parent is the source, so that its associations are in the order of the rows.
        writes.link(account, parent, (object_type, record.id), inverse, forward)
    for child_type, rows in children.items():
        for child in rows:
            _create(account, child_type, child, (object_type, record.id), created)
