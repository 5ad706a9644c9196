"""Which records belong together. https://developers.hubspot.com/docs/api-reference/crm-associations-v4/guide"""

from collections.abc import Collection, Sequence

from crm_api.hubspot.errors import HubSpotError
from crm_api.hubspot.names import MAX_ASSOCIATION_READ_INPUTS, ObjectType
from crm_api.hubspot.resources.batches import chunks, run_together
from crm_api.hubspot.sender import Sender
from crm_api.hubspot.wire import (
    AssociationBatchResponse,
    AssociationResult,
    BatchItemError,
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
    ) -> AssociationBatchResponse:
        inputs = [
            {"id": each} if after is None else {"id": each, "after": after} for each, after in pages.items()
        ]
        return await self._sender.request(
            "POST",
            f"{self._sender.paths.associations(from_type, to_type)}/batch/read",
            operation="associations.batch_read",
            json={"inputs": inputs},
            idempotent=True,
            response=AssociationBatchResponse,
        )


def _failed_ids(answer: AssociationBatchResponse, asked: Collection[str]) -> set[str]:
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


def _named_ids(answer: AssociationBatchResponse) -> set[str]:
    return {entry.from_id for entry in answer.results}.union(*map(_ids_of, answer.errors))


def _ids_of(error: BatchItemError) -> set[str]:
    named = {each for key in ("fromObjectId", "id", "ids") for each in error.context.get(key, [])}
    return named | {error.id} if error.id is not None else named
