"""Batches of records: split, sent at once, and put together by input.

https://developers.hubspot.com/docs/api-reference/error-handling for 207 and `objectWriteTraceId`
"""

import asyncio
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeVar

from crm_api.hubspot.call_context import RequestScope
from crm_api.hubspot.errors import HubSpotError, HubSpotNotFoundError
from crm_api.hubspot.names import MAX_BATCH_INPUTS, ObjectType, is_path_segment
from crm_api.hubspot.sender import Sender
from crm_api.hubspot.wire import (
    BATCH,
    RECORD,
    BatchAnswer,
    BatchItemFailure,
    BatchReadResult,
    BatchWriteResult,
    CrmRecord,
    NewAssociation,
    comma_list,
)

T = TypeVar("T")

# More ids than this that HubSpot silently left out are reported as missing rather than asked for one by one.
MAX_SINGLE_READS = 10
# https://github.com/HubSpot/hubspot-api-nodejs/issues/6
MERGED_IDS_PROPERTIES = ("hs_merged_object_ids", "hs_calculated_merged_vids", "hs_all_contact_vids")


class BatchInput(NamedTuple):
    """One record to be written: by id (update), by unique property (upsert), or new (create)."""

    properties: Mapping[str, str]
    id: str | None = None
    id_property: str | None = None
    associations: Sequence[NewAssociation] = ()


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
    answer: CrmRecord = await sender.request(
        "GET",
        record_path(sender, object_type, record_id, operation=operation),
        operation=operation,
        params={
            "properties": comma_list(properties),
            "associations": comma_list(associations),
            "idProperty": id_property,
        },
        idempotent=True,
        answer=RECORD,
        scope=scope,
    )
    return answer


class RecordBatches:
    """Batch calls of one object type."""

    def __init__(self, sender: Sender, object_type: ObjectType) -> None:
        self._sender = sender
        self._object_type: ObjectType = object_type
        self._path = f"{sender.paths.objects(object_type)}/batch"

    async def read(
        self, ids: Sequence[str], *, properties: Sequence[str], id_property: str | None
    ) -> BatchReadResult:
        """See `ObjectsApi.batch_read`."""
        asked = list(dict.fromkeys(each for each in ids if each))
        if not asked:
            return BatchReadResult({}, [])
        wanted = list(dict.fromkeys(properties))
        if id_property is not None and id_property not in wanted:
            wanted.append(id_property)
        answers = await run_together(
            self._read_chunk(chunk, wanted, id_property) for chunk in chunks(asked, MAX_BATCH_INPUTS)
        )
        records = [record for answer in answers for record in answer.results]
        if id_property is not None:
            found = _by_property(asked, records, id_property)
        else:
            refused = {each for answer in answers for each in _ids_of_errors(answer)}
            found = await self._by_id(asked, records, refused)
        # In the order asked for; HubSpot has one of its own.
        ordered = {each: found[each] for each in asked if each in found}
        return BatchReadResult(ordered, [each for each in asked if each not in found])

    async def _read_chunk(
        self, ids: Sequence[str], properties: Sequence[str], id_property: str | None
    ) -> BatchAnswer:
        body: dict[str, Any] = {"inputs": [{"id": each} for each in ids], "properties": list(properties)}
        if id_property is not None:
            body["idProperty"] = id_property
        answer: BatchAnswer = await self._sender.request(
            "POST",
            f"{self._path}/read",
            operation=f"{self._object_type}.batch_read",
            json=body,
            idempotent=True,
            answer=BATCH,
        )
        return answer

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

    async def write(
        self, verb: Literal["create", "update", "upsert"], inputs: Sequence[BatchInput], *, idempotent: bool
    ) -> BatchWriteResult:
        """See `ObjectsApi.batch_create`, `batch_update`, `batch_upsert`.

        An input for a record that an earlier one is for is merged into it: HubSpot refuses a whole batch that
        names one twice. Raises only where every call failed.
        """
        merged, positions = _without_duplicates(inputs)
        if not merged:
            return BatchWriteResult({}, [])
        parts = chunks(list(enumerate(merged)), MAX_BATCH_INPUTS)
        outcomes = await asyncio.gather(
            *(self._write_chunk(verb, part, idempotent=idempotent) for part in parts), return_exceptions=True
        )
        failures = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        foreign = next((each for each in failures if not isinstance(each, HubSpotError)), None)
        if foreign is not None or len(failures) == len(parts):
            raise foreign or failures[0]
        records: dict[int, CrmRecord] = {}
        errors: list[BatchItemFailure] = []
        for part, outcome in zip(parts, outcomes, strict=True):
            written: dict[int, CrmRecord] = {}
            if isinstance(outcome, HubSpotError):
                name = outcome.category or type(outcome).__name__
                failed = {index: (name, outcome.sent) for index, _ in part}
            elif isinstance(outcome, BaseException):
                raise outcome
            else:
                written, failed = _by_position(part, outcome)
            records |= {position: written[index] for index in written for position in positions[index]}
            errors.extend(
                BatchItemFailure(position, *failed[index])
                for index in failed
                for position in positions[index]
            )
        return BatchWriteResult(records, sorted(errors, key=lambda each: each.index))

    async def _write_chunk(
        self, verb: str, part: Sequence[tuple[int, BatchInput]], *, idempotent: bool
    ) -> BatchAnswer:
        answer: BatchAnswer = await self._sender.request(
            "POST",
            f"{self._path}/{verb}",
            operation=f"{self._object_type}.batch_{verb}",
            json={"inputs": [self._to_wire(index, each) for index, each in part]},
            idempotent=idempotent,
            answer=BATCH,
        )
        return answer

    def _to_wire(self, index: int, each: BatchInput) -> dict[str, Any]:
        # With a trace id of its own per input, one bad input does not refuse the whole batch.
        wire: dict[str, Any] = {"properties": dict(each.properties), "objectWriteTraceId": str(index)}
        if each.id is not None:
            wire["id"] = each.id
        if each.id_property is not None:
            wire["idProperty"] = each.id_property
        if each.associations:
            wire["associations"] = [link.to_wire(self._object_type) for link in each.associations]
        return wire

    async def archive(self, ids: Sequence[str]) -> None:
        """See `ObjectsApi.batch_archive`."""
        asked = list(dict.fromkeys(ids))
        await run_together(
            self._sender.request(
                "POST",
                f"{self._path}/archive",
                operation=f"{self._object_type}.batch_archive",
                json={"inputs": [{"id": each} for each in chunk]},
                idempotent=True,
            )
            for chunk in chunks(asked, MAX_BATCH_INPUTS)
        )


