"""Many records at once, with the ones that belong to them inside."""

from collections.abc import Iterable, Mapping
from typing import Any

from hubspot_emulator.rules import calculated, writes
from hubspot_emulator.state.account import Account
from hubspot_emulator.wire.names import OBJECT_TYPES, ApiVersion
from hubspot_emulator.wire.replies import invalid


def seed(account: Account, objects: Mapping[str, Iterable[Mapping[str, Any]]]) -> dict[str, list[str]]:
    """Ids by type, in the order in which they were made; all or none. Raises Refusal (400, 409)."""
    made: dict[str, list[str]] = {each: [] for each in OBJECT_TYPES}
    try:
        for object_type, rows in objects.items():
            if object_type not in OBJECT_TYPES:
                raise invalid(f"there are no {object_type} here")
            for row in rows:
                _make(account, object_type, row, None, made)
    except BaseException:
        for object_type, ids in made.items():
            for record_id in ids:
                account.store.remove(account.store.records[object_type][record_id])
        raise
    return made


def _make(
    account: Account,
    object_type: str,
    row: Mapping[str, Any],
    parent: tuple[str, str] | None,
    made: dict[str, list[str]],
) -> None:
    children = {name: row[name] for name in OBJECT_TYPES if name in row}
    raw = {name: value for name, value in row.items() if name not in children and name != "id"}
    values = writes.check_create(account, object_type, raw, ApiVersion("v3"))
    record_id = row.get("id")
    if record_id is not None:
        record_id = str(record_id)
        if not record_id.isdigit() or account.store.get(object_type, record_id) is not None:
            raise invalid(f"{record_id} is no number, or is taken", id=[record_id])
    now = account.now()
    properties = values | calculated.on_create(object_type, values, now)
    properties |= calculated.on_write(account.schema, object_type, {}, properties, now)
    record = account.store.add(object_type, properties, now, record_id=record_id)
    made[object_type].append(record.id)
    if parent is not None:
        forward = account.labels.default(object_type, parent[0])
        inverse = account.labels.default(parent[0], object_type)
        # From the parent's side, so that its list is in the order of the rows.
        writes.link(account, parent, (object_type, record.id), inverse, forward)
    for child_type, rows in children.items():
        for child in rows:
            _make(account, child_type, child, (object_type, record.id), made)
