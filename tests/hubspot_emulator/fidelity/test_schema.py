"""Properties, pipelines and account details."""

import asyncio
import re
import uuid

import httpx
from tests.hubspot_emulator.fidelity.records import TICKETS, is_emulator


class TestSchema:
    async def test_ticket_stage_metadata_values_are_strings(self, hubspot: httpx.AsyncClient) -> None:
        rows = (await hubspot.get("/crm/pipelines/2026-09/tickets")).json()["results"]
        stages = [stage for pipeline in rows for stage in pipeline["stages"]]
        assert {stage["metadata"]["ticketState"] for stage in stages} == {"OPEN", "CLOSED"}
        assert {stage["metadata"]["isClosed"] for stage in stages} == {"true", "false"}

    async def test_unique_property_finds_record_and_refuses_duplicate(
        self, hubspot: httpx.AsyncClient
    ) -> None:
        name = "crm_api_fidelity_key"
        definition = {
            "groupName": "ticketinformation",
            "name": name,
            "label": "Fidelity key",
            "type": "string",
            "fieldType": "text",
            "hasUniqueValue": True,
        }
        created = await hubspot.post("/crm/properties/2026-09/tickets", json=definition)
        assert created.status_code in (201, 409)
        again = await hubspot.post("/crm/properties/2026-09/tickets", json=definition)
        assert again.status_code == 409
        assert again.json()["category"] == "OBJECT_ALREADY_EXISTS"
        await asyncio.sleep(0 if is_emulator(hubspot) else 2)
        key = uuid.uuid4().hex
        properties = {"subject": "Fidelity", "hs_pipeline_stage": "1", name: key}
        created = await hubspot.post(TICKETS, json={"properties": properties})
        assert created.status_code == 201
        second = await hubspot.post(TICKETS, json={"properties": properties})
        assert second.status_code == 400
        error = second.json()
        assert error["category"] == "VALIDATION_ERROR"
        assert "errors" not in error
        assert re.fullmatch(
            r"Cannot set PropertyValueCoordinates\{portalId=\d+, objectTypeId=ObjectTypeId"
            rf"\{{legacyObjectType=TICKET\}}, propertyName={name}, value={key}\}} on \d+\. "
            rf"{created.json()['id']} already has that value\.",
            error["message"],
        )
        read = await hubspot.get(f"{TICKETS}/{key}", params={"idProperty": name})
        assert read.json()["id"] == created.json()["id"]

    async def test_account_details_have_portal_id(self, hubspot: httpx.AsyncClient) -> None:
        response = (await hubspot.get("/account-info/2026-09/details")).json()
        assert isinstance(response["portalId"], int)

    async def test_error_for_invalid_field_type_lists_valid_field_types(
        self, hubspot: httpx.AsyncClient
    ) -> None:
        definition = {
            "groupName": "ticketinformation",
            "name": "crm_api_fidelity_field",
            "label": "Fidelity field",
            "type": "string",
            "fieldType": "single_line_text",
        }
        response = await hubspot.post("/crm/properties/2026-09/tickets", json=definition)
        assert response.status_code == 400
        assert "Enum type must be one of: [calculation_equation, checkbox, " in response.json()["message"]