def _by_property(
    asked: Sequence[str], records: Sequence[CrmRecord], id_property: str
) -> dict[str, CrmRecord]:
    """HubSpot lower-cases addresses. https://github.com/bruin-data/ingestr/pull/1179"""
    by_value = {(record.get(id_property) or "").casefold(): record for record in records}
    return {each: by_value[each.casefold()] for each in asked if each.casefold() in by_value}


def _ids_of_errors(answer: BatchAnswer) -> list[str]:
    """One row stands for all ids that lead to nothing. https://github.com/HubSpot/hubspot-api-php/issues/619"""
    return [each for error in answer.errors for each in error.context.get("ids", [])]


def _merged_ids(record: CrmRecord) -> set[str]:
    lists = (record.get(name) or "" for name in MERGED_IDS_PROPERTIES)
    return {each.partition(":")[0].strip() for text in lists for each in text.split(";")} - {""}


def _without_duplicates(inputs: Sequence[BatchInput]) -> tuple[list[BatchInput], list[list[int]]]:
    merged: list[BatchInput] = []
    positions: list[list[int]] = []
    seen: dict[tuple[str | None, str], int] = {}
    for position, each in enumerate(inputs):
        key = None if each.id is None else (each.id_property, each.id.casefold())
        if key is None or key not in seen:
            if key is not None:
                seen[key] = len(merged)
            merged.append(each)
            positions.append([position])
        else:
            first = seen[key]
            both = {**merged[first].properties, **each.properties}
            merged[first] = merged[first]._replace(properties=both)
            positions[first].append(position)
    return merged, positions


def _by_position(
    part: Sequence[tuple[int, BatchInput]], answer: BatchAnswer
) -> tuple[dict[int, CrmRecord], dict[int, tuple[str, bool]]]:
    """What became of each input: by trace id, else by id; what is named nowhere has failed unexplained."""
    by_id = {each.id: index for index, each in part if each.id is not None}
    indexes = {index for index, _ in part}
    written: dict[int, CrmRecord] = {}
    for record in answer.results:
        trace = _index(record.write_trace_id)
        index = trace if trace is not None else by_id.get(record.id)
        if index in indexes:
            written[index] = record
    failed: dict[int, tuple[str, bool]] = {}
    for error in answer.errors:
        named = [_index(each) for each in error.context.get("objectWriteTraceId", [])]
        named += [by_id.get(each) for each in error.context.get("ids", [])]
        failed |= {index: (error.category or "UNKNOWN", False) for index in named if index in indexes}
    # https://github.com/rudderlabs/rudder-transformer: an id that was merged away may be left out in silence.
    rest = indexes - written.keys() - failed.keys()
    unexplained = answer.errors[0].category or "UNKNOWN" if answer.errors else "MISSING"
    failed |= dict.fromkeys(rest, (unexplained, True))
    return written, failed


def _index(trace_id: str | None) -> int | None:
    return int(trace_id) if trace_id is not None and trace_id.isdecimal() else None


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
