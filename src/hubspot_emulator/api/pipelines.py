"""Pipelines and their stages.

https://developers.hubspot.com/docs/api-reference/crm-pipelines-v3/guide
"""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from hubspot_emulator.state.account import Account
from hubspot_emulator.wire.calls import Call, optional_text, require_integer, require_text
from hubspot_emulator.wire.names import PIPELINE_PROPERTIES
from hubspot_emulator.wire.replies import Refusal, Reply, invalid, missing_fields, not_found, wrong_json

MOST_STAGES = 100
_FIRST_CUSTOM_ID = 1_296_453_318


def list_all(account: Account, call: Call) -> Reply:
    return Reply(200, {"results": [each for each in _table(account, call).values() if not each["archived"]]})


def read(account: Account, call: Call) -> Reply:
    return Reply(200, _pipeline(account, call))


def create(account: Account, call: Call) -> Reply:
    body = call.json_object("label", "displayOrder", "stages")
    _check_label(account, call, body, None)
    now = account.now()
    pipeline = {
        "label": require_text(body, "label"),
        "displayOrder": require_integer(body, "displayOrder"),
        "stages": _new_stages(account, call, body["stages"]),
        "createdAt": now,
        "updatedAt": now,
        "archived": False,
        "id": (optional_text(body, "pipelineId") or _next_id(account, MOST_STAGES)),
    }
    if pipeline["id"] in _table(account, call):
        raise Refusal(409, f"Pipeline {pipeline['id']} already exists", category="CONFLICT")
    account.schema.put_pipeline(call.object_type, pipeline)
    return Reply(201, pipeline)


def update(account: Account, call: Call) -> Reply:
    """PATCH: label, order, and `archived: false` to restore."""
    before = _pipeline(account, call, archived=True)
    body = call.json_object()
    _check_label(account, call, body, before["id"])
    changes = _changes(body)
    return _put(account, call, before | changes)


def replace(account: Account, call: Call) -> Reply:
    before = _pipeline(account, call)
    body = call.json_object("label", "displayOrder", "stages")
    _check_label(account, call, body, before["id"])
    stages = _new_stages(account, call, body["stages"])
    kept = {stage["id"] for stage in stages}
    for stage in before["stages"]:
        if stage["id"] not in kept:
            _refuse_if_used(account, call, before["id"], stage["id"])
    return _put(
        account,
        call,
        before
        | {
            "label": require_text(body, "label"),
            "displayOrder": require_integer(body, "displayOrder"),
            "stages": stages,
        },
    )


def delete(account: Account, call: Call) -> Reply:
    pipeline = _pipeline(account, call)
    for stage in pipeline["stages"]:
        _refuse_if_used(account, call, pipeline["id"], stage["id"])
    _put(account, call, pipeline | {"archived": True, "archivedAt": account.now()})
    return Reply(204)


def list_stages(account: Account, call: Call) -> Reply:
    return Reply(
        200, {"results": [each for each in _pipeline(account, call)["stages"] if not each["archived"]]}
    )


def read_stage(account: Account, call: Call) -> Reply:
    return Reply(200, _stage(_pipeline(account, call), call))


def create_stage(account: Account, call: Call) -> Reply:
    pipeline = _pipeline(account, call)
    [stage] = _new_stages(account, call, [call.json_object()])
    stages = _checked_stages([*pipeline["stages"], stage])
    _put(account, call, pipeline | {"stages": stages})
    return Reply(201, stage)


def update_stage(account: Account, call: Call) -> Reply:
    """PATCH and PUT: label, order and metadata; a PUT names them all."""
    pipeline = _pipeline(account, call)
    before = _stage(pipeline, call)
    body = call.json_object(*(("label", "displayOrder", "metadata") if call.method == "PUT" else ()))
    changes = _changes(body)
    if body.get("metadata") is not None:
        changes["metadata"] = _metadata(call.object_type, body["metadata"], before["metadata"])
    stage = before | changes | {"updatedAt": account.now()}
    stages = [stage if each["id"] == stage["id"] else each for each in pipeline["stages"]]
    _put(account, call, pipeline | {"stages": stages})
    return Reply(200, stage)


def delete_stage(account: Account, call: Call) -> Reply:
    pipeline = _pipeline(account, call)
    gone = _stage(pipeline, call)
    _refuse_if_used(account, call, pipeline["id"], gone["id"])
    _put(
        account,
        call,
        pipeline | {"stages": [each for each in pipeline["stages"] if each["id"] != gone["id"]]},
    )
    return Reply(204)


def _table(account: Account, call: Call) -> dict[str, dict[str, Any]]:
    return account.schema.pipelines[call.object_type]


def _pipeline(account: Account, call: Call, *, archived: bool = False) -> dict[str, Any]:
    found = _table(account, call).get(call.path_parameters["pipeline"])
    if found is None or (found["archived"] and not archived):
        if "application/json" not in call.headers.get("accept", "") and "*/*" in call.headers.get(
            "accept", "*/*"
        ):
            # Seen live: HTML unless JSON is asked for by name.
            raise HtmlNotFoundError
        raise not_found(f"Pipeline {call.path_parameters['pipeline']} was not found")
    return found


class HtmlNotFoundError(Exception):
    """A 404 with a page instead of JSON."""


