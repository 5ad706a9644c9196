"""Contacts, deals and tickets: one at a time, in pages, by search.

https://developers.hubspot.com/docs/api-reference/crm-contacts-v3/guide
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import replace

from crm_api.hubspot.errors import HubSpotRequestError
from crm_api.hubspot.names import MAX_SEARCH_RESULTS, ObjectType
from crm_api.hubspot.resources.batches import BatchInput, RecordBatches, get_record, record_path
from crm_api.hubspot.resources.creation import Creation
from crm_api.hubspot.search import SearchRequest
from crm_api.hubspot.sender import Sender
from crm_api.hubspot.wire import (
    PAGE,
    RECORD,
    SEARCH_PAGE,
    BatchReadResult,
    BatchWriteResult,
    CrmRecord,
    NewAssociation,
    Page,
    SearchPage,
    UniqueValue,
    comma_list,
)


class ObjectsApi:
    """The records of one object type. Every method raises `HubSpotError`s."""

    def __init__(self, sender: Sender, object_type: ObjectType) -> None:
        self._sender = sender
        self.object_type: ObjectType = object_type
        self._path = sender.paths.objects(object_type)
        self._batches = RecordBatches(sender, object_type)

    async def create(
        self,
        properties: Mapping[str, str],
        *,
        associations: Sequence[NewAssociation] = (),
        unique: UniqueValue | None = None,
        resume: bool = False,
        read: Sequence[str] = (),
    ) -> CrmRecord:
        """Create one record, exactly once.

        With `unique` the property is sent along, and when it is unclear whether the record was created it is
        looked for by that value, and adopted or created again. `resume` says that an earlier process may have
        tried already, so it looks first. Without `unique` an unclear create is not repeated.
        `read` names properties that HubSpot fills in and a record that was looked for is to hold as well.
        Raises `HubSpotConflictError` where somebody else's record has the value, `HubSpotOutcomeUnknownError`.
        """
        return await Creation(self._sender, self.object_type, properties, associations, unique, read).run(
            resume=resume
        )

    async def get(
        self,
        record_id: str,
        *,
        properties: Sequence[str] = (),
        id_property: str | None = None,
        associations: Sequence[ObjectType] = (),
    ) -> CrmRecord:
        """One record by its id, or by a unique property; a merged record's old id leads to one with another id.

        Raises `HubSpotNotFoundError`.
        """
        return await get_record(
            self._sender,
            self.object_type,
            record_id,
            properties=properties,
            id_property=id_property,
            associations=associations,
        )

    async def update(
        self, record_id: str, properties: Mapping[str, str], *, id_property: str | None = None
    ) -> CrmRecord:
        """Change the properties given; "" clears one. The answer holds what changed and some of HubSpot's own."""
        answer: CrmRecord = await self._sender.request(
            "PATCH",
            self._record_path(record_id, "update"),
            operation=self._operation("update"),
            json={"properties": dict(properties)},
            params={"idProperty": id_property},
            idempotent=True,
            answer=RECORD,
        )
        return answer

    async def archive(self, record_id: str) -> None:
        """Move a record to the recycle bin; an id that leads to none is no error.

        https://github.com/n8n-io/n8n/issues/3219
        """
        await self._sender.request(
            "DELETE",
            self._record_path(record_id, "archive"),
            operation=self._operation("archive"),
            idempotent=True,
        )

    async def list_page(
        self,
        *,
        limit: int,
        after: str | None = None,
        properties: Sequence[str] = (),
        associations: Sequence[ObjectType] = (),
    ) -> Page:
        """One page, 1 to 100 records by ascending id."""
        answer: Page = await self._sender.request(
            "GET",
            self._path,
            operation=self._operation("list"),
            params={
                "limit": limit,
                "after": after,
                "properties": comma_list(properties),
                "associations": comma_list(associations),
            },
            idempotent=True,
            answer=PAGE,
        )
        return answer

    async def iterate(
        self, *, properties: Sequence[str] = (), page_size: int = 100
    ) -> AsyncGenerator[CrmRecord, None]:
        """All records, page after page; a deadline of the caller's spans them all."""
        after: str | None = None
        while True:
            page = await self.list_page(limit=page_size, after=after, properties=properties)
            for record in page.results:
                yield record
            if page.after is None:
                return
            after = page.after

    async def search(self, search: SearchRequest) -> SearchPage:
        """One page of what HubSpot's index knows, which lags behind writes by seconds."""
        answer: SearchPage = await self._sender.request(
            "POST",
            f"{self._path}/search",
            operation=self._operation("search"),
            json=search.to_wire(),
            idempotent=True,
            budget="search",
            answer=SEARCH_PAGE,
        )
        return answer

    async def iterate_search(self, search: SearchRequest) -> AsyncGenerator[CrmRecord, None]:
        """All results; raises `HubSpotRequestError` (category SEARCH_CEILING) where HubSpot shows no more."""
        while True:
            page = await self.search(search)
            for record in page.results:
                yield record
            if page.after is None:
                return
            if page.after.isdecimal() and int(page.after) >= MAX_SEARCH_RESULTS:
                # https://github.com/HubSpot/hubspot-api-nodejs/issues/132
                raise HubSpotRequestError(
                    "more results than HubSpot shows",
                    category="SEARCH_CEILING",
                    operation=self._operation("search"),
                )
            search = replace(search, after=page.after)

    async def batch_read(
        self, ids: Sequence[str], *, properties: Sequence[str] = (), id_property: str | None = None
    ) -> BatchReadResult:
        """Records by id, a hundred a call, at once. What was not found is in `missing`."""
        return await self._batches.read(ids, properties=properties, id_property=id_property)

    async def batch_create(self, inputs: Sequence[BatchInput]) -> BatchWriteResult:
        """Create records; one that HubSpot refuses does not stop the others, and no call is repeated unsafely."""
        return await self._batches.write("create", inputs, idempotent=False)

    async def batch_update(self, inputs: Sequence[BatchInput]) -> BatchWriteResult:
        """Change records by id."""
        return await self._batches.write("update", inputs, idempotent=True)

    async def batch_upsert(self, inputs: Sequence[BatchInput]) -> BatchWriteResult:
        """Create or change records by a unique property, named in each input."""
        return await self._batches.write("upsert", inputs, idempotent=True)

    async def batch_archive(self, ids: Sequence[str]) -> None:
        """Move records to the recycle bin."""
        await self._batches.archive(ids)

    async def merge(self, primary_id: str, merged_id: str) -> CrmRecord:
        """Merge one record into another; the survivor may have a new id, and both old ones keep leading to it."""
        answer: CrmRecord = await self._sender.request(
            "POST",
            f"{self._path}/merge",
            operation=self._operation("merge"),
            json={"primaryObjectId": primary_id, "objectIdToMerge": merged_id},
            idempotent=False,
            answer=RECORD,
        )
        return answer

    def _operation(self, name: str) -> str:
        return f"{self.object_type}.{name}"

    def _record_path(self, record_id: str, operation: str) -> str:
        return record_path(self._sender, self.object_type, record_id, operation=self._operation(operation))
