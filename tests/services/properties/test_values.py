"""Values checked against the account's schema before a call is spent on them."""

from typing import Any, cast

import pytest

from crm_api.errors import ApiError
from crm_api.hubspot import HubSpotClient, Property, PropertyOption
from crm_api.hubspot.errors import HubSpotScopeError
from crm_api.services.properties.fields import RecordFields
from crm_api.services.properties.mapping import TICKET_CATEGORIES
from crm_api.services.properties.values import require_valid

ADDED = {"deals": {"readable": ["size", "count", "due", "tags", "total"]}}
DEALS = RecordFields(TICKET_CATEGORIES, ADDED)["deals"]


def definition(name: str, kind: str, *, field_type: str = "text", options: str = "", **more: Any) -> Property:
    choices = [PropertyOption(label=each, value=each) for each in options.split()]
    return Property(name=name, label=name, type=kind, field_type=field_type, options=choices, **more)


SCHEMA = {
    each.name: each
    for each in (
        definition("dealname", "string"),
        definition("size", "enumeration", field_type="select", options="small large"),
        definition("tags", "enumeration", field_type="checkbox", options="a b c"),
        definition("count", "number"),
        definition("due", "date"),
        definition("total", "number", calculated=True),
    )
}


class Schema:
    """Stands where the client's properties stand: what is kept, and what a fresh read finds."""

    def __init__(self, kept: dict[str, Property], fresh: dict[str, Property] | None = None) -> None:
        self.kept, self.fresh = kept, fresh if fresh is not None else kept
        self.reads: list[float] = []

    @property
    def properties(self) -> "Schema":
        return self

    async def list(self, _object_type: str, *, max_age_seconds: float) -> dict[str, Property]:
        self.reads.append(max_age_seconds)
        return self.kept if max_age_seconds >= 300 else self.fresh


class NoSchema(Schema):
    """Credentials that may not read it."""

    async def list(self, _object_type: str, *, max_age_seconds: float) -> dict[str, Property]:
        raise HubSpotScopeError


def client(schema: Schema) -> HubSpotClient:
    return cast("HubSpotClient", schema)


async def test_what_is_valid_costs_no_fresh_read() -> None:
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
async def test_what_is_not_is_named(name: str, value: str, message: str) -> None:
    with pytest.raises(ApiError) as refused:
        await require_valid(client(Schema(SCHEMA)), DEALS, {name: value, "dealname": "x"})
    [detail] = refused.value.details
    assert detail.field == DEALS.by_property[name].path
    assert message in detail.message


async def test_an_option_added_a_moment_ago_is_looked_for_afresh() -> None:
    fresh = SCHEMA | {"size": definition("size", "enumeration", options="small medium large")}
    schema = Schema(SCHEMA, fresh)
    assert await require_valid(client(schema), DEALS, {"size": "medium"}) == {"size": "medium"}
    assert schema.reads == [300.0, 1.0]


async def test_nothing_rests_on_a_schema_that_may_not_be_read() -> None:
    values = {"size": "whatever"}
    assert await require_valid(client(NoSchema({})), DEALS, values) == values


async def test_clearing_is_always_valid() -> None:
    assert await require_valid(client(Schema(SCHEMA)), DEALS, {"count": "", "size": ""}) == {
        "count": "",
        "size": "",
    }
