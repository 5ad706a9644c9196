"""Pipelines and their stages.

https://developers.hubspot.com/docs/api-reference/crm-pipelines-v3/guide
"""

from typing import Any

from hubspot_emulator.rules import pipelines as rules
from hubspot_emulator.rules.pipelines import Pipeline, Stage
from hubspot_emulator.state.account import Account
from hubspot_emulator.wire.calls import Call, optional_text, require_integer, require_text
from hubspot_emulator.wire.replies import Reply, missing_fields, not_found, wrong_json

_FIRST_CUSTOM_ID = 1_296_453_318
_STAGE_MEMBERS = ("label", "displayOrder", "metadata")


def list_all(account: Account, call: Call) -> Reply:
    return Reply(200, {"results": list(account.schema.pipelines[call.object_type].values())})


def read(account: Account, call: Call) -> Reply:
    return Reply(200, _pipeline(account, call))


def create(account: Account, call: Call) -> Reply:
    object_type = call.object_type
    rules.check_writable(object_type)
    body = call.json_object("label", "displayOrder")
    now = account.now()
    pipeline_id = optional_text(body, "pipelineId") or _next_id(account, rules.MAX_STAGES)
    order = rules.check_order(require_integer(body, "displayOrder"))
    stages = _new_stages(account, call, body.get("stages") or [])
    rules.check_new_ids(account, object_type, pipeline_id, stages)
    pipeline = {
        "label": rules.check_pipeline_label(account, object_type, require_text(body, "label"), None),
        "displayOrder": order,
        "stages": rules.check_stages(object_type, pipeline_id, stages),
        "createdAt": now,
        "updatedAt": now,
        "archived": False,
        "id": pipeline_id,
    }
    account.schema.put_pipeline(object_type, pipeline)
    return Reply(201, pipeline)


def update(account: Account, call: Call) -> Reply:
    current = _writable_pipeline(account, call)
    changes = _changes(call.json_object())
    if "label" in changes:
        rules.check_pipeline_label(account, call.object_type, changes["label"], current["id"])
    return _put(account, call, current | changes)


def replace(account: Account, call: Call) -> Reply:
    current = _writable_pipeline(account, call)
    changes = _changes(call.json_object("label", "displayOrder"))
    object_type, pipeline_id = call.object_type, current["id"]
    rules.check_pipeline_label(account, object_type, changes["label"], pipeline_id)
    stages = _new_stages(account, call, call.json_object().get("stages") or [])
    rules.check_stage_ids(account, object_type, pipeline_id, stages)
    rules.check_stages(object_type, pipeline_id, stages)
    removed = {stage["id"] for stage in current["stages"]} - {stage["id"] for stage in stages}
    rules.check_unused(account, object_type, pipeline_id, removed)
    return _put(account, call, current | changes | {"stages": stages})


def delete(account: Account, call: Call) -> Reply:
    pipeline = _writable_pipeline(account, call)
    stage_ids = [stage["id"] for stage in pipeline["stages"]]
    rules.check_unused(account, call.object_type, pipeline["id"], stage_ids)
    account.schema.delete_pipeline(call.object_type, pipeline["id"])
    return Reply(204)


def list_stages(account: Account, call: Call) -> Reply:
    return Reply(200, {"results": _pipeline(account, call)["stages"]})


def read_stage(account: Account, call: Call) -> Reply:
    return Reply(200, _stage(_pipeline(account, call), call))


def create_stage(account: Account, call: Call) -> Reply:
    pipeline = _writable_pipeline(account, call)
    [stage] = _new_stages(account, call, [call.json_object()])
    rules.check_new_stage_id(account, call.object_type, pipeline, stage["id"])
    _put_stages(account, call, pipeline, [*pipeline["stages"], stage], written=stage)
    return Reply(201, stage)


def update_stage(account: Account, call: Call) -> Reply:
    """Serve PATCH and PUT of a stage. A PUT requires label, order and metadata."""
    pipeline = _writable_pipeline(account, call)
    current = _stage(pipeline, call)
    required = _STAGE_MEMBERS if call.method == "PUT" else ()
    body = call.json_object(*required)
    changes = _changes(body)
    if body.get("metadata") is not None:
        changes["metadata"] = rules.stage_metadata(call.object_type, body["metadata"], current["metadata"])
    stage = current | changes | {"updatedAt": account.now()}
    stages = [stage if other["id"] == stage["id"] else other for other in pipeline["stages"]]
    _put_stages(account, call, pipeline, stages, written=stage)
    return Reply(200, stage)


