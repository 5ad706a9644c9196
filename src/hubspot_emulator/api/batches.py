"""Batches of records: read, create, update, upsert, archive.

https://developers.hubspot.com/docs/api-reference/crm-contacts-v3/guide#batch
"""

from collections.abc import Mapping, Sequence
from typing import Any

from hubspot_emulator.api.objects import check_association_shape, find
from hubspot_emulator.api.render import Shape, written
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
MOST_INPUTS = 100
MOST_INPUTS_WITH_HISTORY = 50


def read(account: Account, call: Call) -> Reply:
    object_type = call.object_type
    body, inputs = batch_inputs(call, maximum=MOST_INPUTS)
    history = optional_names(body, "propertiesWithHistory")
    if history and len(inputs) > MOST_INPUTS_WITH_HISTORY:
        # https://github.com/activepieces/activepieces/issues/9359
        raise invalid(
            "The maximum number of inputs supported in a batch request for property histories is "
            f"{MOST_INPUTS_WITH_HISTORY}"
        )
    shape = Shape(account, object_type, optional_names(body, "properties"), history)
    archived, id_property = call.flag_parameter("archived"), optional_text(body, "idProperty")
    found: dict[str, Record] = {}
    missing = []
    for each in inputs:
        asked = require_text(each, "id")
        record = find(account, object_type, asked, id_property)
        if record is None or record.archived != archived:
            missing.append(asked)
        else:
            found[record.id] = record
    errors = [_not_found(object_type, missing)] if missing else []
    return batch_reply(account.now(), _shuffled([shape.record(record) for record in found.values()]), errors)


def create(account: Account, call: Call) -> Reply:
    object_type = call.object_type
    _, inputs = batch_inputs(call, maximum=MOST_INPUTS)
    if object_type == "contacts":
        _refuse_duplicates([_email(each) for each in inputs])
    traced = _are_traced(inputs)
    claims = _Claims(account, object_type)
    checked, errors = [], []
    for each in inputs:
        try:
            check_association_shape(each.get("associations"))
            values = writes.check_create(account, object_type, require_properties(each), call.version)
            links = writes.check_links(account, object_type, each.get("associations"))
            claims.add(values)
        except Refusal as refusal:
            if not traced:
                # Nothing is written: https://github.com/HubSpot/hubspot-api-python/issues/51
                raise
            errors.append(refusal.as_batch_error(trace_id=require_text(each, "objectWriteTraceId")))
        else:
            checked.append((each, values, links))
    results = []
    for each, values, links in checked:
        record = writes.create(account, object_type, values, links)
        results.append(_traced(written(account, record), each))
    return batch_reply(account.now(), _shuffled(results), errors, status=201)


def update(account: Account, call: Call) -> Reply:
    object_type = call.object_type
    _, inputs = batch_inputs(call, maximum=MOST_INPUTS)
    _refuse_duplicates([require_text(each, "id") for each in inputs])
    traced = _are_traced(inputs)
    claims = _Claims(account, object_type)
    checked, errors = [], []
    missing: list[Mapping[str, Any]] = []
    for each in inputs:
        id_property = optional_text(each, "idProperty")
        if object_type == "contacts" and id_property == "email":
            # https://github.com/HubSpot/hubspot-api-nodejs/issues/548
            raise invalid("Unable to perform update/upsert by non-unique 0-1 property email")
        record = find(account, object_type, require_text(each, "id"), id_property)
        if record is None or record.archived:
            missing.append(each)
            continue
        try:
            values = writes.check_update(account, record, require_properties(each), call.version)
            claims.add(values)
            checked.append((each, record, values))
        except Refusal as refusal:
            if not traced:
                raise
            errors.append(refusal.as_batch_error(trace_id=require_text(each, "objectWriteTraceId")))
    if missing:
        row = _not_found(object_type, [require_text(each, "id") for each in missing])
        if trace_ids := [
            each["objectWriteTraceId"] for each in missing if optional_text(each, "objectWriteTraceId")
        ]:
            row["context"]["objectWriteTraceId"] = trace_ids
        errors.append(row)
    results = []
    for each, record, values in checked:
        changes = writes.update(account, record, values)
        if optional_text(each, "idProperty") is None and record.id != require_text(each, "id"):
            # Merged away: left out without an error.
            continue
        results.append(_traced(written(account, record, changes), each))
    return batch_reply(account.now(), _shuffled(results), errors)


