"""Pipelines and stages as the account has them now."""

import asyncio
from collections.abc import Sequence

from crm_api.errors import ApiError, invalid
from crm_api.hubspot import HubSpotClient
from crm_api.hubspot import Pipeline as HubSpotPipeline
from crm_api.hubspot.names import ObjectType
from crm_api.schemas.pipelines import Pipeline, Pipelines, Stage

MAX_AGE_SECONDS = 300.0
# An unknown stage forces a fresh read; a burst of them shares one.
FRESH_SECONDS = 1.0


async def list_pipelines(hubspot: HubSpotClient) -> Pipelines:
    """The deal and ticket pipelines with their stages, in display order."""
    deals, tickets = await asyncio.gather(
        hubspot.pipelines.list("deals", max_age_seconds=MAX_AGE_SECONDS),
        hubspot.pipelines.list("tickets", max_age_seconds=MAX_AGE_SECONDS),
    )
    return Pipelines(
        deals=[_from_wire(each) for each in deals], tickets=[_from_wire(each) for each in tickets]
    )


async def choose_stage(
    hubspot: HubSpotClient, object_type: ObjectType, *, pipeline: str | None, stage: str, stage_field: str
) -> str:
    """The id of the pipeline that the stage is in; the account's first where none is named.

    Raises a 400 that names `pipeline` or the stage's field when the account, read afresh, has no such thing.
    """
    known = await hubspot.pipelines.list(object_type, max_age_seconds=MAX_AGE_SECONDS)
    refusal = _refusal(known, pipeline, stage, stage_field)
    if refusal is not None:
        known = await hubspot.pipelines.list(object_type, max_age_seconds=FRESH_SECONDS)
        refusal = _refusal(known, pipeline, stage, stage_field)
    if refusal is not None:
        raise refusal
    return pipeline or known[0].id


def _refusal(
    known: Sequence[HubSpotPipeline], pipeline: str | None, stage: str, stage_field: str
) -> ApiError | None:
    chosen = next((each for each in known if pipeline is None or each.id == pipeline), None)
    if chosen is None:
        return invalid("pipeline", "is not a pipeline of this account; GET /api/pipelines lists them")
    if all(each.id != stage for each in chosen.stages):
        return invalid(stage_field, "is not a stage of this pipeline; GET /api/pipelines lists them")
    return None


def _from_wire(pipeline: HubSpotPipeline) -> Pipeline:
    return Pipeline(
        id=pipeline.id,
        label=pipeline.label,
        display_order=pipeline.display_order,
        stages=[
            Stage(
                id=stage.id, label=stage.label, display_order=stage.display_order, is_closed=stage.is_closed
            )
            for stage in pipeline.stages
        ],
    )
