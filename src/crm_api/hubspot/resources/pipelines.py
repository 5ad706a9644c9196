"""Pipelines and their stages. https://developers.hubspot.com/docs/api-reference/crm-pipelines-v3/guide"""

import asyncio
from collections.abc import Sequence

from crm_api.hubspot.names import ObjectType
from crm_api.hubspot.resources.caching import SingleFlightCache, read_shared
from crm_api.hubspot.sender import Sender
from crm_api.hubspot.wire import Pipeline, Pipelines


class PipelinesApi:
    """The pipelines of the account, kept for a while."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self._cache: SingleFlightCache[ObjectType, tuple[Pipeline, ...]] = SingleFlightCache(
            clock=sender.clock
        )

    async def list(self, object_type: ObjectType, *, max_age_seconds: float = 300.0) -> tuple[Pipeline, ...]:
        """Pipelines and stages in display order, without archived ones, at most `max_age_seconds` old.

        Concurrent callers share one read, and are given the same tuple as long as it is kept; 0 forces a fresh one.
        Raises `HubSpotError`s, which are not kept.
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
        """The same of several types, read side by side where HubSpot has to be asked."""
        kept = [self._cache.kept(each, max_age_seconds=max_age_seconds) for each in object_types]
        found = [each for each in kept if each is not None]
        if len(found) == len(object_types):
            # A task for each would cost more than all that is done with what is kept.
            return found
        return await asyncio.gather(
            *(self.list(each, max_age_seconds=max_age_seconds) for each in object_types)
        )

    async def aclose(self) -> None:
        """Cancel a read under way."""
        await self._cache.aclose()

    async def _read(self, object_type: ObjectType, operation: str) -> tuple[Pipeline, ...]:
        answer = await self._sender.request(
            "GET",
            self._sender.paths.pipelines(object_type),
            operation=operation,
            idempotent=True,
            response=Pipelines,
        )
        # Neither comes sorted.
        in_order = sorted(answer.results, key=lambda pipeline: pipeline.display_order)
        return tuple(_without_archived(pipeline) for pipeline in in_order if not pipeline.archived)


def _without_archived(pipeline: Pipeline) -> Pipeline:
    stages = [stage for stage in pipeline.stages if not stage.archived]
    return pipeline.model_copy(update={"stages": sorted(stages, key=lambda stage: stage.display_order)})
