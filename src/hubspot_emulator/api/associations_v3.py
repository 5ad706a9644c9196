"""Associations of one record in v3, with the names of association types.

https://developers.hubspot.com/docs/api-reference/crm-associations-v3/guide
"""

from typing import Any

from hubspot_emulator.api.render import RecordRenderer, association_page, render_associations
from hubspot_emulator.rules import writes
from hubspot_emulator.rules.association_checks import check_type
from hubspot_emulator.state.account import Account
from hubspot_emulator.state.labels import type_name
from hubspot_emulator.state.store import AssociationType, Record
from hubspot_emulator.wire.calls import Call
from hubspot_emulator.wire.names import SINGULAR
from hubspot_emulator.wire.replies import Refusal, Reply, invalid, not_found

_MAX_PAGE_SIZE = 500


def read(account: Account, call: Call) -> Reply:
    to_type = call.resolve_type("to")
    size = min(account.switches.association_page_size, _MAX_PAGE_SIZE)
    size = min(call.integer_parameter("limit", default=size, maximum=_MAX_PAGE_SIZE), size)
    record = _live_record(account, call.object_type, call.path_parameters["id"])
    page = association_page(account, call, record, to_type, size, call.parameter("after"))
    return Reply(200, page or {"results": []})


def put(account: Account, call: Call) -> Reply:
    """Associate two records and return the first one with its associations."""
    forward, inverse = _types(account, call)
    record = _live_record(account, call.object_type, call.path_parameters["id"])
    other = _live_record(account, call.resolve_type("to"), call.path_parameters["to_id"])
    keys = (record.object_type, record.id), (other.object_type, other.id)
    writes.link(account, *keys, forward, inverse)
    wire = RecordRenderer(account, record.object_type, None).render(record)
    return Reply(
        200, wire | {"associations": render_associations(account, call, record, [other.object_type])}
    )


def delete(account: Account, call: Call) -> Reply:
    forward, inverse = _types(account, call)
    source, target = call.object_type, call.resolve_type("to")
    one = account.store.get(source, call.path_parameters["id"])
    other = account.store.get(target, call.path_parameters["to_id"])
    if one is not None and other is not None:
        writes.unlink(account, (source, one.id), (target, other.id), forward=forward, inverse=inverse)
    return Reply(204)


def create_rows(
    account: Account, source: str, from_id: str, target: str, to_id: str
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Associate two records for one input of a batch and return result rows, both directions, and error rows."""
    errors = [
        _missing_object(object_type, record_id, side)
        for object_type, record_id, side in ((source, from_id, "FROM"), (target, to_id, "TO"))
        if (record := account.store.get(object_type, record_id)) is None or record.archived
    ]
    if errors:
        return [], errors
    one, other = _live_record(account, source, from_id), _live_record(account, target, to_id)
    forward, inverse = account.labels.default(source, target), account.labels.default(target, source)
    writes.link(account, (source, one.id), (target, other.id), forward, inverse)
    ends = {"id": one.id}, {"id": other.id}
    return [
        {"from": ends[0], "to": ends[1], "type": type_name(source, target)},
        {"from": ends[1], "to": ends[0], "type": type_name(target, source)},
    ], []


def _types(account: Account, call: Call) -> tuple[AssociationType, AssociationType]:
    source, target = call.object_type, call.resolve_type("to")
    text = call.path_parameters["association_type"]
    if text.lower() == type_name(source, target):
        return account.labels.default(source, target), account.labels.default(target, source)
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise invalid(f"{text} is not a valid association type", associationType=[text])
    category = "HUBSPOT_DEFINED" if account.labels.default(source, target)[1] == int(text) else "USER_DEFINED"
    spec = {"associationCategory": category, "associationTypeId": int(text)}
    return check_type(account, source, target, spec)


def _live_record(account: Account, object_type: str, record_id: str) -> Record:
    record = account.store.get(object_type, record_id)
    if record is None or record.archived:
        raise not_found()
    return record


def _missing_object(object_type: str, record_id: str, side: str) -> dict[str, Any]:
    name = SINGULAR[object_type]
    return Refusal(
        404,
        f"No {name} with ID {record_id} exists",
        category="OBJECT_NOT_FOUND",
        sub_category=f"crm.associations.{side}_OBJECT_NOT_FOUND",
        context={"objectType": [name], "id": [record_id]},
    ).as_batch_error()