def delete_stage(account: Account, call: Call) -> Reply:
    rules.check_writable(call.object_type)
    pipeline = account.schema.pipelines[call.object_type].get(call.path_parameters["pipeline"], {})
    stage_id = call.path_parameters["stage"]
    stages = [stage for stage in pipeline.get("stages", ()) if stage["id"] != stage_id]
    # HubSpot returns 204 for an unknown stage, and for a stage of an unknown pipeline.
    if pipeline and len(stages) < len(pipeline["stages"]):
        rules.check_stages(call.object_type, pipeline["id"], stages)
        rules.check_unused(account, call.object_type, pipeline["id"], [stage_id])
        _put(account, call, pipeline | {"stages": stages})
    return Reply(204)


def _pipeline(account: Account, call: Call) -> Pipeline:
    pipeline = account.schema.pipelines[call.object_type].get(call.path_parameters["pipeline"])
    if pipeline is None:
        accept = call.headers.get("accept", "*/*")
        if "application/json" not in accept and "*/*" in accept:
            # HubSpot was seen to send HTML unless the Accept header names JSON.
            raise HtmlNotFoundError
        raise not_found(f"Pipeline {call.path_parameters['pipeline']} was not found")
    return pipeline


def _writable_pipeline(account: Account, call: Call) -> Pipeline:
    rules.check_writable(call.object_type)
    return _pipeline(account, call)


class HtmlNotFoundError(Exception):
    """404 with an HTML page instead of JSON."""


def _stage(pipeline: Pipeline, call: Call) -> Stage:
    for stage in pipeline["stages"]:
        if stage["id"] == call.path_parameters["stage"]:
            found: Stage = stage
            return found
    raise not_found(f"Stage {call.path_parameters['stage']} was not found")


def _put(account: Account, call: Call, pipeline: Pipeline) -> Reply:
    pipeline["updatedAt"] = account.now()
    account.schema.put_pipeline(call.object_type, pipeline)
    return Reply(200, pipeline)


def _put_stages(
    account: Account, call: Call, pipeline: Pipeline, stages: list[Stage], *, written: Stage
) -> None:
    rules.check_stages(call.object_type, pipeline["id"], stages, written=written)
    _put(account, call, pipeline | {"stages": stages})


def _new_stages(account: Account, call: Call, raw: Any) -> list[Stage]:
    if not isinstance(raw, list) or not all(isinstance(item, dict) for item in raw):
        raise wrong_json("value of type `java.util.ArrayList<PipelineStageInput>`")
    now = account.now()
    stages: list[Stage] = []
    for item in raw:
        if missing := [name for name in _STAGE_MEMBERS if item.get(name) is None]:
            raise missing_fields(missing)
        stages.append(
            {
                "label": require_text(item, "label"),
                "displayOrder": rules.check_order(require_integer(item, "displayOrder")),
                "metadata": rules.stage_metadata(call.object_type, item["metadata"]),
                "createdAt": now,
                "updatedAt": now,
                "archived": False,
                # HubSpot assigns numeric IDs to custom stages.
                "id": optional_text(item, "stageId") or _next_id(account, len(stages)),
                "writePermissions": "CRM_PERMISSIONS_ENFORCEMENT",
            }
        )
    return stages


def _changes(body: dict[str, Any]) -> dict[str, Any]:
    """Return label and order. `archived` has no effect: HubSpot cannot restore what was deleted."""
    changes: dict[str, Any] = {}
    if body.get("label") is not None:
        changes["label"] = require_text(body, "label")
    if body.get("displayOrder") is not None:
        changes["displayOrder"] = rules.check_order(require_integer(body, "displayOrder"))
    if not isinstance(body.get("archived", False), bool):
        raise wrong_json("value of type `boolean`")
    return changes


def _next_id(account: Account, offset: int = 0) -> str:
    used = [
        int(item["id"])
        for table in account.schema.pipelines.values()
        for pipeline in table.values()
        for item in (pipeline, *pipeline["stages"])
        if item["id"].isascii() and item["id"].isdigit() and len(item["id"]) < 19
    ]
    # The offset distinguishes several new IDs of one request.
    return str(max(_FIRST_CUSTOM_ID, max(used, default=0) + 1) + 7 * (offset + 1))
