"""Pipelines and stages of the HubSpot account, and which of them customers may use."""

import logging
from collections.abc import Collection, Mapping, Sequence

from crm_api.errors import ApiError, invalid
from crm_api.hubspot import HubSpotClient
from crm_api.hubspot import Pipeline as HubSpotPipeline
from crm_api.hubspot.names import ObjectType
from crm_api.schemas.pipelines import Pipeline, Pipelines, Stage
from crm_api.services.properties.fields import STAGE_FIELDS

logger = logging.getLogger(__name__)
MAX_LISTED_IDS = 10
MAX_AGE_SECONDS = 300.0
# An unknown stage causes a new read, unless the cached pipelines are younger than this.
MIN_REFRESH_SECONDS = 1.0


class CustomerStages:
    """Pipelines and stages that customers may use, by object type: `{"deals": {pipeline: [stages]}}`.

    An object type without an entry is unrestricted. In an entry, an omitted pipeline is hidden from customers: it does
    not exist for them, nor do the records in it (`RecordContext.sees`). They may put records into the listed stages
    only; an empty list allows all stages.
    """

    def __init__(self, allowed: Mapping[str, Mapping[str, Sequence[str]]]) -> None:
        self._allowed = allowed
        self._converted: dict[ObjectType, tuple[Sequence[HubSpotPipeline], list[Pipeline]]] = {}
        self._checked: dict[ObjectType, tuple[Sequence[HubSpotPipeline], list[str]]] = {}

    def is_restricted(self, object_type: ObjectType) -> bool:
        """Return whether pipelines of this type may be hidden from customers."""
        return bool(self._allowed.get(object_type))

    def is_visible(self, object_type: ObjectType, pipeline_id: str) -> bool:
        """Return whether customers see the pipeline."""
        entry = self._allowed.get(object_type)
        return not entry or pipeline_id in entry

    def unknown_ids(self, object_type: ObjectType, pipelines: Sequence[HubSpotPipeline]) -> list[str]:
        """Return one line for each pipeline and stage of the setting that the HubSpot account does not have."""
        by_id = {pipeline.id: pipeline for pipeline in pipelines}
        problems = []
        for pipeline_id, stage_ids in self._allowed.get(object_type, {}).items():
            pipeline = by_id.get(pipeline_id)
            if pipeline is None:
                problems.append(_unknown(object_type, f"pipeline {pipeline_id}", by_id))
                continue
            stages = [stage.id for stage in pipeline.stages]
            problems += [
                _unknown(object_type, f"stage {stage_id} of pipeline {pipeline_id}", stages)
                for stage_id in stage_ids
                if stage_id not in stages
            ]
        return problems

    def visible(self, object_type: ObjectType, pipelines: Sequence[HubSpotPipeline]) -> list[HubSpotPipeline]:
        """Return the pipelines that customers see. Logs IDs that the HubSpot account has lost since the last call."""
        self._log_lost_ids(object_type, pipelines)
        return [pipeline for pipeline in pipelines if self.is_visible(object_type, pipeline.id)]

    def may_set(self, object_type: ObjectType, pipeline_id: str, stage_id: str) -> bool:
        """Return whether customers may put a record into the stage."""
        stages = self._allowed.get(object_type, {}).get(pipeline_id)
        return self.is_visible(object_type, pipeline_id) and (not stages or stage_id in stages)

    def convert(self, object_type: ObjectType, pipelines: Sequence[HubSpotPipeline]) -> list[Pipeline]:
        """Return the visible pipelines in the contract's format, cached as long as `pipelines` is the same object."""
        source, converted = self._converted.get(object_type, ((), []))
        if source is not pipelines:
            converted = [
                self._convert(object_type, pipeline) for pipeline in self.visible(object_type, pipelines)
            ]
            self._converted[object_type] = (pipelines, converted)
        return converted

    def _log_lost_ids(self, object_type: ObjectType, pipelines: Sequence[HubSpotPipeline]) -> None:
        if not self.is_restricted(object_type):
            return
        source, reported = self._checked.get(object_type, (None, None))
        if source is not pipelines:
            problems = self.unknown_ids(object_type, pipelines)
            self._checked[object_type] = (pipelines, problems)
            # The check at start has logged the first ones.
            for problem in problems:
                if reported is not None and problem not in reported:
                    logger.error("setting: %s", problem)

    def _convert(self, object_type: ObjectType, pipeline: HubSpotPipeline) -> Pipeline:
        return Pipeline(
            id=pipeline.id,
            label=pipeline.label,
            display_order=pipeline.display_order,
            stages=[
                Stage(
                    id=stage.id,
                    label=stage.label,
                    display_order=stage.display_order,
                    is_closed=stage.is_closed,
                    may_set=self.may_set(object_type, pipeline.id, stage.id),
                )
                for stage in pipeline.stages
            ],
        )


