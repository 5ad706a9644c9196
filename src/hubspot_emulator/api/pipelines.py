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

MAX_STAGES = 100
_FIRST_CUSTOM_ID = 1_296_453_318
_STAGE_MEMBERS = ("label", "displayOrder", "metadata")


def list_all(account: Account, call: Call) -> Reply:
    pipelines = _table(account, call).values()
    return Reply(200, {"results": [pipeline for pipeline in pipelines if not pipeline["archived"]]})


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
        "id": optional_text(body, "pipelineId") or _next_id(account, MAX_STAGES),
    }
    if pipeline["id"] in _table(account, call):
        raise Refusal(409, f"Pipeline {pipeline['id']} already exists", category="CONFLICT")
    account.schema.put_pipeline(call.object_type, pipeline)
    return Reply(201, pipeline)


def update(account: Account, call: Call) -> Reply:
    current = _pipeline(account, call, archived=True)
    body = call.json_object()
    _check_label(account, call, body, current["id"])
    changes = _changes(body)
    return _put(account, call, current | changes)


def replace(account: Account, call: Call) -> Reply:
    current = _pipeline(account, call)
    body = call.json_object("label", "displayOrder", "stages")
    _check_label(account, call, body, current["id"])
    stages = _new_stages(account, call, body["stages"])
    kept_ids = {stage["id"] for stage in stages}
    for stage in current["stages"]:
        if stage["id"] not in kept_ids:
            _refuse_if_used(account, call, current["id"], stage["id"])
    return _put(
        account,
        call,
        current
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
        200, {"results": [stage for stage in _pipeline(account, call)["stages"] if not stage["archived"]]}
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
    """Serve PATCH and PUT of a stage. A PUT requires label, order and metadata."""
    pipeline = _pipeline(account, call)
    current = _stage(pipeline, call)
    required = _STAGE_MEMBERS if call.method == "PUT" else ()
    body = call.json_object(*required)
    changes = _changes(body)
    if body.get("metadata") is not None:
        changes["metadata"] = _metadata(call.object_type, body["metadata"], current["metadata"])
    stage = current | changes | {"updatedAt": account.now()}
    stages = [stage if other["id"] == stage["id"] else other for other in pipeline["stages"]]
    _put(account, call, pipeline | {"stages": stages})
    return Reply(200, stage)


def delete_stage(account: Account, call: Call) -> Reply:
    pipeline = _pipeline(account, call)
    stage = _stage(pipeline, call)
    _refuse_if_used(account, call, pipeline["id"], stage["id"])
    _put(
        account,
        call,
        pipeline | {"stages": [other for other in pipeline["stages"] if other["id"] != stage["id"]]},
    )
    return Reply(204)


def _table(account: Account, call: Call) -> dict[str, dict[str, Any]]:
    return account.schema.pipelines[call.object_type]


def _pipeline(account: Account, call: Call, *, archived: bool = False) -> dict[str, Any]:
    pipeline = _table(account, call).get(call.path_parameters["pipeline"])
    if pipeline is None or (pipeline["archived"] and not archived):
        accept = call.headers.get("accept", "*/*")
        if "application/json" not in accept and "*/*" in accept:
            # HubSpot was seen to send HTML unless the Accept header names JSON.
            raise HtmlNotFoundError
        raise not_found(f"Pipeline {call.path_parameters['pipeline']} was not found")
    return pipeline


class HtmlNotFoundError(Exception):
    """404 with an HTML page instead of JSON."""


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
    if not isinstance(raw, list) or not all(isinstance(item, dict) for item in raw):
        raise wrong_json("value of type `java.util.ArrayList<PipelineStageInput>`")
    now = account.now()
    stages: list[dict[str, Any]] = []
    for item in raw:
        if missing := [name for name in _STAGE_MEMBERS if item.get(name) is None]:
            raise missing_fields(missing)
        stages.append(
            {
                "label": require_text(item, "label"),
                "displayOrder": require_integer(item, "displayOrder"),
                "metadata": _metadata(call.object_type, item["metadata"]),
                "createdAt": now,
                "updatedAt": now,
                "archived": False,
                # HubSpot assigns numeric IDs to custom stages.
                "id": optional_text(item, "stageId") or _next_id(account, len(stages)),
                "writePermissions": "CRM_PERMISSIONS_ENFORCEMENT",
            }
        )
    return _checked_stages(stages)


def _checked_stages(stages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the stages of one pipeline. Raises Refusal for too many stages, or duplicate labels or IDs."""
    if len(stages) > MAX_STAGES:
        raise invalid(f"A pipeline may have {MAX_STAGES} stages")
    live = [stage for stage in stages if not stage["archived"]]
    for name in ("label", "id"):
        values = [stage[name] for stage in live]
        if duplicates := [value for value in values if values.count(value) > 1]:
            raise Refusal(409, f"A stage with the {name} {duplicates[0]} already exists", category="CONFLICT")
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


def _metadata(object_type: str, raw: Any, current: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the metadata of a stage as strings, with `isClosed` derived. Raises Refusal (400) if it is not valid."""
    if not isinstance(raw, dict):
        raise wrong_json("value of type `java.util.LinkedHashMap<java.lang.String,java.lang.String>`")
    metadata = {**(current or {}), **{name: str(value) for name, value in raw.items()}}
    if object_type == "deals":
        try:
            probability = Decimal(metadata.get("probability", ""))
        except InvalidOperation:
            raise invalid("A deal stage needs a probability between 0.0 and 1.0") from None
        if not (probability.is_finite() and 0 <= probability <= 1):
            raise invalid("A deal stage needs a probability between 0.0 and 1.0")
        # HubSpot stores "1" as "1.0".
        text = str(float(probability))
        return metadata | {"probability": text, "isClosed": str(probability in (0, 1)).lower()}
    if object_type == "tickets":
        state = metadata.get("ticketState", "OPEN")
        if state not in ("OPEN", "CLOSED"):
            raise invalid("ticketState is OPEN or CLOSED")
        return metadata | {"ticketState": state, "isClosed": str(state == "CLOSED").lower()}
    return metadata


def _check_label(account: Account, call: Call, body: dict[str, Any], own_id: str | None) -> None:
    for pipeline in _table(account, call).values():
        if pipeline["label"] == body.get("label") and pipeline["id"] != own_id and not pipeline["archived"]:
            raise Refusal(
                409, f"A pipeline with the label {pipeline['label']} already exists", category="CONFLICT"
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
        int(item["id"])
        for table in account.schema.pipelines.values()
        for pipeline in table.values()
        for item in (pipeline, *pipeline["stages"])
        if item["id"].isascii() and item["id"].isdigit() and len(item["id"]) < 19
    ]
    # The offset distinguishes several new IDs of one request.
    return str(max(_FIRST_CUSTOM_ID, max(used, default=0) + 1) + 7 * (offset + 1))
