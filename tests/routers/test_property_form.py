"""`GET /api/properties` describes a form: form fields, options, and what the HubSpot account requires."""

from typing import Any

import pytest
from fastapi import FastAPI
from tests.support.callers import Caller

from crm_api.hubspot import Property
from crm_api.settings import Settings
from hubspot_emulator import Emulator

# name: (type, fieldType, further members) -> (type, form field, multiple)
DEFINITIONS: dict[str, tuple[tuple[str, str, dict[str, Any]], tuple[str, str, bool]]] = {
    "a_text": (("string", "text", {}), ("string", "text", False)),
    "a_textarea": (("string", "textarea", {}), ("string", "textarea", False)),
    "a_rich_text": (("string", "html", {}), ("string", "rich_text", False)),
    "a_phone": (("string", "phonenumber", {}), ("string", "phone", False)),
    "a_file": (("string", "file", {}), ("string", "file", False)),
    "a_number": (("number", "number", {}), ("number", "number", False)),
    "a_price": (("number", "number", {"showCurrencySymbol": True}), ("number", "currency", False)),
    "a_date": (("date", "date", {}), ("date", "date", False)),
    "a_datetime": (("datetime", "date", {}), ("datetime", "date", False)),
    "a_select": (("enumeration", "select", {}), ("enumeration", "select", False)),
    "a_radio": (("enumeration", "radio", {}), ("enumeration", "radio", False)),
    "checkboxes": (("enumeration", "checkbox", {}), ("enumeration", "checkboxes", True)),
    "a_checkbox": (("bool", "booleancheckbox", {}), ("bool", "checkbox", False)),
    "hubspot_owner_id": (("", "", {}), ("enumeration", "owner", False)),
}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    added = {"deals": {"readable": list(DEFINITIONS)}}
    return Settings(**(settings.model_dump() | {"_env_file": None, "hubspot_properties": added}))


@pytest.fixture
async def definitions(app: FastAPI, emulator: Emulator) -> None:
    """Create the properties in the HubSpot account; `hubspot_owner_id` exists in every account."""
    for name, ((type_, field_type, more), _) in DEFINITIONS.items():
        if not type_:
            continue
        options = {"enumeration": ["A", "B"], "bool": ["true", "false"]}.get(type_, [])
        await app.state.hubspot.sender.request(
            "POST",
            "/crm/properties/2026-09/deals",
            operation="test",
            idempotent=False,
            response=Property,
            json={
                "name": name,
                "label": name,
                "groupName": "dealinformation",
                "type": type_,
                "fieldType": field_type,
                "options": [
                    {"label": value, "value": value, "displayOrder": 0, "hidden": False} for value in options
                ],
            },
        )
        emulator.edit_definition_as_other_actor("deals", name, more)
    await app.state.hubspot.properties.list("deals", max_age_seconds=0)


async def listed(caller: Caller, object_type: str) -> dict[str, dict[str, Any]]:
    response = await caller.get(f"/api/properties/{object_type}")
    assert response.status_code == 200, response.text
    return {item["name"]: item for item in response.json()["data"]["results"]}


@pytest.mark.usefixtures("definitions")
async def test_each_property_has_the_form_field_of_the_account(customer: Caller) -> None:
    items = await listed(customer, "deals")
    assert {
        name: (items[name]["type"], items[name]["field_type"], items[name]["multiple"])
        for name in DEFINITIONS
    } == {name: expected for name, (_, expected) in DEFINITIONS.items()}
    assert items["amount"]["field_type"] == "currency"
    assert items["hubspot_owner_id"]["options"] == []
    assert [option["value"] for option in items["checkboxes"]["options"]] == ["A", "B"]


async def test_stage_options_name_their_pipeline(customer: Caller) -> None:
    for object_type, stage, pipeline in (
        ("deals", "dealstage", "default"),
        ("tickets", "hs_pipeline_stage", "0"),
    ):
        items = await listed(customer, object_type)
        assert {option["pipeline"] for option in items[stage]["options"]} == {pipeline}
        others = [name for name in items if name != stage]
        assert {option["pipeline"] for name in others for option in items[name]["options"]} <= {None}


@pytest.mark.parametrize("object_type", ["deals", "contacts"])
async def test_properties_that_the_account_requires_are_required(
    app: FastAPI, customer: Caller, emulator: Emulator, object_type: str
) -> None:
    name = "amount" if object_type == "deals" else "phone"
    assert not (await listed(customer, object_type))[name]["required"]
    emulator.switches.required_properties = {object_type: [name]}
    await app.state.hubspot.object_schemas.list(object_type, max_age_seconds=0)
    items = await listed(customer, object_type)
    assert items[name]["required"]
    assert not items["description" if object_type == "deals" else "lifecyclestage"]["required"]


async def test_property_list_works_without_the_schema_scope(
    app: FastAPI, customer: Caller, emulator: Emulator
) -> None:
    emulator.fail_next("GET", "/crm-object-schemas/*", status=403)
    assert (await listed(customer, "deals"))["dealname"]["required"]
