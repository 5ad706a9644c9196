"""Batches of records: split, sent at once, and put together by input.

https://developers.hubspot.com/docs/api-reference/error-handling for status 207
"""

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any, TypeVar

from crm_api.hubspot.call_context import RequestScope
from crm_api.hubspot.errors import HubSpotNotFoundError
from crm_api.hubspot.names import MAX_BATCH_INPUTS, ObjectType, is_path_segment
from crm_api.hubspot.sender import Sender
from crm_api.hubspot.wire import (
    BatchAnswer,
    BatchReadResult,
    CrmRecord,
    comma_list,
)

T = TypeVar("T")

# More ids than this that HubSpot silently left out are reported as missing rather than asked for one by one.
MAX_SINGLE_READS = 10
# https://github.com/HubSpot/hubspot-api-nodejs/issues/6
MERGED_IDS_PROPERTIES = ("hs_merged_object_ids", "hs_calculated_merged_vids", "hs_all_contact_vids")


def record_path(sender: Sender, object_type: ObjectType, record_id: str, *, operation: str) -> str:
    """Return the path of one record. Raises `HubSpotNotFoundError` for an ID that no path can hold."""
    if not is_path_segment(record_id):
        raise HubSpotNotFoundError("no record has such an id", operation=operation)
    return sender.paths.record(object_type, record_id)


async def get_record(
    sender: Sender,
    object_type: ObjectType,
    record_id: str,
    *,
    properties: Sequence[str] = (),
    id_property: str | None = None,
    associations: Sequence[ObjectType] = (),
    scope: RequestScope | None = None,
) -> CrmRecord:
    """Return one record by its ID, or by the value of a unique property. Raises `HubSpotNotFoundError`."""
    operation = f"{object_type}.get"
    return await sender.request(
        "GET",
        record_path(sender, object_type, record_id, operation=operation),
        operation=operation,
        params={
            "properties": comma_list(properties),
            "associations": comma_list(associations),
            "idProperty": id_property,
        },
        idempotent=True,
        response=CrmRecord,
        scope=scope,
    )


class RecordBatches:
    """Batch calls of one object type."""

    def __init__(self, sender: Sender, object_type: ObjectType) -> None:
        self._sender = sender
        self._object_type: ObjectType = object_type
        self._path = f"{sender.paths.objects(object_type)}/batch"

    async def read(self, ids: Sequence[str], *, properties: Sequence[str]) -> BatchReadResult:
        """See `ObjectsApi.batch_read`."""
        asked = list(dict.fromkeys(each for each in ids if each))
        if not asked:
            return BatchReadResult({})
        wanted = list(dict.fromkeys(properties))
        answers = await run_together(
            self._read_chunk(chunk, wanted) for chunk in chunks(asked, MAX_BATCH_INPUTS)
        )
        records = [record for answer in answers for record in answer.results]
        refused = {each for answer in answers for each in _ids_of_errors(answer)}
        found = await self._by_id(asked, records, refused)
        # In the order asked for; HubSpot has one of its own.
        return BatchReadResult({each: found[each] for each in asked if each in found})

    async def _read_chunk(self, ids: Sequence[str], properties: Sequence[str]) -> BatchAnswer:
        return await self._sender.request(
            "POST",
            f"{self._path}/read",
            operation=f"{self._object_type}.batch_read",
            json={"inputs": [{"id": each} for each in ids], "properties": list(properties)},
            idempotent=True,
            response=BatchAnswer,
        )

    async def _by_id(
        self, asked: Sequence[str], records: Sequence[CrmRecord], refused: set[str]
    ) -> dict[str, CrmRecord]:
        """Records by the id asked for, which is not theirs where records were merged."""
        wanted = set(asked)
        found = {record.id: record for record in records if record.id in wanted}
        strangers = [record for record in records if record.id not in wanted]
        unexplained = [each for each in asked if each not in found and each not in refused]
        for stranger in strangers:
            merged = _merged_ids(stranger)
            found |= {each: stranger for each in unexplained if each in merged}
        unexplained = [each for each in unexplained if each not in found]
        claimed = {id(record) for record in found.values()}
        unclaimed = [record for record in strangers if id(record) not in claimed]
        if len(unexplained) == 1 and len(unclaimed) == 1:
            found[unexplained[0]] = unclaimed[0]
        elif unexplained:
            found |= await self._read_singly(unexplained[:MAX_SINGLE_READS], records)
        return found

    async def _read_singly(self, ids: Sequence[str], like: Sequence[CrmRecord]) -> dict[str, CrmRecord]:
        properties = tuple(like[0].properties) if like else ()

        async def read(record_id: str) -> CrmRecord | None:
            try:
                return await get_record(self._sender, self._object_type, record_id, properties=properties)
            except HubSpotNotFoundError:
                return None

        answers = await run_together(read(each) for each in ids)
        return {each: record for each, record in zip(ids, answers, strict=True) if record is not None}


def _ids_of_errors(answer: BatchAnswer) -> list[str]:
    """One row stands for all ids that lead to nothing. https://github.com/HubSpot/hubspot-api-php/issues/619"""
    return [each for error in answer.errors for each in error.context.get("ids", [])]


def _merged_ids(record: CrmRecord) -> set[str]:
    lists = (record.get(name) or "" for name in MERGED_IDS_PROPERTIES)
    return {each.partition(":")[0].strip() for text in lists for each in text.split(";")} - {""}


async def run_together(parts: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Run reads at once; the first failure ends the others and is raised as itself."""
    coroutines = list(parts)
    if len(coroutines) == 1:
        return [await coroutines[0]]
    tasks: list[asyncio.Task[T]] = []
    failure: BaseException | None = None
    try:
        async with asyncio.TaskGroup() as group:
            tasks.extend(group.create_task(each) for each in coroutines)
    except BaseExceptionGroup as failures:
        failure = failures.exceptions[0]
    if failure is not None:
        raise failure
    return [task.result() for task in tasks]


def chunks(items: Sequence[T], size: int) -> list[Sequence[T]]:
    """The items in order, at most `size` at a time."""
    return [items[start : start + size] for start in range(0, len(items), size)]
