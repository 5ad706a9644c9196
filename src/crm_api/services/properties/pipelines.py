"""Pipelines and stages as the account has them now."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from crm_api.errors import ApiError, invalid
from crm_api.hubspot import HubSpotClient
from crm_api.hubspot import Pipeline as HubSpotPipeline
from crm_api.hubspot.names import ObjectType
from crm_api.schemas.pipelines import Pipeline, Pipelines, Stage

MAX_AGE_SECONDS = 300.0
# An unknown stage forces a fresh read; a burst of them shares one.
FRESH_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class CustomerStages:
    """What customers may use of the pipelines: the operator's `{object type: {pipeline: [stages]}}`.

    A type without an entry is unrestricted; a pipeline that its type's entry leaves out is not there for customers,
    and a deal or ticket can be put into the listed stages only. An empty list means all stages.
    """

    allowed: Mapping[str, Mapping[str, Sequence[str]]]
    _published: dict[ObjectType, tuple[Sequence[HubSpotPipeline], list[Pipeline]]] = field(
        default_factory=dict, repr=False, compare=False
    )

    def is_visible(self, object_type: ObjectType, pipeline_id: str) -> bool:
        """Whether customers see the pipeline."""
        entry = self.allowed.get(object_type)
        return not entry or pipeline_id in entry

    def visible(self, object_type: ObjectType, pipelines: Sequence[HubSpotPipeline]) -> list[HubSpotPipeline]:
        """Those of the pipelines that customers see."""
        return [each for each in pipelines if self.is_visible(object_type, each.id)]

    def may_set(self, object_type: ObjectType, pipeline_id: str, stage_id: str) -> bool:
        """Whether customers may put something into the stage."""
        stages = self.allowed.get(object_type, {}).get(pipeline_id)
        return self.is_visible(object_type, pipeline_id) and (not stages or stage_id in stages)

    def publish(self, object_type: ObjectType, pipelines: Sequence[HubSpotPipeline]) -> list[Pipeline]:
        """What customers see of the pipelines, in the contract's words; made once for each time they were read."""
        read, published = self._published.get(object_type, ((), []))
        if read is not pipelines:
            visible = self.visible(object_type, pipelines)
            published = [_from_wire(object_type, each, self) for each in visible]
            self._published[object_type] = (pipelines, published)
        return published


# Staff may use all.
UNRESTRICTED = CustomerStages({})


async def list_pipelines(hubspot: HubSpotClient, stages: CustomerStages = UNRESTRICTED) -> Pipelines:
    """The deal and ticket pipelines with their stages, in display order."""
    deals, tickets = await hubspot.pipelines.list_many(("deals", "tickets"), max_age_seconds=MAX_AGE_SECONDS)
    return Pipelines(deals=stages.publish("deals", deals), tickets=stages.publish("tickets", tickets))


async def choose_stage(
    hubspot: HubSpotClient,
    object_type: ObjectType,
    *,
    pipeline: str | None,
    stage: str,
    stage_field: str,
    stages: CustomerStages,
) -> str:
    """The id of the pipeline that the stage is in; the caller's first where none is named.

    Raises a 400 that names `pipeline` or the stage's field when the account, read afresh, has no such thing, or
    the caller may not use it.
    """
    write_error: ApiError | None = None
    for max_age_seconds in (MAX_AGE_SECONDS, FRESH_SECONDS):
        known = await visible_pipelines(hubspot, object_type, stages, max_age_seconds=max_age_seconds)
        chosen = next((each for each in known if pipeline is None or each.id == pipeline), None)
        if chosen is None:
            write_error = invalid(
                "pipeline", "is not a pipeline of this account; GET /api/pipelines lists them"
            )
        elif all(each.id != stage for each in chosen.stages):
            write_error = invalid(
                stage_field, "is not a stage of this pipeline; GET /api/pipelines lists them"
            )
        elif not stages.may_set(object_type, chosen.id, stage):
            raise invalid(stage_field, "is a stage that only the company's own people set")
        else:
            return chosen.id
    assert write_error is not None  # the loop ran
    raise write_error


async def visible_pipelines(
    hubspot: HubSpotClient,
    object_type: ObjectType,
    stages: CustomerStages,
    *,
    max_age_seconds: float = MAX_AGE_SECONDS,
) -> list[HubSpotPipeline]:
    """The pipelines that the caller sees, in display order."""
    known = await hubspot.pipelines.list(object_type, max_age_seconds=max_age_seconds)
    return stages.visible(object_type, known)


def _from_wire(object_type: ObjectType, pipeline: HubSpotPipeline, stages: CustomerStages) -> Pipeline:
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
                may_set=stages.may_set(object_type, pipeline.id, stage.id),
            )
            for stage in pipeline.stages
        ],
    )
