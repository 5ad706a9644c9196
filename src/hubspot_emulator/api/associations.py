"""Associations between records, single and in batches, and their labels.

https://developers.hubspot.com/docs/api-reference/crm-associations-v4/guide
"""

import base64
from collections.abc import Mapping
from typing import Any

from hubspot_emulator.api import associations_v3
from hubspot_emulator.rules import writes
from hubspot_emulator.rules.association_checks import check_ends, check_type
from hubspot_emulator.state.account import Account
from hubspot_emulator.state.labels import type_name
from hubspot_emulator.state.store import AssociationTypes, Record
from hubspot_emulator.wire.calls import Call, batch_inputs, optional_text, require_integer, require_text
from hubspot_emulator.wire.names import SINGULAR, TYPE_IDS
from hubspot_emulator.wire.replies import (
    Refusal,
    Reply,
    batch_reply,
    invalid,
    missing_fields,
    not_found,
    wrong_json,
)

MAX_READ_INPUTS, MAX_WRITE_INPUTS = 1_000, 2_000
MAX_LABELS = 50
_MAX_PAGE_SIZE = 500
# v3 has pages of 100: https://github.com/HubSpot/hubspot-api-python/issues/187
_MAX_V3_PAGE_SIZE = 100


def read(account: Account, call: Call) -> Reply:
    source, target = call.object_type, call.resolve_type("to")
    size = min(account.switches.association_page_size, _MAX_PAGE_SIZE)
    size = min(call.integer_parameter("limit", default=size, maximum=_MAX_PAGE_SIZE), size)
    record = _live_record(account, source, call.path_parameters["id"])
    page, after = _page(account, source, record.id, target, call.parameter("after"), size)
    body: dict[str, Any] = {"results": [_render(account, call, source, target, *link) for link in page]}
    if after is not None:
        body["paging"] = call.next_page(after, _page_path(call, source, record.id, target))
    return Reply(200, body)


def batch_read(account: Account, call: Call) -> Reply:
    source, target = call.resolve_type("from"), call.resolve_type("to")
    _, inputs = batch_inputs(call, maximum=MAX_READ_INPUTS)
    is_v3 = call.version.text == "v3"
    size = min(account.switches.association_page_size, _MAX_V3_PAGE_SIZE if is_v3 else _MAX_PAGE_SIZE)
    results, errors = [], []
    for from_id, item in {require_text(item, "id"): item for item in inputs}.items():
        if not (from_id.isascii() and from_id.isdigit()):
            errors.append(_invalid_identifier(source, from_id))
            continue
        page, after = _page(account, source, from_id, target, item.get("after"), size)
        if not page:
            errors.append(_no_associations(source, from_id, target))
            continue
        if is_v3:
            name = type_name(source, target)
            to: list[dict[str, Any]] = [{"id": to_id, "type": name} for to_id, _ in page]
        else:
            to = [_render(account, call, source, target, *link) for link in page]
        result: dict[str, Any] = {"from": {"id": from_id}, "to": to}
        if after is not None:
            result["paging"] = call.next_page(after, _page_path(call, source, from_id, target))
        results.append(result)
    results.sort(key=lambda result: str(result["from"]["id"])[::-1])
    return batch_reply(account.now(), results, errors)


def put_default(account: Account, call: Call) -> Reply:
    source, target = call.object_type, call.resolve_type("to")
    row = _associate_default(
        account, source, call.path_parameters["id"], target, call.path_parameters["to_id"]
    )
    return batch_reply(account.now(), [row, _inverse(account, source, target, row)])


def batch_default(account: Account, call: Call) -> Reply:
    source, target = call.resolve_type("from"), call.resolve_type("to")
    _, inputs = batch_inputs(call, maximum=MAX_WRITE_INPUTS)
    pairs = [(_end_id(item, "from"), _end_id(item, "to")) for item in inputs]
    for from_id, to_id in pairs:
        _live_record(account, source, from_id)
        _live_record(account, target, to_id)
    rows = [_associate_default(account, source, from_id, target, to_id) for from_id, to_id in pairs]
    return batch_reply(account.now(), rows)


def put(account: Account, call: Call) -> Reply:
    source, target = call.object_type, call.resolve_type("to")
    body = call.json()
    if not isinstance(body, list) or not body:
        raise wrong_json("value of type `java.util.ArrayList<AssociationSpec>`")
    return Reply(
        201,
        _associate(account, source, call.path_parameters["id"], target, call.path_parameters["to_id"], body),
    )


