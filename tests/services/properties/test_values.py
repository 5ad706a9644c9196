"""Validation of values against the HubSpot account's property definitions."""

from typing import Any, cast

import pytest

from crm_api.errors import ApiError
from crm_api.hubspot import HubSpotClient, Property, PropertyOption
from crm_api.hubspot.errors import HubSpotScopeError
from crm_api.services.properties.categories import TICKET_CATEGORIES
from crm_api.services.properties.fields import RecordFields
from crm_api.services.properties.values import require_valid

ADDED = {"deals": {"readable": ["size", "count", "due", "tags", "total"]}}
DEALS = RecordFields(TICKET_CATEGORIES, ADDED)["deals"]


def definition(
    name: str, type_: str, *, field_type: str = "text", options: str = "", **more: Any
) -> Property:
    choices = [PropertyOption(label=option, value=option) for option in options.split()]
    return Property(name=name, label=name, type=type_, field_type=field_type, options=choices, **more)


SCHEMA = {
    item.name: item
    for item in (
        definition("dealname", "string"),
        definition("size", "enumeration", field_type="select", options="small large"),
        definition("tags", "enumeration", field_type="checkbox", options="a b c"),
        definition("count", "number"),
        definition("due", "date"),
        definition("total", "number", calculated=True),
    )
}


class Schema:
    """Stub of `HubSpotClient.properties` with a cached and a fresh schema."""

    def __init__(self, cached: dict[str, Property], fresh: dict[str, Property] | None = None) -> None:
        self.cached, self.fresh = cached, fresh if fresh is not None else cached
        self.reads: list[float] = []

    @property
    def properties(self) -> "Schema":
        return self

    async def list(self, _object_type: str, *, max_age_seconds: float) -> dict[str, Property]:
        self.reads.append(max_age_seconds)
        return self.cached if max_age_seconds >= 300 else self.fresh


class NoSchema(Schema):
    """Stub of credentials that may not read the schema."""

    async def list(self, _object_type: str, *, max_age_seconds: float) -> dict[str, Property]:
        raise HubSpotScopeError


def client(schema: Schema) -> HubSpotClient:
    return cast("HubSpotClient", schema)


async def test_valid_values_are_checked_with_one_schema_read() -> None:
    schema = Schema(SCHEMA)
    values = {"dealname": "x", "size": "small", "tags": "a;c", "count": "1e2", "due": "2026-12-31"}
    assert await require_valid(client(schema), DEALS, values) == values | {"count": "100"}
    assert schema.reads == [300.0]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("size", "medium", "options"),
        ("tags", "a;d", "options"),
        ("count", "many", "number"),
        ("due", "soon", "date"),
        ("total", "1", "calculated"),
        ("amount", "1", "not a property of this account"),
    ],
)
async def test_invalid_property_value_raises_error_naming_the_field(
    name: str, value: str, message: str
) -> None:
    with pytest.raises(ApiError) as error:
        await require_valid(client(Schema(SCHEMA)), DEALS, {name: value, "dealname": "x"})
    [detail] = error.value.details
    assert detail.field == DEALS.by_property[name].path
    assert message in detail.message


async def test_unknown_option_is_accepted_after_another_schema_read() -> None:
    fresh = SCHEMA | {"size": definition("size", "enumeration", options="small medium large")}
    schema = Schema(SCHEMA, fresh)
    assert await require_valid(client(schema), DEALS, {"size": "medium"}) == {"size": "medium"}
    assert schema.reads == [300.0, 1.0]


async def test_built_in_values_are_not_checked_without_schema() -> None:
    values = {"amount": "whatever"}
    assert await require_valid(client(NoSchema({})), DEALS, values) == values


async def test_values_of_added_properties_are_refused_without_schema() -> None:
    with pytest.raises(ApiError) as error:
        await require_valid(client(NoSchema({})), DEALS, {"size": "whatever"})
    assert error.value.error_type.code == "service_unavailable"


async def test_empty_number_and_option_values_are_valid() -> None:
    assert await require_valid(client(Schema(SCHEMA)), DEALS, {"count": "", "size": ""}) == {
        "count": "",
        "size": "",
    }
