"""Pipelines and their stages.

https://developers.hubspot.com/docs/api-reference/crm-pipelines-v3/guide
"""

import asyncio
from collections.abc import Sequence

from crm_api.hubspot.names import ObjectType
from crm_api.hubspot.resources.caching import SharedReads
from crm_api.hubspot.sender import Sender
from crm_api.hubspot.wire import FullList, Pipeline


class PipelinesApi(SharedReads[tuple[Pipeline, ...]]):
    """Cached pipelines and stages of the HubSpot account, in display order and without archived ones."""

    def __init__(self, sender: Sender) -> None:
        super().__init__(sender, operation="pipelines.list")

    async def list_many(
        self, object_types: Sequence[ObjectType], *, max_age_seconds: float = 300.0
    ) -> Sequence[tuple[Pipeline, ...]]:
        """Return the pipelines of several object types, read at the same time if they are not cached."""
        cached = [self._cache.get_cached(name, max_age_seconds=max_age_seconds) for name in object_types]
        found = [pipelines for pipelines in cached if pipelines is not None]
        if len(found) == len(object_types):
            # Creating tasks would take longer than the rest of a request with cached pipelines.
            return found
        return await asyncio.gather(
            *(self.list(name, max_age_seconds=max_age_seconds) for name in object_types)
        )

    async def _read(self, object_type: ObjectType) -> tuple[Pipeline, ...]:
        """Read the pipelines without the cache."""
        response = await self._sender.request(
            "GET",
            self._sender.paths.crm("pipelines", object_type),
            operation=self._operation,
            idempotent=True,
            response=FullList[Pipeline],
        )
        # HubSpot sorts neither pipelines nor stages.
        in_order = sorted(response.results, key=lambda pipeline: pipeline.display_order)
        return tuple(_without_archived(pipeline) for pipeline in in_order if not pipeline.archived)


def _without_archived(pipeline: Pipeline) -> Pipeline:
    stages = [stage for stage in pipeline.stages if not stage.archived]
    return pipeline.model_copy(update={"stages": sorted(stages, key=lambda stage: stage.display_order)})
