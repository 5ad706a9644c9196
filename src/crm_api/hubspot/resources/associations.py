"""Which records belong together. https://developers.hubspot.com/docs/api-reference/crm-associations-v4/guide"""

from collections.abc import Collection, Sequence
from typing import Any

from crm_api.hubspot.errors import HubSpotError
from crm_api.hubspot.names import MAX_ASSOCIATION_READ_INPUTS, MAX_ASSOCIATION_WRITE_INPUTS, ObjectType
from crm_api.hubspot.resources.batches import chunks, run_together
from crm_api.hubspot.sender import Sender
from crm_api.hubspot.wire import (
    ASSOCIATION_BATCH,
    ASSOCIATION_LABELS,
    ASSOCIATION_PAGE,
    ASSOCIATION_WRITE,
    AssociationBatchAnswer,
    AssociationLabels,
    AssociationPage,
    AssociationResult,
    AssociationTypeLabel,
    AssociationWriteAnswer,
    BatchItemError,
    association_type,
)

# The ordinary answer for a record without links.
# https://github.com/HubSpot/hubspot-api-php/issues/619 for a client that took such a 207 for a failure
NO_ASSOCIATIONS_FOUND = "NO_ASSOCIATIONS_FOUND"


class AssociationsApi:
    """Links between records. Every method raises `HubSpotError`s."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    async def batch_read(
        self, from_type: ObjectType, to_type: ObjectType, ids: Sequence[str]
    ) -> AssociationResult:
        """The complete targets of every id, each once and in HubSpot's order; [] for a record without links.

        Ids whose targets could not all be read are in `failed`, with what was read.
        """
        asked = list(dict.fromkeys(each for each in ids if each))
        results = await run_together(
            self._read_chunk(from_type, to_type, chunk)
            for chunk in chunks(asked, MAX_ASSOCIATION_READ_INPUTS)
        )
        targets: dict[str, list[str]] = {}
        failed: set[str] = set()
        for result in results:
            targets |= result.targets
            failed |= result.failed
        return AssociationResult({each: targets.get(each, []) for each in asked}, failed)

    async def _read_chunk(
        self, from_type: ObjectType, to_type: ObjectType, ids: Sequence[str]
    ) -> AssociationResult:
        targets: dict[str, dict[str, None]] = {each: {} for each in ids}
        failed: set[str] = set()
        pages: dict[str, str | None] = dict.fromkeys(ids)
        is_first = True
        while pages:
            try:
                answer = await self._read_pages(from_type, to_type, pages)
            except HubSpotError:
                if is_first:
                    raise
                failed |= pages.keys()
                break
            following: dict[str, str | None] = {}
            for entry in answer.results:
                targets.setdefault(entry.from_id, {}).update(dict.fromkeys(each.id for each in entry.to))
                if entry.after is None:
                    continue
                if entry.after == pages.get(entry.from_id):
                    # A page that leads to itself would be read for ever, and hides what comes after it.
                    failed.add(entry.from_id)
                else:
                    following[entry.from_id] = entry.after
            failed |= _failed_ids(answer, pages.keys())
            if not is_first:
                # A page was promised: one that is left out in silence is not an empty one.
                failed |= pages.keys() - _named_ids(answer)
            pages, is_first = following, False
        return AssociationResult({each: list(of) for each, of in targets.items()}, failed)

    async def _read_pages(
        self, from_type: ObjectType, to_type: ObjectType, pages: dict[str, str | None]
    ) -> AssociationBatchAnswer:
        inputs = [
            {"id": each} if after is None else {"id": each, "after": after} for each, after in pages.items()
        ]
        answer: AssociationBatchAnswer = await self._sender.request(
            "POST",
            f"{self._sender.paths.associations(from_type, to_type)}/batch/read",
            operation="associations.batch_read",
            json={"inputs": inputs},
            idempotent=True,
            answer=ASSOCIATION_BATCH,
        )
        return answer

    async def list_page(
        self,
        from_type: ObjectType,
        record_id: str,
        to_type: ObjectType,
        *,
        after: str | None = None,
        limit: int = 500,
    ) -> AssociationPage:
        """One page, at most 500, of one record's targets with their labels."""
        answer: AssociationPage = await self._sender.request(
            "GET",
            self._sender.paths.record_associations(from_type, record_id, to_type),
            operation="associations.list",
            params={"limit": limit, "after": after},
            idempotent=True,
            answer=ASSOCIATION_PAGE,
        )
        return answer

    async def create_default(
        self, from_type: ObjectType, from_id: str, to_type: ObjectType, to_id: str
    ) -> None:
        """Link two records; linking them again changes nothing."""
        await self._sender.request(
            "PUT",
            self._sender.paths.default_association(from_type, from_id, to_type, to_id),
            operation="associations.create_default",
            idempotent=True,
        )

    async def archive(self, from_type: ObjectType, from_id: str, to_type: ObjectType, to_id: str) -> None:
        """Unlink two records, with all labels."""
        await self._sender.request(
            "DELETE",
            self._sender.paths.record_association(from_type, from_id, to_type, to_id),
            operation="associations.archive",
            idempotent=True,
        )

    async def batch_create(
        self, from_type: ObjectType, to_type: ObjectType, pairs: Sequence[tuple[str, str]]
    ) -> list[BatchItemError]:
        """Link pairs of records; returns what HubSpot refused."""
        types = [association_type(from_type, to_type)]
        answers = await run_together(
            self._create_chunk(from_type, to_type, chunk, types)
            for chunk in chunks(list(dict.fromkeys(pairs)), MAX_ASSOCIATION_WRITE_INPUTS)
        )
        return [error for answer in answers for error in answer.errors]

    async def _create_chunk(
        self,
        from_type: ObjectType,
        to_type: ObjectType,
        pairs: Sequence[tuple[str, str]],
        types: list[dict[str, Any]],
    ) -> AssociationWriteAnswer:
        answer: AssociationWriteAnswer = await self._sender.request(
            "POST",
            f"{self._sender.paths.associations(from_type, to_type)}/batch/create",
            operation="associations.batch_create",
            json={"inputs": [{"from": {"id": of}, "to": {"id": to}, "types": types} for of, to in pairs]},
            idempotent=True,
            answer=ASSOCIATION_WRITE,
        )
        return answer

    async def labels(self, from_type: ObjectType, to_type: ObjectType) -> list[AssociationTypeLabel]:
        """The kinds of link that the account has between two types."""
        answer: AssociationLabels = await self._sender.request(
            "GET",
            f"{self._sender.paths.associations(from_type, to_type)}/labels",
            operation="associations.labels",
            idempotent=True,
            answer=ASSOCIATION_LABELS,
        )
        return answer.results


def _failed_ids(answer: AssociationBatchAnswer, asked: Collection[str]) -> set[str]:
    """Ids that an error other than "nothing is linked" names; all without a result where it names none."""
    failed: set[str] = set()
    answered = {entry.from_id for entry in answer.results}
    nameless = False
    for error in answer.errors:
        named = _ids_of(error)
        if NO_ASSOCIATIONS_FOUND in str(error.sub_category):
            answered |= named
        else:
            failed |= named & set(asked)
            nameless = nameless or not named
    return failed | (set(asked) - answered) if nameless else failed


def _named_ids(answer: AssociationBatchAnswer) -> set[str]:
    return {entry.from_id for entry in answer.results}.union(*map(_ids_of, answer.errors))


def _ids_of(error: BatchItemError) -> set[str]:
    named = {each for key in ("fromObjectId", "id", "ids") for each in error.context.get(key, [])}
    return named | {error.id} if error.id is not None else named
