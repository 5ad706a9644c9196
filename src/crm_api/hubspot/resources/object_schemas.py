"""Schemas of the object types.

https://developers.hubspot.com/docs/api-reference/latest/crm/objects/schemas/get-schema
"""

from crm_api.hubspot.names import ObjectType
from crm_api.hubspot.resources.caching import SharedReads
from crm_api.hubspot.sender import Sender
from crm_api.hubspot.wire import ObjectSchema


class ObjectSchemasApi(SharedReads[ObjectSchema]):
    """Cached schemas of the object types, with the properties that a new record needs."""

    def __init__(self, sender: Sender) -> None:
        super().__init__(sender, operation="object_schemas.get")

    async def _read(self, object_type: ObjectType) -> ObjectSchema:
        """Read the schema without the cache, and without definitions, which other endpoints return, too."""
        parts = ("PropertyDefinitions", "AssociationDefinitions", "AuditMetadata")
        return await self._sender.request(
            "GET",
            self._sender.paths.object_schema(object_type),
            operation=self._operation,
            params={f"include{part}": "false" for part in parts},
            idempotent=True,
            response=ObjectSchema,
        )