def _unknown(object_type: ObjectType, subject: str, present: Collection[str]) -> str:
    listed = ", ".join(list(present)[:MAX_LISTED_IDS]) or "none"
    return f"CUSTOMER_STAGES: the HubSpot account has no {object_type} {subject}; it has {listed}"


# For staff.
UNRESTRICTED = CustomerStages({})


async def list_pipelines(hubspot: HubSpotClient, stages: CustomerStages = UNRESTRICTED) -> Pipelines:
    """Return the visible deal and ticket pipelines with their stages, in display order."""
    deals, tickets = await hubspot.pipelines.list_many(("deals", "tickets"), max_age_seconds=MAX_AGE_SECONDS)
    return Pipelines(deals=stages.convert("deals", deals), tickets=stages.convert("tickets", tickets))


async def choose_stage(
    hubspot: HubSpotClient,
    object_type: ObjectType,
    stages: CustomerStages,
    *,
    pipeline: str | None,
    stage: str | None,
) -> tuple[str, str]:
    """Return the IDs of the pipeline and stage to use: the given ones.

    The default pipeline is the first visible one, the default stage its first open one in display order that the caller
    may set. Raises a 400 on the field of the pipeline or the stage if the HubSpot account, read again, lacks it,
    or if the caller may not use it.
    """
    stage_field = STAGE_FIELDS[object_type]
    problem: ApiError | None = None
    for max_age_seconds in (MAX_AGE_SECONDS, MIN_REFRESH_SECONDS):
        visible = await visible_pipelines(hubspot, object_type, stages, max_age_seconds=max_age_seconds)
        chosen = next((item for item in visible if pipeline in (None, item.id)), None)
        if chosen is None:
            problem = invalid("pipeline", "is not a pipeline of this account; GET /api/pipelines lists them")
        elif stage is None:
            default = _default_stage(object_type, stages, chosen)
            if default is not None:
                return chosen.id, default
            problem = invalid(stage_field, "is required: this pipeline has no open stage that you may set")
        elif all(item.id != stage for item in chosen.stages):
            problem = invalid(stage_field, "is not a stage of this pipeline; GET /api/pipelines lists them")
        elif not stages.may_set(object_type, chosen.id, stage):
            raise invalid(stage_field, "is a stage that only staff may set")
        else:
            return chosen.id, stage
    assert problem is not None  # the loop ran
    raise problem


def _default_stage(object_type: ObjectType, stages: CustomerStages, pipeline: HubSpotPipeline) -> str | None:
    settable = (stage for stage in pipeline.stages if stages.may_set(object_type, pipeline.id, stage.id))
    return next((stage.id for stage in settable if not stage.is_closed), None)


async def visible_pipelines(
    hubspot: HubSpotClient,
    object_type: ObjectType,
    stages: CustomerStages,
    *,
    max_age_seconds: float = MAX_AGE_SECONDS,
) -> list[HubSpotPipeline]:
    """Return the pipelines that the caller sees, in display order."""
    pipelines = await hubspot.pipelines.list(object_type, max_age_seconds=max_age_seconds)
    return stages.visible(object_type, pipelines)
