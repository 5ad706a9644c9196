"""Reads of records by ID: one record, or many in batches. Status 207 means that some were not found.

https://developers.hubspot.com/docs/api-reference/error-handling
"""

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any, TypeVar

from crm_api.hubspot.call_context import CallContext
from crm_api.hubspot.errors import HubSpotCredentialsError, HubSpotError, HubSpotNotFoundError
from crm_api.hubspot.names import MAX_BATCH_INPUTS, ObjectType, is_path_segment
from crm_api.hubspot.sender import ReadSender
from crm_api.hubspot.wire import BatchReadResult, BatchResponse, CrmRecord, comma_list

T = TypeVar("T")

# IDs that a response omits without an error are read one by one, up to this number per call.
MAX_SINGLE_READS = 10
# https://github.com/HubSpot/hubspot-api-nodejs/issues/6
MERGED_IDS_PROPERTIES = ("hs_merged_object_ids", "hs_calculated_merged_vids", "hs_all_contact_vids")


class RecordReads:
    """Reads of one object type's records by ID. Every method raises `HubSpotError`s."""

    def __init__(self, sender: ReadSender, object_type: ObjectType) -> None:
        self._sender = sender
        self.object_type: ObjectType = object_type

    async def get(
        self,
        record_id: str,
        *,
        properties: Sequence[str] = (),
        id_property: str | None = None,
        associations: Sequence[ObjectType] = (),
        context: CallContext | None = None,
    ) -> CrmRecord:
        """Return one record by its ID or by a unique property. The old ID of a merged record returns the merged one.

        Raises `HubSpotNotFoundError` if there is no such record, or if it is archived.
        """
        operation = f"{self.object_type}.get"
        return await self._sender.request(
            "GET",
            self._record_path(record_id, operation),
            operation=operation,
            params={
                "properties": comma_list(properties),
                "associations": comma_list(associations),
                "idProperty": id_property,
            },
            idempotent=True,
            response=CrmRecord,
            context=context,
        )

    async def batch_read(
        self, ids: Sequence[str], *, properties: Sequence[str] = (), allow_partial: bool = False
    ) -> BatchReadResult:
        """Return records by ID, read 100 per call at the same time. IDs without a record are absent.

        With `allow_partial`, the IDs of a call that fails are in `failed`; without it, the call's error is raised, as
        `HubSpotCredentialsError` always is.
        """
        requested = list(dict.fromkeys(record_id for record_id in ids if record_id))
        results = await run_together(
            self._read_chunk(chunk, list(dict.fromkeys(properties)), allow_partial=allow_partial)
            for chunk in chunks(requested, MAX_BATCH_INPUTS)
        )
        records = {record_id: record for result in results for record_id, record in result.records.items()}
        return BatchReadResult(records, {record_id for result in results for record_id in result.failed})

    def _record_path(self, record_id: str, operation: str) -> str:
        """Return the path of one record. Raises `HubSpotNotFoundError` for an ID that no path can hold."""
        if not is_path_segment(record_id):
            raise HubSpotNotFoundError("no record has such an id", operation=operation)
        return self._sender.paths.crm("objects", self.object_type, record_id)

    async def _read_chunk(
        self, ids: Sequence[str], properties: Sequence[str], *, allow_partial: bool
    ) -> BatchReadResult:
        try:
            response = await self._sender.request(
                "POST",
                self._sender.paths.crm("objects", self.object_type, "batch", "read"),
                operation=f"{self.object_type}.batch_read",
                json={"inputs": [{"id": record_id} for record_id in ids], "properties": properties},
                idempotent=True,
                response=BatchResponse[CrmRecord],
            )
            found = await self._by_requested_id(ids, properties, response)
        except HubSpotCredentialsError:
            raise
        except HubSpotError:
            if not allow_partial:
                raise
            return BatchReadResult({}, set(ids))
        # HubSpot returns records in an order of its own.
        return BatchReadResult(
            {record_id: found[record_id] for record_id in ids if record_id in found}, set()
        )

    async def _by_requested_id(
        self, ids: Sequence[str], properties: Sequence[str], response: BatchResponse[CrmRecord]
    ) -> dict[str, CrmRecord]:
        """Map the requested IDs to records; a record that was not requested is ignored.

        A merged record is returned under another ID than the requested one, and names that one in a property.
        """
        requested = set(ids)
        found = {record.id: record for record in response.results if record.id in requested}
        # One error row can name all missing IDs. https://github.com/HubSpot/hubspot-api-php/issues/619
        missing = {record_id for error in response.errors for record_id in error.context.get("ids", [])}
        unexplained = [record_id for record_id in ids if record_id not in found and record_id not in missing]
        for record in response.results:
            if record.id not in requested:
                found |= dict.fromkeys(_merged_ids(record).intersection(unexplained), record)
        unexplained = [record_id for record_id in unexplained if record_id not in found]
        if unexplained:
            found |= await self._read_singly(unexplained[:MAX_SINGLE_READS], properties)
        return found

    async def _read_singly(self, ids: Sequence[str], properties: Sequence[str]) -> dict[str, CrmRecord]:
        async def read(record_id: str) -> CrmRecord | None:
            try:
                record = await self.get(
                    record_id, properties=tuple(dict.fromkeys((*properties, *MERGED_IDS_PROPERTIES)))
                )
            except HubSpotNotFoundError:
                return None
            return record if record_id in (record.id, *_merged_ids(record)) else None

        records = await run_together(read(record_id) for record_id in ids)
        return {
            record_id: record for record_id, record in zip(ids, records, strict=True) if record is not None
        }


def _merged_ids(record: CrmRecord) -> set[str]:
    lists = (record.get(name) or "" for name in MERGED_IDS_PROPERTIES)
    return {entry.partition(":")[0].strip() for text in lists for entry in text.split(";")} - {""}


async def run_together(parts: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Run reads at the same time. The first failure cancels the others and is raised without an exception group."""
    coroutines = list(parts)
    if len(coroutines) == 1:
        return [await coroutines[0]]
    tasks: list[asyncio.Task[T]] = []
    failure: BaseException | None = None
    try:
        async with asyncio.TaskGroup() as group:
            tasks.extend(group.create_task(coroutine) for coroutine in coroutines)
    except BaseExceptionGroup as failures:
        failure = failures.exceptions[0]
    if failure is not None:
        raise failure
    return [task.result() for task in tasks]


def chunks(items: Sequence[T], size: int) -> list[Sequence[T]]:
    """Split the items into parts of at most `size`."""
    return [items[start : start + size] for start in range(0, len(items), size)]
