"""Pipelines, stages and property definitions, through HTTP requests without a client library."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.hubspot_emulator.conftest import Build, hubspot_client

from hubspot_emulator import Emulator

PIPELINES, PROPERTIES = "/crm/pipelines/2026-09", "/crm/properties/2026-09"
DEALS = "/crm/objects/2026-09/deals"
STAGE = {"label": "Trial", "displayOrder": 9, "metadata": {"probability": "0.5"}}
UNIQUE_PROPERTY = {
    "groupName": "dealinformation",
    "name": "Source_Key",
    "label": "Source key",
    "type": "string",
    "fieldType": "text",
    "hasUniqueValue": True,
}


class TestPipelines:
    async def test_default_pipelines_have_hubspot_stages(self, hubspot: httpx.AsyncClient) -> None:
        [deals] = (await hubspot.get(f"{PIPELINES}/deals")).json()["results"]
        [tickets] = (await hubspot.get(f"{PIPELINES}/tickets")).json()["results"]
        assert (deals["id"], deals["label"]) == ("default", "Sales Pipeline")
        assert {stage["id"]: stage["metadata"]["probability"] for stage in deals["stages"]} == {
            "appointmentscheduled": "0.2",
            "qualifiedtobuy": "0.4",
            "presentationscheduled": "0.6",
            "decisionmakerboughtin": "0.8",
            "contractsent": "0.9",
            "closedwon": "1.0",
            "closedlost": "0.0",
        }
        orders = [stage["displayOrder"] for stage in deals["stages"]]
        assert orders != sorted(orders)
        assert {stage["id"]: stage["metadata"]["ticketState"] for stage in tickets["stages"]} == {
            "1": "OPEN",
            "2": "OPEN",
            "3": "OPEN",
            "4": "CLOSED",
        }

    async def test_new_pipeline_accepts_deals_in_its_stages(self, hubspot: httpx.AsyncClient) -> None:
        body = {
            "label": "Partners",
            "displayOrder": 1,
            "stages": [STAGE, {**STAGE, "label": "Done", "metadata": {"probability": "1"}}],
        }
        pipeline = (await hubspot.post(f"{PIPELINES}/deals", json=body)).json()
        ids = [pipeline["id"], *(stage["id"] for stage in pipeline["stages"])]
        assert len(set(ids)) == 3
        assert all(identifier.isdigit() for identifier in ids)
        assert pipeline["stages"][1]["metadata"] == {"probability": "1.0", "isClosed": "true"}
        deal = {"dealname": "d", "pipeline": ids[0], "dealstage": ids[1]}
        assert (await hubspot.post(DEALS, json={"properties": deal})).status_code == 201
        # The stage is not valid in another pipeline.
        response = await hubspot.post(DEALS, json={"properties": {**deal, "pipeline": "default"}})
        assert response.json()["errors"][0]["code"] == "INVALID_OPTION"

    async def test_stage_of_an_archived_deal_can_be_deleted(
        self, hubspot: httpx.AsyncClient, emulator: Emulator
    ) -> None:
        stages = f"{PIPELINES}/deals/default/stages"
        stage = (await hubspot.post(stages, json=STAGE)).json()
        emulator.seed({"deals": [{"dealname": "d", "dealstage": stage["id"]}]})
        assert (await hubspot.delete(f"{stages}/{stage['id']}")).status_code == 400
        emulator.archive_as_other_actor("deals", emulator.records("deals")[0].id)
        assert (await hubspot.delete(f"{stages}/{stage['id']}")).status_code == 204
        assert (await hubspot.get(f"{stages}/{stage['id']}")).status_code == 404

    async def test_pipeline_label_and_stage_probability_are_updated(self, hubspot: httpx.AsyncClient) -> None:
        response = await hubspot.patch(f"{PIPELINES}/deals/default", json={"label": "Sales"})
        assert response.json()["label"] == "Sales"
        path = f"{PIPELINES}/deals/default/stages/contractsent"
        response = await hubspot.patch(path, json={"metadata": {"probability": "0.95"}})
        assert (await hubspot.get(path)).json()["metadata"] == {"probability": "0.95", "isClosed": "false"}

    async def test_unknown_pipeline_returns_html_unless_json_is_accepted(
        self, hubspot: httpx.AsyncClient
    ) -> None:
        path = f"{PIPELINES}/deals/none"
        page = await hubspot.get(path)
        assert (page.status_code, page.headers["content-type"].split(";")[0]) == (404, "text/html")
        response = await hubspot.get(path, headers={"Accept": "application/json"})
        assert (response.status_code, response.json()["category"]) == (404, "OBJECT_NOT_FOUND")

    async def test_put_of_pipeline_stage_requires_all_members(self, hubspot: httpx.AsyncClient) -> None:
        path = f"{PIPELINES}/deals/default/stages/contractsent"
        assert (await hubspot.put(path, json={"label": "Signed"})).status_code == 400
        assert (await hubspot.put(path, json={**STAGE, "label": "Signed"})).json()["label"] == "Signed"

    async def test_deleted_default_pipeline_stays_deleted_after_restart(
        self, build: Build, tmp_path: Path
    ) -> None:
        first = build(tmp_path / "state.db")
        async with hubspot_client(first) as hubspot:
            assert (await hubspot.delete(f"{PIPELINES}/tickets/0")).status_code == 204
        first.close()
        async with hubspot_client(build(tmp_path / "state.db")) as hubspot:
            assert (await hubspot.get(f"{PIPELINES}/tickets")).json()["results"] == []
            assert len((await hubspot.get(f"{PIPELINES}/deals")).json()["results"]) == 1

    @pytest.mark.parametrize("metadata", [{}, {"probability": "2"}, {"probability": "x"}, []])
    async def test_deal_stage_without_valid_probability_returns_400(
        self, hubspot: httpx.AsyncClient, metadata: Any
    ) -> None:
        response = await hubspot.post(
            f"{PIPELINES}/deals/default/stages", json={**STAGE, "metadata": metadata}
        )
        assert response.status_code == 400


class TestProperties:
    async def test_ticket_category_has_four_default_options(self, hubspot: httpx.AsyncClient) -> None:
        found = (await hubspot.get(f"{PROPERTIES}/tickets/hs_ticket_category")).json()
        assert (found["type"], found["fieldType"]) == ("enumeration", "checkbox")
        assert [option["value"] for option in found["options"]] == [
            "PRODUCT_ISSUE",
            "BILLING_ISSUE",
            "FEATURE_REQUEST",
            "GENERAL_INQUIRY",
        ]

    async def test_property_update_replaces_all_options(self, hubspot: httpx.AsyncClient) -> None:
        path = f"{PROPERTIES}/tickets/hs_ticket_category"
        option = {"label": "Meeting", "value": "MEETING", "displayOrder": 0, "hidden": False}
        ticket = {"subject": "t", "hs_pipeline_stage": "1", "hs_ticket_category": "MEETING"}
        tickets = "/crm/objects/2026-09/tickets"
        assert (await hubspot.post(tickets, json={"properties": ticket})).status_code == 400
        assert (await hubspot.patch(path, json={"options": [option]})).status_code == 200
        assert (await hubspot.post(tickets, json={"properties": ticket})).status_code == 201
        ticket["hs_ticket_category"] = "BILLING_ISSUE"
        assert (await hubspot.post(tickets, json={"properties": ticket})).status_code == 400

    async def test_value_with_leading_semicolon_adds_a_selected_option(
        self, hubspot: httpx.AsyncClient
    ) -> None:
        ticket = {
            "subject": "t",
            "hs_pipeline_stage": "1",
            "hs_ticket_category": "BILLING_ISSUE;PRODUCT_ISSUE",
        }
        created = (await hubspot.post("/crm/objects/2026-09/tickets", json={"properties": ticket})).json()
        change = {"properties": {"hs_ticket_category": ";FEATURE_REQUEST"}}
        response = await hubspot.patch(f"/crm/objects/2026-09/tickets/{created['id']}", json=change)
        assert (
            response.json()["properties"]["hs_ticket_category"]
            == "BILLING_ISSUE;PRODUCT_ISSUE;FEATURE_REQUEST"
        )

    async def test_unique_property_finds_record_and_refuses_duplicate(
        self, hubspot: httpx.AsyncClient
    ) -> None:
        response = await hubspot.post(f"{PROPERTIES}/deals", json=UNIQUE_PROPERTY)
        assert (response.status_code, response.json()["name"]) == (201, "source_key")
        deal = {"dealname": "d", "dealstage": "closedwon", "source_key": "k1"}
        created = (await hubspot.post(DEALS, json={"properties": deal})).json()
        again = await hubspot.post(DEALS, json={"properties": deal})
        assert again.status_code == 400
        assert f"{created['id']} already has that value." in again.json()["message"]
        found = await hubspot.get(f"{DEALS}/k1", params={"idProperty": "source_key"})
        assert found.json()["id"] == created["id"]
        inputs = [{"id": "k1", "idProperty": "source_key", "properties": {"amount": "5"}}]
        response = await hubspot.post(f"{DEALS}/batch/upsert", json={"inputs": inputs})
        assert response.json()["results"][0]["new"] is False

    async def test_duplicate_property_name_returns_409(self, hubspot: httpx.AsyncClient) -> None:
        await hubspot.post(f"{PROPERTIES}/deals", json=UNIQUE_PROPERTY)
        response = await hubspot.post(f"{PROPERTIES}/deals", json=UNIQUE_PROPERTY)
        assert (response.status_code, response.json()["category"]) == (409, "OBJECT_ALREADY_EXISTS")
        assert response.json()["subCategory"] == "Properties.PROPERTY_WITH_NAME_EXISTS"

    async def test_eleventh_unique_property_returns_400(self, hubspot: httpx.AsyncClient) -> None:
        statuses = [
            (
                await hubspot.post(f"{PROPERTIES}/deals", json={**UNIQUE_PROPERTY, "name": f"key_{number}"})
            ).status_code
            for number in range(11)
        ]
        assert statuses == [201] * 10 + [400]

    @pytest.mark.parametrize(
        "changes",
        [
            {"name": "1st"},
            {"type": "text"},
            {"fieldType": "box"},
            {"groupName": "nowhere"},
            {"label": None},
            {"type": "bool", "fieldType": "booleancheckbox", "options": []},
        ],
    )
    async def test_invalid_property_definition_returns_400(
        self, hubspot: httpx.AsyncClient, changes: dict[str, Any]
    ) -> None:
        assert (await hubspot.post(f"{PROPERTIES}/deals", json=UNIQUE_PROPERTY | changes)).status_code == 400

    async def test_archived_property_is_unknown_until_created_again(self, hubspot: httpx.AsyncClient) -> None:
        await hubspot.post(f"{PROPERTIES}/deals", json=UNIQUE_PROPERTY)
        assert (await hubspot.delete(f"{PROPERTIES}/deals/source_key")).status_code == 204
        assert (await hubspot.get(f"{PROPERTIES}/deals/source_key")).status_code == 404
        deal = {"dealname": "d", "dealstage": "closedwon", "source_key": "k1"}
        by_key = {"filters": [{"propertyName": "source_key", "operator": "EQ", "value": "k1"}]}
        assert (await hubspot.get(f"{DEALS}/k1", params={"idProperty": "source_key"})).status_code == 400
        assert (await hubspot.post(f"{DEALS}/search", json=by_key)).status_code == 400
        listed = await hubspot.get(DEALS, params={"properties": "source_key"})
        assert "source_key" not in listed.text
        assert (await hubspot.post(DEALS, json={"properties": deal})).status_code == 400
        assert (await hubspot.post(f"{PROPERTIES}/deals", json=UNIQUE_PROPERTY)).status_code == 201
        assert (await hubspot.post(DEALS, json={"properties": deal})).status_code == 201

    async def test_property_batches_create_in_new_group_and_report_unknown(
        self, hubspot: httpx.AsyncClient
    ) -> None:
        group = {"name": "ours", "label": "Ours"}
        assert (await hubspot.post(f"{PROPERTIES}/deals/groups", json=group)).status_code == 201
        inputs = [
            {**UNIQUE_PROPERTY, "groupName": "ours", "name": name, "hasUniqueValue": False}
            for name in ("a", "b")
        ]
        response = await hubspot.post(f"{PROPERTIES}/deals/batch/create", json={"inputs": inputs})
        assert (response.status_code, len(response.json()["results"])) == (201, 2)
        body = {
            "inputs": [{"name": "a"}, {"name": "zzz"}],
            "archived": False,
            "dataSensitivity": "non_sensitive",
        }
        response = await hubspot.post(f"{PROPERTIES}/deals/batch/read", json=body)
        assert (response.status_code, response.json()["numErrors"]) == (207, 1)

    async def test_new_pipeline_stage_is_an_option_of_dealstage(self, hubspot: httpx.AsyncClient) -> None:
        stage = (await hubspot.post(f"{PIPELINES}/deals/default/stages", json=STAGE)).json()
        found = (await hubspot.get(f"{PROPERTIES}/deals/dealstage")).json()
        assert stage["id"] in [option["value"] for option in found["options"]]
