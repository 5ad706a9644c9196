"""Contacts, deals and tickets.

https://developers.hubspot.com/docs/api-reference/crm-contacts-v3/guide
"""

from collections.abc import Mapping, Sequence

from crm_api.hubspot.names import ObjectType
from crm_api.hubspot.resources.batches import RecordReads
from crm_api.hubspot.resources.creation import Creation
from crm_api.hubspot.search import SearchRequest
from crm_api.hubspot.sender import Sender
from crm_api.hubspot.wire import (
    CrmRecord,
    NewAssociation,
    NoContent,
    Page,
    SearchPage,
    UniqueValue,
    comma_list,
)


class ObjectsApi(RecordReads):
    """Records of one object type. Every method raises `HubSpotError`s."""

    def __init__(self, sender: Sender, object_type: ObjectType) -> None:
        super().__init__(sender, object_type)
        self._sender: Sender = sender
        self._path = sender.paths.crm("objects", object_type)

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
        creation = Creation(self._sender, self, properties, associations, unique, lookup_properties)
        return await creation.run(is_retry=is_retry)

    async def update(self, record_id: str, properties: Mapping[str, str]) -> CrmRecord:
        """Update properties; "" clears one. The result has the updated and some calculated properties."""
        return await self._sender.request(
            "PATCH",
            self._record_path(record_id, f"{self.object_type}.update"),
            operation=f"{self.object_type}.update",
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
            self._record_path(record_id, f"{self.object_type}.archive"),
            operation=f"{self.object_type}.archive",
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
            operation=f"{self.object_type}.list",
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
            operation=f"{self.object_type}.search",
            json=search.to_wire(),
            idempotent=True,
            budget="search",
            response=SearchPage,
        )
