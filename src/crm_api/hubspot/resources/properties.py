"""Property definitions.

https://developers.hubspot.com/docs/api-reference/crm-properties-v3/guide
"""

from collections.abc import Sequence
from typing import Any, Literal

from crm_api.hubspot.errors import HubSpotConflictError
from crm_api.hubspot.names import ObjectType
from crm_api.hubspot.resources.caching import SharedReads
from crm_api.hubspot.sender import Sender
from crm_api.hubspot.wire import FullList, NoContent, Property, PropertyOption

PropertyType = Literal["bool", "date", "datetime", "enumeration", "number", "phone_number", "string"]
FieldType = Literal[
    "booleancheckbox", "calculation_equation", "checkbox", "date", "file", "html", "number", "phonenumber", "radio",
    "select", "text", "textarea",
]  # fmt: skip


class PropertiesApi(SharedReads[dict[str, Property]]):
    """Cached property definitions of the HubSpot account, by name. Every method raises `HubSpotError`s."""

    def __init__(self, sender: Sender) -> None:
        super().__init__(sender, operation="properties.list")

    async def get(self, object_type: ObjectType, name: str) -> Property:
        """Return one definition, not cached. Raises `HubSpotNotFoundError` if the property is missing."""
        return await self._sender.request(
            "GET",
            self._path(object_type, name),
            operation="properties.get",
            idempotent=True,
            response=Property,
        )

    async def create(
        self,
        object_type: ObjectType,
        *,
        name: str,
        label: str,
        group_name: str,
        type: PropertyType,  # noqa: A002 - HubSpot's name
        field_type: FieldType,
        description: str = "",
        has_unique_value: bool = False,
        hidden: bool = False,
        options: Sequence[PropertyOption] = (),
    ) -> Property:
        """Create a property. Raises `HubSpotConflictError` if the name exists.

        `has_unique_value` cannot be changed later. HubSpot allows ten unique properties per object type.
        """
        definition: dict[str, Any] = {
            "name": name,
            "label": label,
            "groupName": group_name,
            "type": type,
            "fieldType": field_type,
            "description": description,
            "hasUniqueValue": has_unique_value,
            "hidden": hidden,
        }
        if options:
            definition["options"] = _options_to_wire(options)
        created = await self._sender.request(
            "POST",
            self._path(object_type),
            operation="properties.create",
            json=definition,
            idempotent=False,
            response=Property,
        )
        self._cache.invalidate(object_type)
        return created

    async def update(
        self,
        object_type: ObjectType,
        name: str,
        *,
        label: str | None = None,
        description: str | None = None,
        options: Sequence[PropertyOption] | None = None,
    ) -> Property:
        """Update a definition. `options` replaces the whole list, so pass the existing options too."""
        changes: dict[str, Any] = {"label": label, "description": description}
        if options is not None:
            changes["options"] = _options_to_wire(options)
        updated = await self._sender.request(
            "PATCH",
            self._path(object_type, name),
            operation="properties.update",
            json={key: value for key, value in changes.items() if value is not None},
            idempotent=True,
            response=Property,
        )
        self._cache.invalidate(object_type)
        return updated

    async def create_group(self, object_type: ObjectType, *, name: str, label: str) -> bool:
        """Create a property group. Return False if it exists."""
        try:
            await self._sender.request(
                "POST",
                self._path(object_type, "groups"),
                operation="properties.create_group",
                json={"name": name, "label": label},
                idempotent=True,
                response=NoContent,
            )
        except HubSpotConflictError:
            return False
        return True

    def _path(self, *parts: str) -> str:
        return self._sender.paths.crm("properties", *parts)

    async def _read(self, object_type: ObjectType) -> dict[str, Property]:
        """Read the definitions without the cache."""
        response = await self._sender.request(
            "GET",
            self._path(object_type),
            operation=self._operation,
            idempotent=True,
            response=FullList[Property],
        )
        return {definition.name: definition for definition in response.results}


def _options_to_wire(options: Sequence[PropertyOption]) -> list[dict[str, Any]]:
    """Return options as JSON. HubSpot requires label, value, order and visibility; order -1 sorts last."""
    return [{"displayOrder": -1} | option.model_dump(by_alias=True, exclude_none=True) for option in options]
