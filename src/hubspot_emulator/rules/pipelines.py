"""HubSpot's rules for pipelines and stages: labels, IDs, order, metadata, closed stages and stages in use.

https://developers.hubspot.com/docs/api-reference/crm-pipelines-v3/guide; texts and statuses as recorded by
https://github.com/scopiousdigital/kalup
"""

from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from hubspot_emulator.state.account import Account
from hubspot_emulator.wire.names import PIPELINE_PROPERTIES
from hubspot_emulator.wire.replies import Refusal, invalid, wrong_json

MAX_STAGES = 100

Pipeline = dict[str, Any]
Stage = dict[str, Any]


def check_writable(object_type: str) -> None:
    if object_type not in PIPELINE_PROPERTIES:
        raise invalid("The pipelines of this object type cannot be changed")


def check_order(order: int) -> int:
    if order < 0:
        raise Refusal(400, "Pipeline display order cannot be negative")
    return order


def check_pipeline_label(account: Account, object_type: str, label: str, own_id: str | None) -> str:
    for pipeline in account.schema.pipelines[object_type].values():
        if pipeline["id"] != own_id and pipeline["label"].casefold() == label.casefold():
            raise invalid(f"An active pipeline with label {label} already exists.")
    return label


def check_new_ids(account: Account, object_type: str, pipeline_id: str, stages: Iterable[Stage]) -> None:
    """Check the IDs of a new pipeline. HubSpot has pipeline IDs once per account, stage IDs once per object type."""
    pipelines = account.schema.pipelines
    if pipeline_id in pipelines[object_type]:
        raise invalid(f"There's another pipeline in this portal with pipelineId ({pipeline_id}).")
    if any(pipeline_id in table for table in pipelines.values()):
        raise _stages_exist_elsewhere()
    check_stage_ids(account, object_type, pipeline_id, stages)


def check_stage_ids(account: Account, object_type: str, pipeline_id: str, stages: Iterable[Stage]) -> None:
    ids = [stage["id"] for stage in stages]
    if len(set(ids)) < len(ids) or _other_stage_ids(account, object_type, pipeline_id).intersection(ids):
        raise _stages_exist_elsewhere()


def check_new_stage_id(account: Account, object_type: str, pipeline: Pipeline, stage_id: str) -> None:
    own = {stage["id"] for stage in pipeline["stages"]}
    if stage_id in own | _other_stage_ids(account, object_type, pipeline["id"]):
        message = f"An existing active stage in another pipeline is already using stage id {stage_id}"
        raise Refusal(400, message)


def check_stages(
    object_type: str, pipeline_id: str, stages: list[Stage], *, written: Stage | None = None
) -> list[Stage]:
    """Return the stages of one pipeline, of which a stage call wrote `written`. Raises Refusal (400)."""
    if not stages:
        raise Refusal(400, "Pipeline must have at least one stage")
    if len(stages) > MAX_STAGES:
        raise invalid(f"A pipeline may have {MAX_STAGES} stages")
    labels = [stage["label"].strip().casefold() for stage in stages]
    for stage, label in zip(stages, labels, strict=True):
        if labels.count(label) > 1:
            raise Refusal(
                400,
                f"Stage with label {(written or stage)['label']} already exists",
                category="VALIDATION_ERROR",
                sub_category="PipelineError.STAGE_LABEL_EXISTS" if written else None,
            )
    if object_type == "tickets" and all(stage["metadata"]["isClosed"] == "false" for stage in stages):
        raise Refusal(
            400,
            f"{object_type} pipeline: {pipeline_id} must have at least one closed stage",
            category="VALIDATION_ERROR",
            sub_category="PipelineError.MISSING_CLOSED_STAGE",
        )
    return stages


def check_unused(account: Account, object_type: str, pipeline_id: str, stage_ids: Collection[str]) -> None:
    """Check that no live record is in one of these stages. Raises Refusal (400)."""
    pipeline_name, stage_name = PIPELINE_PROPERTIES[object_type]
    used: dict[str, None] = {}
    record_ids = []
    for record in account.store.live(object_type):
        stage_id = record.properties.get(stage_name, "")
        if stage_id in stage_ids and record.properties.get(pipeline_name) == pipeline_id:
            used[stage_id] = None
            record_ids.append(record.id)
    if used:
        # HubSpot puts each list into one text.
        stages, records = f"[{', '.join(used)}]", f"[{', '.join(record_ids)}]"
        raise Refusal(
            400,
            f"Stage IDs: {stages} are being referenced by object IDs: {records}",
            category="VALIDATION_ERROR",
            sub_category="PipelineError.STAGE_ID_IN_USE",
            context={"stageIds": [stages], "objectIds": [records]},
        )


def stage_metadata(object_type: str, raw: Any, current: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the metadata of a stage as strings, without unknown keys. Raises Refusal (400)."""
    if not isinstance(raw, dict):
        raise wrong_json("value of type `java.util.LinkedHashMap<java.lang.String,java.lang.String>`")
    given = {**(current or {}), **raw}
    if object_type == "tickets":
        state = given.get("ticketState", "OPEN")
        if state not in ("OPEN", "CLOSED"):
            raise Refusal(
                400,
                f"Failed to deserialize metadata for object type {object_type}",
                category="VALIDATION_ERROR",
                sub_category="PipelineError.INVALID_PIPELINE_STAGE_METADATA",
            )
        return {"ticketState": state, "isClosed": str(state == "CLOSED").lower()}
    if given.get("probability") is None:
        raise Refusal(400, "must specify probability when writing a dealstage")
    try:
        probability = Decimal(str(given["probability"]))
    except InvalidOperation:
        probability = Decimal("NaN")
    if not (probability.is_finite() and 0 <= probability <= 1):
        message = "dealstage probability is not valid, must be between 0.0 and 1.0 (inclusive)"
        raise Refusal(400, message)
    # HubSpot stores "1" as "1.0".
    return {"isClosed": str(probability in (0, 1)).lower(), "probability": str(float(probability))}


def _other_stage_ids(account: Account, object_type: str, pipeline_id: str) -> set[str]:
    return {
        stage["id"]
        for pipeline in account.schema.pipelines[object_type].values()
        if pipeline["id"] != pipeline_id
        for stage in pipeline["stages"]
    }


def _stages_exist_elsewhere() -> Refusal:
    # HubSpot sends this for a pipeline ID of another object type, too.
    return Refusal(
        409,
        "There's another pipeline in this portal with one of the same stages",
        category="OBJECT_ALREADY_EXISTS",
        sub_category="PipelineError.STAGE_ID_EXISTS_IN_ANOTHER_PIPELINE",
    )