def _stage(pipeline: dict[str, Any], call: Call) -> dict[str, Any]:
    for stage in pipeline["stages"]:
        if stage["id"] == call.path_parameters["stage"] and not stage["archived"]:
            found: dict[str, Any] = stage
            return found
    raise not_found(f"Stage {call.path_parameters['stage']} was not found")


def _put(account: Account, call: Call, pipeline: dict[str, Any]) -> Reply:
    pipeline["updatedAt"] = account.now()
    account.schema.put_pipeline(call.object_type, pipeline)
    return Reply(200, pipeline)


def _new_stages(account: Account, call: Call, raw: Any) -> list[dict[str, Any]]:
    if not isinstance(raw, list) or not all(isinstance(each, dict) for each in raw):
        raise wrong_json("value of type `java.util.ArrayList<PipelineStageInput>`")
    now = account.now()
    stages: list[dict[str, Any]] = []
    for each in raw:
        if missing := [name for name in ("label", "displayOrder", "metadata") if each.get(name) is None]:
            raise missing_fields(missing)
        stages.append(
            {
                "label": require_text(each, "label"),
                "displayOrder": require_integer(each, "displayOrder"),
                "metadata": _metadata(call.object_type, each["metadata"]),
                "createdAt": now,
                "updatedAt": now,
                "archived": False,
                # Digits for stages of one's own.
                "id": (optional_text(each, "stageId") or _next_id(account, len(stages))),
                "writePermissions": "CRM_PERMISSIONS_ENFORCEMENT",
            }
        )
    return _checked_stages(stages)


def _checked_stages(stages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The stages of one pipeline. Raises Refusal for too many, or two with one label or one id."""
    if len(stages) > MOST_STAGES:
        raise invalid(f"A pipeline may have {MOST_STAGES} stages")
    live = [each for each in stages if not each["archived"]]
    for name in ("label", "id"):
        values = [each[name] for each in live]
        if repeated := [each for each in values if values.count(each) > 1]:
            raise Refusal(409, f"A stage with the {name} {repeated[0]} already exists", category="CONFLICT")
    return stages


def _changes(body: dict[str, Any]) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if body.get("label") is not None:
        changes["label"] = require_text(body, "label")
    if body.get("displayOrder") is not None:
        changes["displayOrder"] = require_integer(body, "displayOrder")
    if body.get("archived") is not None:
        if not isinstance(body["archived"], bool):
            raise wrong_json("value of type `boolean`")
        changes["archived"] = body["archived"]
    return changes


def _metadata(object_type: str, raw: Any, before: Mapping[str, str] | None = None) -> dict[str, str]:
    """All values are texts; `isClosed` follows from the probability or the state."""
    if not isinstance(raw, dict):
        raise wrong_json("value of type `java.util.LinkedHashMap<java.lang.String,java.lang.String>`")
    metadata = {**(before or {}), **{name: str(value) for name, value in raw.items()}}
    if object_type == "deals":
        try:
            probability = Decimal(metadata.get("probability", ""))
        except InvalidOperation:
            raise invalid("A deal stage needs a probability between 0.0 and 1.0") from None
        if not (probability.is_finite() and 0 <= probability <= 1):
            raise invalid("A deal stage needs a probability between 0.0 and 1.0")
        # "1" is stored as "1.0".
        text = str(float(probability))
        return metadata | {"probability": text, "isClosed": str(probability in (0, 1)).lower()}
    if object_type == "tickets":
        state = metadata.get("ticketState", "OPEN")
        if state not in ("OPEN", "CLOSED"):
            raise invalid("ticketState is OPEN or CLOSED")
        return metadata | {"ticketState": state, "isClosed": str(state == "CLOSED").lower()}
    return metadata


def _check_label(account: Account, call: Call, body: dict[str, Any], own_id: str | None) -> None:
    for each in _table(account, call).values():
        if each["label"] == body.get("label") and each["id"] != own_id and not each["archived"]:
            raise Refusal(
                409, f"A pipeline with the label {each['label']} already exists", category="CONFLICT"
            )


def _refuse_if_used(account: Account, call: Call, pipeline_id: str, stage_id: str) -> None:
    pipeline_name, stage_name = PIPELINE_PROPERTIES.get(call.object_type, ("", ""))
    used = [
        record.id
        for record in account.store.live(call.object_type)
        if record.properties.get(stage_name) == stage_id
        and record.properties.get(pipeline_name) == pipeline_id
    ]
    if used:
        raise Refusal(
            400,
            f"Stage {stage_id} is used by {len(used)} records",
            category="VALIDATION_ERROR",
            sub_category="PipelineError.STAGE_ID_IN_USE",
            context={"stageId": [stage_id], "objectIds": used[:10]},
        )


def _next_id(account: Account, offset: int = 0) -> str:
    used = [
        int(each["id"])
        for table in account.schema.pipelines.values()
        for pipeline in table.values()
        for each in (pipeline, *pipeline["stages"])
        if each["id"].isascii() and each["id"].isdigit() and len(each["id"]) < 19
    ]
    # Offsets keep the ids of one request apart.
    return str(max(_FIRST_CUSTOM_ID, max(used, default=0) + 1) + 7 * (offset + 1))