def delete(account: Account, call: Call) -> Reply:
    source, target = call.object_type, call.resolve_type("to")
    _unlink(account, source, call.path_parameters["id"], target, call.path_parameters["to_id"])
    return Reply(204)


def batch_create(account: Account, call: Call) -> Reply:
    source, target = call.resolve_type("from"), call.resolve_type("to")
    _, inputs = batch_inputs(call, maximum=MAX_WRITE_INPUTS)
    results, errors = [], []
    for item in inputs:
        from_id, to_id = _end_id(item, "from"), _end_id(item, "to")
        types = item.get("types")
        if call.version.text == "v3":
            rows, problems = associations_v3.create_rows(account, source, from_id, target, to_id)
            results += rows
            errors += problems
            continue
        if not isinstance(types, list):
            raise missing_fields(["types"])
        try:
            results.append(_associate(account, source, from_id, target, to_id, types))
        except Refusal as refusal:
            errors.append(refusal.as_batch_error())
    return batch_reply(account.now(), results, errors, status=201)


def batch_archive(account: Account, call: Call) -> Reply:
    source, target = call.resolve_type("from"), call.resolve_type("to")
    _, inputs = batch_inputs(call, maximum=MAX_WRITE_INPUTS)
    for item in inputs:
        raw = item.get("to")
        ends = [raw] if isinstance(raw, dict) else raw
        if not isinstance(ends, list):
            raise missing_fields(["to"])
        for end in ends:
            if not isinstance(end, dict):
                raise wrong_json("value of type `PublicObjectId`")
            _unlink(account, source, _end_id(item, "from"), target, require_text(end, "id"))
    return _archive_reply(account, call)


def batch_labels_archive(account: Account, call: Call) -> Reply:
    source, target = call.resolve_type("from"), call.resolve_type("to")
    _, inputs = batch_inputs(call, maximum=MAX_WRITE_INPUTS)
    for item in inputs:
        types = item.get("types")
        if not isinstance(types, list):
            raise missing_fields(["types"])
        for spec in types:
            forward, inverse = check_type(account, source, target, spec)
            ends = (source, _end_id(item, "from")), (target, _end_id(item, "to"))
            writes.unlink(account, *ends, forward=forward, inverse=inverse)
    return _archive_reply(account, call)


def labels(account: Account, call: Call) -> Reply:
    return Reply(200, {"results": account.labels.all(call.resolve_type("from"), call.resolve_type("to"))})


def create_label(account: Account, call: Call) -> Reply:
    source, target = call.resolve_type("from"), call.resolve_type("to")
    body = call.json_object("label", "name")
    if account.labels.count(source, target) >= MAX_LABELS:
        # HubSpot was seen to send this undocumented status.
        raise Refusal(437, "The limit of association labels has been reached", category="VALIDATION_ERROR")
    name, inverse_label = require_text(body, "name"), optional_text(body, "inverseLabel")
    if account.labels.has_name(name):
        raise invalid(f"An association type named {name} already exists", name=[name])
    created = account.labels.create(source, target, name, require_text(body, "label"), inverse_label)
    return Reply(200, {"results": created})


def update_label(account: Account, call: Call) -> Reply:
    body = call.json_object("label", "associationTypeId")
    is_known = account.labels.rename(
        call.resolve_type("from"),
        call.resolve_type("to"),
        require_integer(body, "associationTypeId"),
        require_text(body, "label"),
        optional_text(body, "inverseLabel"),
    )
    if not is_known:
        raise not_found("association type not found")
    return Reply(204)


def delete_label(account: Account, call: Call) -> Reply:
    number = call.path_parameters["type_id"]
    if number.isascii() and number.isdigit() and len(number) < 10:
        account.labels.delete(call.resolve_type("from"), call.resolve_type("to"), int(number))
    return Reply(204)


def _page(
    account: Account, source: str, from_id: str, target: str, after: Any, size: int
) -> tuple[list[tuple[str, AssociationTypes]], str | None]:
    links = list(account.store.links(source, from_id, target).items())
    start = _decode_cursor(after)
    page = links[start : start + size]
    return page, _encode_cursor(start + size) if start + size < len(links) else None


def _encode_cursor(position: int) -> str:
    # HubSpot's cursors are opaque, so clients must not find a number in them.
    return base64.urlsafe_b64encode(f"{position}\n".encode()).decode()


