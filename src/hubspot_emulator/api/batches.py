"""Batches of records: read, create, update, upsert, archive.

https://developers.hubspot.com/docs/api-reference/crm-contacts-v3/guide#batch
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from hubspot_emulator.api.objects import check_association_shape, find_record
from hubspot_emulator.api.render import RecordRenderer, render_written
from hubspot_emulator.rules import writes
from hubspot_emulator.rules.values import normalise_email
from hubspot_emulator.state.account import Account
from hubspot_emulator.state.store import Record
from hubspot_emulator.wire.calls import (
    Call,
    batch_inputs,
    optional_names,
    optional_text,
    require_properties,
    require_text,
)
from hubspot_emulator.wire.names import SINGULAR
from hubspot_emulator.wire.replies import Refusal, Reply, batch_reply, invalid

# https://developers.hubspot.com/docs/api-reference/crm-contacts-v3/guide#limits
MAX_INPUTS = 100
MAX_INPUTS_WITH_HISTORY = 50


def read(account: Account, call: Call) -> Reply:
    object_type = call.object_type
    body, inputs = batch_inputs(call, maximum=MAX_INPUTS)
    history = optional_names(body, "propertiesWithHistory")
    if history and len(inputs) > MAX_INPUTS_WITH_HISTORY:
        # https://github.com/activepieces/activepieces/issues/9359
        raise invalid(
            "The maximum number of inputs supported in a batch request for property histories is "
            f"{MAX_INPUTS_WITH_HISTORY}"
        )
    renderer = RecordRenderer(account, object_type, optional_names(body, "properties"), history)
    archived, id_property = call.flag_parameter("archived"), optional_text(body, "idProperty")
    records: dict[str, Record] = {}
    missing = []
    for item in inputs:
        record_id = require_text(item, "id")
        record = find_record(account, object_type, record_id, id_property)
        if record is None or record.archived != archived:
            missing.append(record_id)
        else:
            records[record.id] = record
    errors = [_not_found(object_type, missing)] if missing else []
    return batch_reply(
        account.now(), _in_other_order([renderer.render(record) for record in records.values()]), errors
    )


def create(account: Account, call: Call) -> Reply:
    object_type = call.object_type
    _, inputs = batch_inputs(call, maximum=MAX_INPUTS)
    if object_type == "contacts":
        _check_no_duplicates([_email(item) for item in inputs])
    traced = _have_trace_ids(inputs)
    unique_values = _UniqueValues(account, object_type)
    checked, errors = [], []
    for item in inputs:
        try:
            check_association_shape(item.get("associations"))
            values = writes.check_create(account, object_type, require_properties(item), call.version)
            links = writes.check_links(account, object_type, item.get("associations"))
            unique_values.add(values)
        except Refusal as refusal:
            if not traced:
                # HubSpot then writes no record of the batch: https://github.com/HubSpot/hubspot-api-python/issues/51
                raise
            errors.append(refusal.as_batch_error(trace_id=require_text(item, "objectWriteTraceId")))
        else:
            checked.append((item, values, links))
    results = []
    for item, values, links in checked:
        record = writes.create(account, object_type, values, links)
        results.append(_with_trace_id(render_written(account, record), item))
    return batch_reply(account.now(), _in_other_order(results), errors, status=201)


def update(account: Account, call: Call) -> Reply:
    object_type = call.object_type
    _, inputs = batch_inputs(call, maximum=MAX_INPUTS)
    _check_no_duplicates([require_text(item, "id") for item in inputs])
    traced = _have_trace_ids(inputs)
    unique_values = _UniqueValues(account, object_type)
    checked, errors = [], []
    missing: list[Mapping[str, Any]] = []
    for item in inputs:
        id_property = optional_text(item, "idProperty")
        if object_type == "contacts" and id_property == "email":
            # https://github.com/HubSpot/hubspot-api-nodejs/issues/548
            raise invalid("Unable to perform update/upsert by non-unique 0-1 property email")
        record = find_record(account, object_type, require_text(item, "id"), id_property)
        if record is None or record.archived:
            missing.append(item)
            continue
        try:
            values = writes.check_update(account, record, require_properties(item), call.version)
            unique_values.add(values)
            checked.append((item, record, values))
        except Refusal as refusal:
            if not traced:
                raise
            errors.append(refusal.as_batch_error(trace_id=require_text(item, "objectWriteTraceId")))
    if missing:
        row = _not_found(object_type, [require_text(item, "id") for item in missing])
        if trace_ids := [
            item["objectWriteTraceId"] for item in missing if optional_text(item, "objectWriteTraceId")
        ]:
            row["context"]["objectWriteTraceId"] = trace_ids
        errors.append(row)
    results = []
    for item, record, values in checked:
        changes = writes.update(account, record, values)
        if optional_text(item, "idProperty") is None and record.id != require_text(item, "id"):
            # HubSpot omits a record that was merged into another, without an error.
            continue
        results.append(_with_trace_id(render_written(account, record, changes), item))
    return batch_reply(account.now(), _in_other_order(results), errors)


def upsert(account: Account, call: Call) -> Reply:
    object_type = call.object_type
    _, inputs = batch_inputs(call, maximum=MAX_INPUTS)
    _check_no_duplicates([_key(object_type, item) for item in inputs])
    traced = _have_trace_ids(inputs)
    checked: list[tuple[dict[str, Any], Record | None, dict[str, str]]] = []
    unique_values = _UniqueValues(account, object_type)
    errors = []
    for item in inputs:
        try:
            record, values = _check_upsert(account, call, object_type, item)
            unique_values.add(values)
            checked.append((item, record, values))
        except Refusal as refusal:
            if not traced:
                raise
            errors.append(refusal.as_batch_error(trace_id=require_text(item, "objectWriteTraceId")))
    results = []
    for item, record, values in checked:
        is_new = record is None
        if record is None:
            record = writes.create(account, object_type, values, [])
            wire = render_written(account, record)
        else:
            wire = render_written(account, record, writes.update(account, record, values))
        results.append(_with_trace_id(wire, item) | {"new": is_new})
    return batch_reply(account.now(), _in_other_order(results), errors)


def archive(account: Account, call: Call) -> Reply:
    _, inputs = batch_inputs(call, maximum=MAX_INPUTS)
    for record_id in [require_text(item, "id") for item in inputs]:
        writes.archive(account, call.object_type, record_id)
    return Reply(204)


class _UniqueValues:
    """Unique values in one batch, to refuse inputs that set the same value."""

    def __init__(self, account: Account, object_type: str) -> None:
        self._account, self._object_type = account, object_type
        self._names = account.schema.unique_properties(object_type)
        if object_type == "contacts":
            self._names.append("email")
        self._seen: set[tuple[str, str]] = set()

    def add(self, values: Mapping[str, str]) -> None:
        """Add the values of one input. Raises Refusal (400) if an earlier input set one of them."""
        given = [(name, values[name]) for name in self._names if values.get(name)]
        for name, value in given:
            if (name, value) in self._seen:
                raise writes.duplicate_value(self._account, self._object_type, name, value, "another input")
        self._seen.update(given)


def _check_upsert(
    account: Account, call: Call, object_type: str, item: Mapping[str, Any]
) -> tuple[Record | None, dict[str, str]]:
    key, id_property = require_text(item, "id"), optional_text(item, "idProperty")
    raw = require_properties(item)
    record = find_record(account, object_type, key, id_property)
    if record is not None and not record.archived:
        return record, writes.check_update(account, record, raw, call.version)
    if id_property is None:
        raise Refusal(
            404,
            f"{SINGULAR[object_type]} {key} was not found",
            category="OBJECT_NOT_FOUND",
            context={"ids": [key]},
        )
    # HubSpot sets the ID property of a new record.
    return None, writes.check_create(account, object_type, {id_property: key, **raw}, call.version)


def _key(object_type: str, item: Mapping[str, Any]) -> str:
    key = require_text(item, "id")
    is_email = object_type == "contacts" and optional_text(item, "idProperty") == "email"
    return normalise_email(key) if is_email else key


def _email(item: Mapping[str, Any]) -> str:
    email = require_properties(item).get("email")
    return normalise_email(email) if isinstance(email, str) else ""


def _check_no_duplicates(keys: Sequence[str]) -> None:
    # HubSpot refuses duplicates even with trace IDs: https://github.com/Joystream/youtube-synch/issues/355
    duplicates = sorted(key for key, count in Counter(keys).items() if key and count > 1)
    if duplicates:
        listed = ", ".join(duplicates)
        raise invalid(f"Duplicate IDs found in batch input: [{listed}]. IDs must be unique", ids=duplicates)


def _have_trace_ids(inputs: Sequence[Mapping[str, Any]]) -> bool:
    """Return True if each input has its own trace ID, which makes HubSpot report errors per input.

    https://developers.hubspot.com/docs/api-reference/error-handling#multi-status-errors
    """
    trace_ids = {optional_text(item, "objectWriteTraceId") for item in inputs}
    return None not in trace_ids and len(trace_ids) == len(inputs)


def _with_trace_id(wire: dict[str, Any], item: Mapping[str, Any]) -> dict[str, Any]:
    trace_id = optional_text(item, "objectWriteTraceId")
    return wire if trace_id is None else wire | {"objectWriteTraceId": trace_id}


def _in_other_order(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the results sorted by their reversed IDs, independent of the order of the inputs."""
    return sorted(results, key=lambda wire: str(wire["id"])[::-1])


def _not_found(object_type: str, ids: Sequence[str]) -> dict[str, Any]:
    # HubSpot reports all missing IDs in one row: https://github.com/HubSpot/hubspot-api-php/issues/619
    name = SINGULAR[object_type].upper()
    return Refusal(
        404,
        f"Could not get some {name} objects, they may be deleted or not exist. Check that ids are valid.",
        category="OBJECT_NOT_FOUND",
        context={"ids": list(ids)},
    ).as_batch_error()
