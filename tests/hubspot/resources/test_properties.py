"""Property definitions, and details of the HubSpot account."""

import asyncio
from typing import Any

import pytest
from tests.hubspot.stubs import Stub, build_client, ok, refusal

from crm_api.hubspot import Property, PropertyOption
from crm_api.hubspot.errors import HubSpotConflictError


def definition(name: str, **members: Any) -> dict[str, Any]:
    return {
        "name": name,
        "label": name,
        "type": "string",
        "fieldType": "text",
        "groupName": "g",
        "description": "",
        "options": [],
        **members,
    }


async def test_concurrent_property_lists_share_one_call() -> None:
    stub = Stub(ok({"results": [definition("a"), definition("b")]}))
    api = build_client(stub).properties
    results = await asyncio.gather(*(api.list("deals", max_age_seconds=60) for _ in range(5)))
    assert all(list(result) == ["a", "b"] for result in results)
    assert stub.sent == [("GET", "/crm/properties/2026-09/deals")]


async def test_property_get_reads_one_definition() -> None:
    stub = Stub(ok(definition("a", options=None, hasUniqueValue=True)))
    found = await build_client(stub).properties.get("deals", "a")
    assert stub.sent == [("GET", "/crm/properties/2026-09/deals/a")]
    assert (found.options, found.has_unique_value) == ([], True)


@pytest.mark.parametrize(
    ("members", "read_only"),
    [
        ({"calculated": True}, True),
        (
            {"modificationMetadata": {"archivable": True, "readOnlyDefinition": True, "readOnlyValue": True}},
            True,
        ),
        (
            {
                "modificationMetadata": {
                    "archivable": True,
                    "readOnlyDefinition": True,
                    "readOnlyValue": False,
                }
            },
            False,
        ),
        ({}, False),
    ],
)
def test_calculated_and_protected_properties_are_read_only(members: dict[str, Any], read_only: bool) -> None:
    assert Property.model_validate(definition("a", **members)).is_read_only is read_only


async def test_property_create_invalidates_the_cached_list() -> None:
    listing = ok({"results": [definition("a")]})
    stub = Stub(listing, ok(definition("b"), 201), listing)
    api = build_client(stub).properties
    await api.list("tickets")
    await api.create(
        "tickets",
        name="b",
        label="B",
        group_name="ticketinformation",
        type="enumeration",
        field_type="select",
        has_unique_value=True,
        options=[PropertyOption(label="X", value="x", display_order=0), PropertyOption(label="Y", value="y")],
    )
    assert stub.sent[1] == ("POST", "/crm/properties/2026-09/tickets")
    assert stub.body(1) == {
        "name": "b",
        "label": "B",
        "groupName": "ticketinformation",
        "type": "enumeration",
        "fieldType": "select",
        "description": "",
        "hasUniqueValue": True,
        "hidden": False,
        "options": [
            {"label": "X", "value": "x", "displayOrder": 0, "hidden": False},
            {"label": "Y", "value": "y", "displayOrder": -1, "hidden": False},
        ],
    }
    await api.list("tickets")
    assert len(stub.requests) == 3


async def test_create_of_existing_property_raises_conflict() -> None:
    stub = Stub(refusal(409, category="OBJECT_ALREADY_EXISTS"))
    arguments = {"name": "b", "label": "B", "group_name": "g", "type": "string", "field_type": "text"}
    with pytest.raises(HubSpotConflictError):
        await build_client(stub).properties.create("deals", **arguments)  # type: ignore[arg-type]
    stub = Stub(refusal(502))
    with pytest.raises(Exception, match="502"):
        await build_client(stub).properties.create("deals", **arguments)  # type: ignore[arg-type]
    assert len(stub.requests) == 1


async def test_property_update_sends_only_the_given_members() -> None:
    stub = Stub(ok(definition("a")))
    api = build_client(stub).properties
    await api.update(
        "deals", "a", options=[PropertyOption(label="X", value="x", display_order=3, hidden=True)]
    )
    assert stub.sent == [("PATCH", "/crm/properties/2026-09/deals/a")]
    assert stub.body() == {"options": [{"label": "X", "value": "x", "displayOrder": 3, "hidden": True}]}
    await api.update("deals", "a", label="New")
    assert stub.body() == {"label": "New"}


async def test_create_group_returns_false_if_the_group_exists() -> None:
    stub = Stub(ok({}, 201))
    assert await build_client(stub).properties.create_group("deals", name="g", label="G")
    assert stub.sent == [("POST", "/crm/properties/2026-09/deals/groups")]
    assert stub.body() == {"name": "g", "label": "G"}
    assert not await build_client(Stub(refusal(409))).properties.create_group("deals", name="g", label="G")


async def test_account_details_returns_portal_id() -> None:
    stub = Stub(ok({"portalId": 123, "timeZone": "Europe/Paris", "utcOffsetMilliseconds": 3600000}))
    details = await build_client(stub).account.details()
    assert stub.sent == [("GET", "/account-info/2026-09/details")]
    assert details.portal_id == "123"