def upsert(account: Account, call: Call) -> Reply:
    object_type = call.object_type
    _, inputs = batch_inputs(call, maximum=MOST_INPUTS)
    _refuse_duplicates([_key(object_type, each) for each in inputs])
    traced = _are_traced(inputs)
    checked: list[tuple[dict[str, Any], Record | None, dict[str, str]]] = []
    claims = _Claims(account, object_type)
    errors = []
    for each in inputs:
        try:
            record, values = _check_upsert(account, call, object_type, each)
            claims.add(values)
            checked.append((each, record, values))
        except Refusal as refusal:
            if not traced:
                raise
            errors.append(refusal.as_batch_error(trace_id=require_text(each, "objectWriteTraceId")))
    results = []
    for each, record, values in checked:
        is_new = record is None
        if record is None:
            record = writes.create(account, object_type, values, [])
            wire = written(account, record)
        else:
            wire = written(account, record, writes.update(account, record, values))
        results.append(_traced(wire, each) | {"new": is_new})
    return batch_reply(account.now(), _shuffled(results), errors)


def archive(account: Account, call: Call) -> Reply:
    _, inputs = batch_inputs(call, maximum=MOST_INPUTS)
    for record_id in [require_text(each, "id") for each in inputs]:
        writes.archive(account, call.object_type, record_id)
    return Reply(204)


class _Claims:
    """Values that must be unique, as the inputs of one batch claim them."""

    def __init__(self, account: Account, object_type: str) -> None:
        self._account, self._object_type = account, object_type
        self._names = account.schema.unique_properties(object_type)
        if object_type == "contacts":
            self._names.append("email")
        self._claimed: set[tuple[str, str]] = set()

    def add(self, values: Mapping[str, str]) -> None:
        """Raises Refusal (400) for a value that an earlier input has claimed."""
        wanted = [(name, values[name]) for name in self._names if values.get(name)]
        for name, value in wanted:
            if (name, value) in self._claimed:
                raise writes.duplicate_value(self._account, self._object_type, name, value, "another input")
        self._claimed.update(wanted)


def _check_upsert(
    account: Account, call: Call, object_type: str, each: Mapping[str, Any]
) -> tuple[Record | None, dict[str, str]]:
    asked, id_property = require_text(each, "id"), optional_text(each, "idProperty")
    raw = require_properties(each)
    record = find(account, object_type, asked, id_property)
    if record is not None and not record.archived:
        return record, writes.check_update(account, record, raw, call.version)
    if id_property is None:
        raise Refusal(
            404,
            f"{SINGULAR[object_type]} {asked} was not found",
            category="OBJECT_NOT_FOUND",
            context={"ids": [asked]},
        )
    # The id fills the property on create.
    return None, writes.check_create(account, object_type, {id_property: asked, **raw}, call.version)


def _key(object_type: str, each: Mapping[str, Any]) -> str:
    key = require_text(each, "id")
    return (
        normalise_email(key)
        if object_type == "contacts" and optional_text(each, "idProperty") == "email"
        else key
    )


def _email(each: Mapping[str, Any]) -> str:
    email = require_properties(each).get("email")
    return normalise_email(email) if isinstance(email, str) else ""


def _refuse_duplicates(keys: Sequence[str]) -> None:
    # Trace ids do not help: https://github.com/Joystream/youtube-synch/issues/355
    seen: set[str] = set()
    repeated = sorted({key for key in keys if key and (key in seen or seen.add(key))})  # type: ignore[func-returns-value]
    if repeated:
        listed = ", ".join(repeated)
        raise invalid(f"Duplicate IDs found in batch input: [{listed}]. IDs must be unique", ids=repeated)


def _are_traced(inputs: Sequence[Mapping[str, Any]]) -> bool:
    """Whether each input has a trace id of its own, which makes a batch answer row by row.

    https://developers.hubspot.com/docs/api-reference/error-handling#multi-status-errors
    """
    trace_ids = {optional_text(each, "objectWriteTraceId") for each in inputs}
    return None not in trace_ids and len(trace_ids) == len(inputs)


def _traced(wire: dict[str, Any], each: Mapping[str, Any]) -> dict[str, Any]:
    trace_id = optional_text(each, "objectWriteTraceId")
    return wire if trace_id is None else wire | {"objectWriteTraceId": trace_id}


def _shuffled(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Not in the order of the inputs, and the same at each run."""
    return sorted(results, key=lambda wire: str(wire["id"])[::-1])


def _not_found(object_type: str, ids: Sequence[str]) -> dict[str, Any]:
    # One row for all of them: https://github.com/HubSpot/hubspot-api-php/issues/619
    name = SINGULAR[object_type].upper()
    return Refusal(
        404,
        f"Could not get some {name} objects, they may be deleted or not exist. Check that ids are valid.",
        category="OBJECT_NOT_FOUND",
        context={"ids": list(ids)},
    ).as_batch_error()
