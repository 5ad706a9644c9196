"""Contacts, deals and tickets.

https://developers.hubspot.com/docs/api-reference/crm-contacts-v3/guide
"""

from collections.abc import Mapping, Sequence

from crm_api.hubspot.names import ObjectType
from crm_api.hubspot.resources.batches import RecordBatches, get_record, record_path
from crm_api.hubspot.resources.creation import Creation
from crm_api.hubspot.search import SearchRequest
from crm_api.hubspot.sender import Sender
from crm_api.hubspot.wire import (
    BatchReadResult,
    CrmRecord,
    NewAssociation,
    NoContent,
    Page,
    SearchPage,
    UniqueValue,
    comma_list,
)


class ObjectsApi:
    """Records of one object type. Every method raises `HubSpotError`s."""

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
        is_retry: bool = False,
        lookup_properties: Sequence[str] = (),
    ) -> CrmRecord:
        """Create one record, exactly once.

        With `unique`, the property is set, and after an unknown outcome the record is looked up by its value, then
        returned or created again. `is_retry` means that an earlier process may have sent this create, so the lookup
        comes first. Without `unique`, a create with an unknown outcome is not retried. `lookup_properties` are
        calculated properties that a looked-up record must contain too.
        Raises `HubSpotConflictError` if another record has the value, `HubSpotOutcomeUnknownError` if the
        record may or may not exist.
        """
        return await Creation(
            self._sender, self.object_type, properties, associations, unique, lookup_properties
        ).run(is_retry=is_retry)

    async def get(
        self,
        record_id: str,
        *,
        properties: Sequence[str] = (),
        id_property: str | None = None,
        associations: Sequence[ObjectType] = (),
    ) -> CrmRecord:
        """Return one record by its ID or by a unique property. The old ID of a merged record returns the merged one.

        Raises `HubSpotNotFoundError` if no live record is found.
        """
        return await get_record(
            self._sender,
            self.object_type,
            record_id,
            properties=properties,
            id_property=id_property,
            associations=associations,
        )

    async def update(self, record_id: str, properties: Mapping[str, str]) -> CrmRecord:
        """Update properties; "" clears one. The result has the updated and some calculated properties."""
        return await self._sender.request(
            "PATCH",
            self._record_path(record_id, "update"),
            operation=self._operation("update"),
            json={"properties": dict(properties)},
            idempotent=True,
            response=CrmRecord,
        )

    async def archive(self, record_id: str) -> None:
        """Move a record to the recycle bin. A missing record is no error.

        https://github.com/n8n-io/n8n/issues/3219
        """
        await self._sender.request(
            "DELETE",
            self._record_path(record_id, "archive"),
            operation=self._operation("archive"),
            idempotent=True,
            response=NoContent,
        )

    async def list_page(
        self,
        *,
        limit: int,
        after: str | None = None,
        properties: Sequence[str] = (),
        associations: Sequence[ObjectType] = (),
    ) -> Page:
        """Return a page of 1 to 100 records by ascending ID."""
        return await self._sender.request(
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
            response=Page,
        )

    async def search(self, search: SearchRequest) -> SearchPage:
        """Return a page from HubSpot's search index, which lags behind writes by seconds."""
        return await self._sender.request(
            "POST",
            f"{self._path}/search",
            operation=self._operation("search"),
            json=search.to_wire(),
            idempotent=True,
            budget="search",
            response=SearchPage,
        )

    async def batch_read(
        self, ids: Sequence[str], *, properties: Sequence[str] = (), allow_partial: bool = False
    ) -> BatchReadResult:
        """Return records by ID, read 100 per call at the same time. IDs without a record are absent.

        With `allow_partial`, the IDs of a call that fails are in `failed`; without it, the call's error is raised, as
        `HubSpotCredentialsError` always is.
        """
        return await self._batches.read(ids, properties=properties, allow_partial=allow_partial)

    def _operation(self, name: str) -> str:
        return f"{self.object_type}.{name}"

    def _record_path(self, record_id: str, operation: str) -> str:
        return record_path(self._sender, self.object_type, record_id, operation=self._operation(operation))
