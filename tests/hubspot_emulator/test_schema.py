"""Pipelines, stages and property definitions, by raw HTTP."""

from typing import Any

import httpx
import pytest

from hubspot_emulator import Emulator

PIPELINES, PROPERTIES = "/crm/pipelines/2026-09", "/crm/properties/2026-09"
DEALS = "/crm/objects/2026-09/deals"
A_STAGE = {"label": "Trial", "displayOrder": 9, "metadata": {"probability": "0.5"}}
KEY = {
    "groupName": "dealinformation",
    "name": "Source_Key",
    "label": "Source key",
    "type": "string",
    "fieldType": "text",
    "hasUniqueValue": True,
}


class TestPipelines:
    async def test_the_defaults(self, hubspot: httpx.AsyncClient) -> None:
        [deals] = (await hubspot.get(f"{PIPELINES}/deals")).json()["results"]
        [tickets] = (await hubspot.get(f"{PIPELINES}/tickets")).json()["results"]
        assert (deals["id"], deals["label"]) == ("default", "Sales Pipeline")
        assert {each["id"]: each["metadata"]["probability"] for each in deals["stages"]} == {
            "appointmentscheduled": "0.2",
            "qualifiedtobuy": "0.4",
            "presentationscheduled": "0.6",
            "decisionmakerboughtin": "0.8",
            "contractsent": "0.9",
            "closedwon": "1.0",
            "closedlost": "0.0",
        }
        orders = [each["displayOrder"] for each in deals["stages"]]
        assert orders != sorted(orders)
        assert {each["id"]: each["metadata"]["ticketState"] for each in tickets["stages"]} == {
            "1": "OPEN",
            "2": "OPEN",
            "3": "OPEN",
            "4": "CLOSED",
        }

    async def test_a_new_pipeline_takes_deals_at_once(self, hubspot: httpx.AsyncClient) -> None:
        body = {
            "label": "Partners",
            "displayOrder": 1,
            "stages": [A_STAGE, {**A_STAGE, "label": "Done", "metadata": {"probability": "1"}}],
        }
        pipeline = (await hubspot.post(f"{PIPELINES}/deals", json=body)).json()
        ids = [pipeline["id"], *(each["id"] for each in pipeline["stages"])]
        assert len(set(ids)) == 3
        assert all(each.isdigit() for each in ids)
        assert pipeline["stages"][1]["metadata"] == {"probability": "1.0", "isClosed": "true"}
        deal = {"dealname": "d", "pipeline": ids[0], "dealstage": ids[1]}
        assert (await hubspot.post(DEALS, json={"properties": deal})).status_code == 201
        # A stage belongs to its own pipeline.
        answer = await hubspot.post(DEALS, json={"properties": {**deal, "pipeline": "default"}})
        assert answer.json()["errors"][0]["code"] == "INVALID_OPTION"
        assert (await hubspot.post(f"{PIPELINES}/deals", json=body)).status_code == 409

    async def test_a_stage_in_use_cannot_be_deleted(
        self, hubspot: httpx.AsyncClient, emulator: Emulator
    ) -> None:
        stages = f"{PIPELINES}/deals/default/stages"
        stage = (await hubspot.post(stages, json=A_STAGE)).json()
        emulator.seed({"deals": [{"dealname": "d", "dealstage": stage["id"]}]})
        answer = await hubspot.delete(f"{stages}/{stage['id']}")
        assert (answer.status_code, answer.json()["subCategory"]) == (400, "PipelineError.STAGE_ID_IN_USE")
        emulator.archive_as_other_actor("deals", emulator.records("deals")[0].id)
        assert (await hubspot.delete(f"{stages}/{stage['id']}")).status_code == 204
        assert (await hubspot.get(f"{stages}/{stage['id']}")).status_code == 404

    async def test_labels_and_chances_change(self, hubspot: httpx.AsyncClient) -> None:
        answer = await hubspot.patch(f"{PIPELINES}/deals/default", json={"label": "Sales"})
        assert answer.json()["label"] == "Sales"
        path = f"{PIPELINES}/deals/default/stages/contractsent"
        answer = await hubspot.patch(path, json={"metadata": {"probability": "0.95"}})
        assert (await hubspot.get(path)).json()["metadata"] == {"probability": "0.95", "isClosed": "false"}

    async def test_an_unknown_pipeline_is_a_page_unless_json_is_asked_for(
        self, hubspot: httpx.AsyncClient
    ) -> None:
        path = f"{PIPELINES}/deals/none"
        page = await hubspot.get(path)
        assert (page.status_code, page.headers["content-type"].split(";")[0]) == (404, "text/html")
        answer = await hubspot.get(path, headers={"Accept": "application/json"})
        assert (answer.status_code, answer.json()["category"]) == (404, "OBJECT_NOT_FOUND")

    async def test_a_put_of_a_stage_names_all_of_it(self, hubspot: httpx.AsyncClient) -> None:
        path = f"{PIPELINES}/deals/default/stages/contractsent"
        assert (await hubspot.put(path, json={"label": "Signed"})).status_code == 400
        assert (await hubspot.put(path, json={**A_STAGE, "label": "Signed"})).json()["label"] == "Signed"

    @pytest.mark.parametrize("second", [{"label": "Trial"}, {"label": "Other", "stageId": "7"}])
    async def test_the_stages_of_a_pipeline_differ(
        self, hubspot: httpx.AsyncClient, second: dict[str, str]
    ) -> None:
        stages = [{**A_STAGE, "stageId": "7"}, {**A_STAGE, **second}]
        body = {"label": "Partners", "displayOrder": 1, "stages": stages}
        assert (await hubspot.post(f"{PIPELINES}/deals", json=body)).status_code == 409
        body["stages"] = stages[:1]
        pipeline = (await hubspot.post(f"{PIPELINES}/deals", json=body)).json()
        answer = await hubspot.post(f"{PIPELINES}/deals/{pipeline['id']}/stages", json=stages[1])
        assert answer.status_code == 409

    @pytest.mark.parametrize("metadata", [{}, {"probability": "2"}, {"probability": "x"}, []])
    async def test_a_deal_stage_needs_a_chance(self, hubspot: httpx.AsyncClient, metadata: Any) -> None:
        answer = await hubspot.post(
            f"{PIPELINES}/deals/default/stages", json={**A_STAGE, "metadata": metadata}
        )
        assert answer.status_code == 400


