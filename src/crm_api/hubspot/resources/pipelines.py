"""Pipelines and their stages.

https://developers.hubspot.com/docs/api-reference/crm-pipelines-v3/guide
"""

import asyncio
from collections.abc import Sequence

from crm_api.hubspot.names import ObjectType
from crm_api.hubspot.resources.caching import SingleFlightCache, read_shared
from crm_api.hubspot.sender import Sender
from crm_api.hubspot.wire import Pipeline, Pipelines


class PipelinesApi:
    """Cached pipelines of the HubSpot account."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self._cache: SingleFlightCache[ObjectType, tuple[Pipeline, ...]] = SingleFlightCache(
            clock=sender.clock
        )

    async def list(self, object_type: ObjectType, *, max_age_seconds: float = 300.0) -> tuple[Pipeline, ...]:
        """Return pipelines and stages in display order, without archived ones, at most `max_age_seconds` old.

        Concurrent callers share one read. Callers get the same tuple while it is cached; 0 forces a new read.
        Raises a `HubSpotError` if the read fails; errors are not cached.
        """
        operation = "pipelines.list"
        return await read_shared(
            self._sender,
            self._cache,
            object_type,
            lambda: self._read(object_type, operation),
            operation=operation,
            max_age_seconds=max_age_seconds,
        )

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

    async def aclose(self) -> None:
        """Cancel a running read."""
        await self._cache.aclose()

    async def _read(self, object_type: ObjectType, operation: str) -> tuple[Pipeline, ...]:
        response = await self._sender.request(
            "GET",
            self._sender.paths.pipelines(object_type),
            operation=operation,
            idempotent=True,
            response=Pipelines,
        )
        # HubSpot sorts neither pipelines nor stages.
        in_order = sorted(response.results, key=lambda pipeline: pipeline.display_order)
        return tuple(_without_archived(pipeline) for pipeline in in_order if not pipeline.archived)


def _without_archived(pipeline: Pipeline) -> Pipeline:
    stages = [stage for stage in pipeline.stages if not stage.archived]
    return pipeline.model_copy(update={"stages": sorted(stages, key=lambda stage: stage.display_order)})