def _decode_cursor(after: Any) -> int:
    if after is None or after == "":
        return 0
    try:
        position = int(base64.urlsafe_b64decode(str(after)).decode())
    except ValueError:
        position = -1
    if position < 0:
        raise invalid(f"Invalid paging cursor: {after}")
    return position


def _render(
    account: Account, call: Call, source: str, target: str, to_id: str, types: AssociationTypes
) -> dict[str, Any]:
    return {
        # v4 has a number, dated versions have a string.
        "toObjectId": int(to_id) if call.version.text == "v4" else to_id,
        "associationTypes": [
            account.labels.describe(source, target, association_type) for association_type in types
        ],
    }


def _page_path(call: Call, source: str, from_id: str, target: str) -> str:
    version = "v3" if call.version.text == "v3" else "v4"
    return f"/crm/{version}/objects/{source}/{from_id}/associations/{target}"


def _invalid_identifier(source: str, from_id: str) -> dict[str, Any]:
    # The category and the subcategory were recorded, the text was not.
    return Refusal(
        400,
        f"Invalid {SINGULAR[source]} ID: {from_id}",
        category="VALIDATION_ERROR",
        sub_category="crm.associations.INVALID_IDENTIFIER",
        context={"id": [from_id]},
    ).as_batch_error()


def _no_associations(source: str, from_id: str, target: str) -> dict[str, Any]:
    # HubSpot reports a record without associations as an error: https://github.com/HubSpot/hubspot-api-php/issues/619
    return Refusal(
        404,
        f"No {SINGULAR[target]} is associated with {SINGULAR[source]} {from_id}.",
        category="OBJECT_NOT_FOUND",
        sub_category="crm.associations.NO_ASSOCIATIONS_FOUND",
        context={
            "fromObjectId": [from_id],
            "fromObjectType": [SINGULAR[source]],
            "toObjectType": [SINGULAR[target]],
        },
    ).as_batch_error()


def _associate_default(
    account: Account, source: str, from_id: str, target: str, to_id: str
) -> dict[str, Any]:
    one, other = _live_record(account, source, from_id), _live_record(account, target, to_id)
    forward, inverse = (account.labels.default(source, target), account.labels.default(target, source))
    writes.link(account, (source, one.id), (target, other.id), forward, inverse)
    return {
        "from": {"id": one.id},
        "to": {"id": other.id},
        "associationSpec": {"associationCategory": forward[0], "associationTypeId": forward[1]},
    }


def _inverse(account: Account, source: str, target: str, row: Mapping[str, Any]) -> dict[str, Any]:
    category, number = account.labels.default(target, source)
    spec = {"associationCategory": category, "associationTypeId": number}
    return {"from": row["to"], "to": row["from"], "associationSpec": spec}


def _associate(
    account: Account, source: str, from_id: str, target: str, to_id: str, types: list[Any]
) -> dict[str, Any]:
    types_both_ways = [check_type(account, source, target, spec) for spec in types]
    one_id, other_id = check_ends(account, (source, from_id), (target, to_id))
    for forward, inverse in types_both_ways:
        writes.link(account, (source, one_id), (target, other_id), forward, inverse)
    names = [account.labels.label(source, target, forward) for forward, _ in types_both_ways]
    return {
        "fromObjectTypeId": TYPE_IDS[source],
        "fromObjectId": one_id,
        "toObjectTypeId": TYPE_IDS[target],
        "toObjectId": other_id,
        "labels": [name for name in names if name is not None],
    }


def _unlink(account: Account, source: str, from_id: str, target: str, to_id: str) -> None:
    one, other = account.store.get(source, from_id), account.store.get(target, to_id)
    if one is not None and other is not None:
        writes.unlink(account, (source, one.id), (target, other.id))


def _archive_reply(account: Account, call: Call) -> Reply:
    # Dated versions return 200 according to the OpenAPI document, older versions 204.
    return batch_reply(account.now(), []) if call.version.is_dated else Reply(204)


def _live_record(account: Account, object_type: str, record_id: str) -> Record:
    record = account.store.get(object_type, record_id)
    if record is None or record.archived:
        raise Refusal(
            404,
            f"{SINGULAR[object_type]} {record_id} was not found",
            category="OBJECT_NOT_FOUND",
            context={"ids": [record_id]},
        )
    return record


def _end_id(item: Mapping[str, Any], name: str) -> str:
    end = item.get(name)
    if not isinstance(end, dict):
        raise missing_fields([name])
    return require_text(end, "id")