class TestProperties:
    async def test_the_four_categories_of_a_new_account(self, hubspot: httpx.AsyncClient) -> None:
        found = (await hubspot.get(f"{PROPERTIES}/tickets/hs_ticket_category")).json()
        assert (found["type"], found["fieldType"]) == ("enumeration", "checkbox")
        assert [each["value"] for each in found["options"]] == [
            "PRODUCT_ISSUE",
            "BILLING_ISSUE",
            "FEATURE_REQUEST",
            "GENERAL_INQUIRY",
        ]

    async def test_options_are_replaced_as_a_whole(self, hubspot: httpx.AsyncClient) -> None:
        path = f"{PROPERTIES}/tickets/hs_ticket_category"
        option = {"label": "Meeting", "value": "MEETING", "displayOrder": 0, "hidden": False}
        ticket = {"subject": "t", "hs_pipeline_stage": "1", "hs_ticket_category": "MEETING"}
        tickets = "/crm/objects/2026-09/tickets"
        assert (await hubspot.post(tickets, json={"properties": ticket})).status_code == 400
        assert (await hubspot.patch(path, json={"options": [option]})).status_code == 200
        assert (await hubspot.post(tickets, json={"properties": ticket})).status_code == 201
        ticket["hs_ticket_category"] = "BILLING_ISSUE"
        assert (await hubspot.post(tickets, json={"properties": ticket})).status_code == 400

    async def test_several_options_at_once_and_a_leading_semicolon(self, hubspot: httpx.AsyncClient) -> None:
        ticket = {
            "subject": "t",
            "hs_pipeline_stage": "1",
            "hs_ticket_category": "BILLING_ISSUE;PRODUCT_ISSUE",
        }
        made = (await hubspot.post("/crm/objects/2026-09/tickets", json={"properties": ticket})).json()
        change = {"properties": {"hs_ticket_category": ";FEATURE_REQUEST"}}
        answer = await hubspot.patch(f"/crm/objects/2026-09/tickets/{made['id']}", json=change)
        assert (
            answer.json()["properties"]["hs_ticket_category"] == "BILLING_ISSUE;PRODUCT_ISSUE;FEATURE_REQUEST"
        )

    async def test_a_unique_property_identifies_and_is_taken_once(self, hubspot: httpx.AsyncClient) -> None:
        answer = await hubspot.post(f"{PROPERTIES}/deals", json=KEY)
        assert (answer.status_code, answer.json()["name"]) == (201, "source_key")
        deal = {"dealname": "d", "dealstage": "closedwon", "source_key": "k1"}
        made = (await hubspot.post(DEALS, json={"properties": deal})).json()
        again = await hubspot.post(DEALS, json={"properties": deal})
        assert again.status_code == 400
        assert again.json()["errors"][0]["code"] == "CONFLICTING_UNIQUE_VALUE"
        assert made["id"] in again.json()["message"]
        found = await hubspot.get(f"{DEALS}/k1", params={"idProperty": "source_key"})
        assert found.json()["id"] == made["id"]
        inputs = [{"id": "k1", "idProperty": "source_key", "properties": {"amount": "5"}}]
        answer = await hubspot.post(f"{DEALS}/batch/upsert", json={"inputs": inputs})
        assert answer.json()["results"][0]["new"] is False

    async def test_a_name_is_taken_once(self, hubspot: httpx.AsyncClient) -> None:
        await hubspot.post(f"{PROPERTIES}/deals", json=KEY)
        answer = await hubspot.post(f"{PROPERTIES}/deals", json=KEY)
        assert (answer.status_code, answer.json()["category"]) == (409, "OBJECT_ALREADY_EXISTS")
        assert answer.json()["subCategory"] == "Properties.PROPERTY_WITH_NAME_EXISTS"

    async def test_no_more_than_ten_unique_ones(self, hubspot: httpx.AsyncClient) -> None:
        statuses = [
            (await hubspot.post(f"{PROPERTIES}/deals", json={**KEY, "name": f"key_{number}"})).status_code
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
    async def test_a_wrong_definition_is_a_400(
        self, hubspot: httpx.AsyncClient, changes: dict[str, Any]
    ) -> None:
        assert (await hubspot.post(f"{PROPERTIES}/deals", json=KEY | changes)).status_code == 400

    async def test_an_archived_one_is_gone_and_may_come_back(self, hubspot: httpx.AsyncClient) -> None:
        await hubspot.post(f"{PROPERTIES}/deals", json=KEY)
        assert (await hubspot.delete(f"{PROPERTIES}/deals/source_key")).status_code == 204
        assert (await hubspot.get(f"{PROPERTIES}/deals/source_key")).status_code == 404
        deal = {"dealname": "d", "dealstage": "closedwon", "source_key": "k1"}
        by_key = {"filters": [{"propertyName": "source_key", "operator": "EQ", "value": "k1"}]}
        assert (await hubspot.get(f"{DEALS}/k1", params={"idProperty": "source_key"})).status_code == 400
        assert (await hubspot.post(f"{DEALS}/search", json=by_key)).status_code == 400
        listed = await hubspot.get(DEALS, params={"properties": "source_key"})
        assert "source_key" not in listed.text
        assert (await hubspot.post(DEALS, json={"properties": deal})).status_code == 400
        assert (await hubspot.post(f"{PROPERTIES}/deals", json=KEY)).status_code == 201
        assert (await hubspot.post(DEALS, json={"properties": deal})).status_code == 201

    async def test_groups_and_batches(self, hubspot: httpx.AsyncClient) -> None:
        group = {"name": "ours", "label": "Ours"}
        assert (await hubspot.post(f"{PROPERTIES}/deals/groups", json=group)).status_code == 201
        inputs = [{**KEY, "groupName": "ours", "name": each, "hasUniqueValue": False} for each in ("a", "b")]
        answer = await hubspot.post(f"{PROPERTIES}/deals/batch/create", json={"inputs": inputs})
        assert (answer.status_code, len(answer.json()["results"])) == (201, 2)
        body = {
            "inputs": [{"name": "a"}, {"name": "zzz"}],
            "archived": False,
            "dataSensitivity": "non_sensitive",
        }
        answer = await hubspot.post(f"{PROPERTIES}/deals/batch/read", json=body)
        assert (answer.status_code, answer.json()["numErrors"]) == (207, 1)

    async def test_stages_are_the_options_of_the_stage_property(self, hubspot: httpx.AsyncClient) -> None:
        stage = (await hubspot.post(f"{PIPELINES}/deals/default/stages", json=A_STAGE)).json()
        found = (await hubspot.get(f"{PROPERTIES}/deals/dealstage")).json()
        assert stage["id"] in [each["value"] for each in found["options"]]
