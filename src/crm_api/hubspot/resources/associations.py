"""Associations between records.

https://developers.hubspot.com/docs/api-reference/crm-associations-v4/guide
"""

from collections.abc import Collection, Sequence

from crm_api.hubspot.errors import HubSpotError
from crm_api.hubspot.names import MAX_ASSOCIATION_READ_INPUTS, ObjectType
from crm_api.hubspot.resources.batches import chunks, run_together
from crm_api.hubspot.sender import ReadSender
from crm_api.hubspot.wire import AssociationResult, AssociationsFrom, BatchItemError, BatchResponse

AssociationPages = BatchResponse[AssociationsFrom]

# HubSpot's regular response for a record without associations, with status 207.
# https://github.com/HubSpot/hubspot-api-php/issues/619
NO_ASSOCIATIONS_FOUND = "NO_ASSOCIATIONS_FOUND"


class AssociationsApi:
    """Associations between records. Every method raises `HubSpotError`s."""

    def __init__(self, sender: ReadSender) -> None:
        self._sender = sender

    async def batch_read(
        self, from_type: ObjectType, to_type: ObjectType, ids: Sequence[str]
    ) -> AssociationResult:
        """Return all target IDs of every ID, without duplicates and in HubSpot's order.

        IDs whose targets could not all be read are in `failed`; their known targets are returned too. If the
        first page of a call cannot be read, the error is raised.
        """
        requested = list(dict.fromkeys(record_id for record_id in ids if record_id))
        results = await run_together(
            self._read_chunk(from_type, to_type, chunk)
            for chunk in chunks(requested, MAX_ASSOCIATION_READ_INPUTS)
        )
        targets: dict[str, list[str]] = {}
        failed: set[str] = set()
        for result in results:
            targets |= result.targets
            failed |= result.failed
        return AssociationResult({record_id: targets.get(record_id, []) for record_id in requested}, failed)

    async def _read_chunk(
        self, from_type: ObjectType, to_type: ObjectType, ids: Sequence[str]
    ) -> AssociationResult:
        targets: dict[str, dict[str, None]] = {record_id: {} for record_id in ids}
        failed: set[str] = set()
        pages: dict[str, str | None] = dict.fromkeys(ids)
        is_first = True
        while pages:
            try:
                response = await self._read_pages(from_type, to_type, pages)
            except HubSpotError:
                if is_first:
                    raise
                failed |= pages.keys()
                break
            next_pages: dict[str, str | None] = {}
            for entry in response.results:
                target_ids = [target.id for target in entry.to]
                targets.setdefault(entry.from_id, {}).update(dict.fromkeys(target_ids))
                if entry.after is None:
                    continue
                if entry.after == pages.get(entry.from_id):
                    # A page that leads to itself would be read for ever and hides the pages after it.
                    failed.add(entry.from_id)
                else:
                    next_pages[entry.from_id] = entry.after
            failed |= _failed_ids(response, pages.keys())
            if not is_first:
                # HubSpot announced these pages, so an omitted one is a failure and not an empty page.
                failed |= pages.keys() - _named_ids(response)
            pages, is_first = next_pages, False
        return AssociationResult({record_id: list(found) for record_id, found in targets.items()}, failed)

    async def _read_pages(
        self, from_type: ObjectType, to_type: ObjectType, pages: dict[str, str | None]
    ) -> AssociationPages:
        inputs = [
            {"id": record_id} if after is None else {"id": record_id, "after": after}
            for record_id, after in pages.items()
        ]
        return await self._sender.request(
            "POST",
            self._sender.paths.crm("associations", from_type, to_type, "batch", "read"),
            operation="associations.batch_read",
            json={"inputs": inputs},
            idempotent=True,
            response=AssociationPages,
        )


def _failed_ids(response: AssociationPages, requested: Collection[str]) -> set[str]:
    """Return the IDs that an error names. If an error names none, all IDs without a result have failed."""
    failed: set[str] = set()
    with_result = {entry.from_id for entry in response.results}
    has_nameless_error = False
    for error in response.errors:
        named = _ids_in(error)
        if NO_ASSOCIATIONS_FOUND in str(error.sub_category):
            with_result |= named
        else:
            failed |= named.intersection(requested)
            has_nameless_error = has_nameless_error or not named
    if has_nameless_error:
        failed |= set(requested) - with_result
    return failed


def _named_ids(response: AssociationPages) -> set[str]:
    return {entry.from_id for entry in response.results}.union(*map(_ids_in, response.errors))


def _ids_in(error: BatchItemError) -> set[str]:
    named = {record_id for key in ("fromObjectId", "id", "ids") for record_id in error.context.get(key, [])}
    if error.id is not None:
        named.add(error.id)
    return named
