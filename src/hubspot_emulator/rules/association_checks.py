"""Checks of association types and of the records that an association joins."""

from collections.abc import Iterable
from typing import Any

from hubspot_emulator.rules.writes import Link
from hubspot_emulator.state.account import Account
from hubspot_emulator.state.store import AssociationType, RecordKey
from hubspot_emulator.wire.calls import require_integer
from hubspot_emulator.wire.names import OBJECT_TYPES, SINGULAR, TYPE_IDS
from hubspot_emulator.wire.replies import Refusal, invalid, wrong_json


def check_links(account: Account, object_type: str, raw: Any) -> list[Link]:
    """Return the associations of a new record. Raises Refusal (400) for an unknown type or target."""
    links: list[Link] = []
    missing: list[RecordKey] = []
    for item in raw if isinstance(raw, list) else ():
        to_id = str(item["to"].get("id", ""))
        for spec in item.get("types", ()):
            forward = _association_type(spec)
            target = next(
                (to for to in OBJECT_TYPES if account.labels.inverse_type(object_type, to, forward)), None
            )
            if target is None:
                raise _invalid_type(account, object_type, forward)
            record = account.store.get(target, to_id)
            if record is None or record.archived:
                missing.append((target, to_id))
                continue
            _, inverse = check_type(account, object_type, target, spec)
            links.append((target, record.id, forward, inverse))
    if missing:
        raise _missing_records(missing)
    return links


def check_type(
    account: Account, source: str, target: str, spec: Any
) -> tuple[AssociationType, AssociationType]:
    """Return the association type of a specification and its inverse. Raises Refusal (400)."""
    if not isinstance(spec, dict):
        raise wrong_json("value of type `AssociationSpec`")
    association_type = _association_type(spec)
    inverse = account.labels.inverse_type(source, target, association_type)
    if inverse is None:
        raise _invalid_type(account, source, association_type)
    return association_type, inverse


def check_ends(account: Account, source: RecordKey, target: RecordKey) -> tuple[str, str]:
    """Return the IDs of two live records, those of the survivors after a merge. Raises Refusal (400)."""
    one, other = account.store.get(*source), account.store.get(*target)
    if one is None or one.archived or other is None or other.archived:
        ends = ((source, one), (target, other))
        raise _missing_records(key for key, record in ends if record is None or record.archived)
    return one.id, other.id


def _association_type(spec: dict[str, Any]) -> AssociationType:
    return str(spec.get("associationCategory")), require_integer(spec, "associationTypeId")


def _missing_records(keys: Iterable[RecordKey]) -> Refusal:
    # https://github.com/crowdbotics/modules (recorded responses)
    rows = [f"{SINGULAR[object_type].upper()}={record_id} is not valid" for object_type, record_id in keys]
    return invalid("One or more associations are invalid", INVALID_OBJECT_IDS=rows)


def _invalid_type(account: Account, source: str, association_type: AssociationType) -> Refusal:
    expected = account.labels.source_of(association_type)
    if expected is not None and expected != source:
        return invalid(
            f"invalid from object type {TYPE_IDS[source]} for associations to be created. "
            f"expected: {TYPE_IDS[expected]}"
        )
    # https://github.com/cesc1989/apuntes (recorded responses)
    text = f"{association_type[0]}={association_type[1]}"
    return invalid(
        "One or more associations are invalid",
        associationSpec=[text],
        INVALID_ASSOCIATION_TYPE_ID=[f"{text} is not a valid association definition id"],
    )
