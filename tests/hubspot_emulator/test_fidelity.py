"""What HubSpot does, held against the emulator, and against a real account too when HUBSPOT_TEST_TOKEN is set.

Choose one with `-k on_emulator` or `-k on_hubspot`. The account must be one made for tests: the suite writes to it.
With HUBSPOT_OPENAPI_DIR set, what the emulator answers here is held against HubSpot's published documents.
"""

import asyncio
import os
import re
import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from tests.support.hubspot_contract import held_to_the_documents

from hubspot_emulator import create_emulator

CONTACTS = "/crm/objects/2026-09/contacts"
DEALS = "/crm/objects/2026-09/deals"
TICKETS = "/crm/objects/2026-09/tickets"


TOKEN_VARIABLE = "HUBSPOT_TEST_TOKEN"
TOKEN = os.environ.get(TOKEN_VARIABLE, "")


@pytest.fixture(params=["on_emulator", "on_hubspot"] if TOKEN else ["on_emulator"])
async def hubspot(request: pytest.FixtureRequest) -> AsyncIterator[httpx.AsyncClient]:
    if request.param == "on_hubspot":
        async with a_client(httpx.AsyncHTTPTransport(), "https://api.hubapi.com", TOKEN) as client:
            yield client
        return
    emulator = create_emulator()
    with held_to_the_documents(emulator):
        async with a_client(
            httpx.ASGITransport(emulator.app), "http://emulator", "demo-access-token"
        ) as client:
            yield client
    emulator.close()


def test_a_real_account_was_asked_as_well() -> None:
    if not TOKEN:
        pytest.skip(f"{TOKEN_VARIABLE} is not set: the fidelity suite ran on the emulator alone")


def a_client(transport: httpx.AsyncBaseTransport, base_url: str, token: str) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.AsyncClient(transport=transport, base_url=base_url, headers=headers, timeout=30)


def is_emulator(hubspot: httpx.AsyncClient) -> bool:
    return hubspot.base_url.host == "emulator"


def an_email() -> str:
    return f"fidelity-{uuid.uuid4().hex}@example.com"


async def a_contact(hubspot: httpx.AsyncClient, **properties: str) -> dict[str, Any]:
    body = {"properties": {"email": an_email()} | properties}
    answer = await hubspot.post(CONTACTS, json=body)
    assert answer.status_code == 201, answer.text
    record: dict[str, Any] = answer.json()
    return record


async def a_deal(hubspot: httpx.AsyncClient, **properties: str) -> dict[str, Any]:
    body = {"properties": {"dealname": "Fidelity", "dealstage": "appointmentscheduled"} | properties}
    answer = await hubspot.post(DEALS, json=body)
    assert answer.status_code == 201, answer.text
    record: dict[str, Any] = answer.json()
    return record


class TestRecords:
    async def test_an_email_comes_back_in_lower_case(self, hubspot: httpx.AsyncClient) -> None:
        email = an_email()
        created = await a_contact(hubspot, email=email.upper())
        assert created["properties"]["email"] == email

    async def test_every_value_is_text(self, hubspot: httpx.AsyncClient) -> None:
        created = await a_deal(hubspot, amount="1500.50", closedate="1793750400000")
        read = (await hubspot.get(f"{DEALS}/{created['id']}")).json()
        assert read["properties"]["amount"] == "1500.50"
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", read["properties"]["closedate"])
        assert all(value is None or isinstance(value, str) for value in read["properties"].values())
        assert read["properties"]["hs_object_id"] == read["id"]

    async def test_a_read_names_the_default_properties(self, hubspot: httpx.AsyncClient) -> None:
        created = await a_contact(hubspot)
        read = (await hubspot.get(f"{CONTACTS}/{created['id']}")).json()
        assert set(read["properties"]) == {
            "createdate",
            "email",
            "firstname",
            "hs_object_id",
            "lastmodifieddate",
            "lastname",
        }
        assert not read["properties"]["firstname"]

    async def test_an_unknown_property_is_dropped_from_a_read(self, hubspot: httpx.AsyncClient) -> None:
        created = await a_contact(hubspot)
        query = {"properties": "phone,no_such_property_at_all"}
        read = (await hubspot.get(f"{CONTACTS}/{created['id']}", params=query)).json()
        assert "phone" in read["properties"]
        assert "no_such_property_at_all" not in read["properties"]
        assert {"createdate", "lastmodifieddate", "hs_object_id"} <= set(read["properties"])

    async def test_null_leaves_a_value_and_an_empty_text_clears_it(self, hubspot: httpx.AsyncClient) -> None:
        created = await a_contact(hubspot, firstname="Ada")
        path = f"{CONTACTS}/{created['id']}"
        kept = await hubspot.patch(path, json={"properties": {"firstname": None}})
        assert kept.status_code == 200
        assert (await hubspot.get(path)).json()["properties"]["firstname"] == "Ada"
        await hubspot.patch(path, json={"properties": {"firstname": ""}})
        assert not (await hubspot.get(path)).json()["properties"]["firstname"]

    async def test_a_deal_in_a_closing_stage_is_closed(self, hubspot: httpx.AsyncClient) -> None:
        created = await a_deal(hubspot, dealstage="closedwon")
        query = {"properties": "hs_is_closed,hs_is_closed_won,hs_deal_stage_probability"}
        properties = (await hubspot.get(f"{DEALS}/{created['id']}", params=query)).json()["properties"]
        assert properties["hs_is_closed"] == "true"
        assert properties["hs_is_closed_won"] == "true"
        assert float(properties["hs_deal_stage_probability"]) == 1.0

    async def test_an_archived_record_is_read_only_as_an_archived_one(
        self, hubspot: httpx.AsyncClient
    ) -> None:
        path = f"{CONTACTS}/{(await a_contact(hubspot))['id']}"
        assert (await hubspot.delete(path)).status_code == 204
        assert (await hubspot.get(path)).status_code == 404
        assert (await hubspot.get(path, params={"archived": "true"})).json()["archived"] is True

    async def test_archiving_what_does_not_exist_answers_204(self, hubspot: httpx.AsyncClient) -> None:
        assert (await hubspot.delete(f"{CONTACTS}/999999999999")).status_code == 204

    async def test_a_contact_is_read_by_its_email(self, hubspot: httpx.AsyncClient) -> None:
        created = await a_contact(hubspot)
        path = f"{CONTACTS}/{created['properties']['email']}"
        read = await hubspot.get(path, params={"idProperty": "email"})
        assert read.json()["id"] == created["id"]
        missing = await hubspot.get(f"{CONTACTS}/{an_email()}", params={"idProperty": "email"})
        assert missing.status_code == 404


class TestRefusals:
    async def test_a_second_contact_with_an_email_is_a_409_that_names_the_first(
        self, hubspot: httpx.AsyncClient
    ) -> None:
        created = await a_contact(hubspot)
        email = created["properties"]["email"].upper()
        answer = await hubspot.post(CONTACTS, json={"properties": {"email": email}})
        assert answer.status_code == 409
        assert answer.json()["category"] == "CONFLICT"
        assert re.search(r"Existing ID: (\d+)", answer.json()["message"]).group(1) == created["id"]  # type: ignore[union-attr]

    @pytest.mark.parametrize(
        ("path", "properties", "code"),
        [
            (CONTACTS, {"no_such_property": "1"}, "PROPERTY_DOESNT_EXIST"),
            (CONTACTS, {"email": "no address"}, "INVALID_EMAIL"),
            (CONTACTS, {"lifecyclestage": "no-such-stage"}, "INVALID_OPTION"),
            (CONTACTS, {"createdate": "2026-01-01"}, "READ_ONLY_VALUE"),
            (DEALS, {"dealname": "x", "dealstage": "appointmentscheduled", "amount": "much"}, "INVALID_LONG"),
        ],
        ids=lambda value: value if isinstance(value, str) and value.isupper() else "",
    )
    async def test_a_bad_value_is_a_400_with_its_code(
        self, hubspot: httpx.AsyncClient, path: str, properties: dict[str, str], code: str
    ) -> None:
        answer = await hubspot.post(path, json={"properties": properties})
        assert answer.status_code == 400
        assert answer.json()["category"] == "VALIDATION_ERROR"
        assert code in answer.text
        assert answer.headers["x-hubspot-correlation-id"] == answer.json()["correlationId"]

    async def test_an_unknown_path_is_a_404(self, hubspot: httpx.AsyncClient) -> None:
        assert (await hubspot.get("/crm/objects/2026-09/no_such_type/1/2/3")).status_code == 404

    async def test_an_answer_without_a_token_is_a_401(self, hubspot: httpx.AsyncClient) -> None:
        answer = await hubspot.get(CONTACTS, headers={"Authorization": ""})
        assert answer.status_code == 401
        assert answer.json()["category"] == "INVALID_AUTHENTICATION"


class TestBatches:
    async def test_missing_ids_of_a_batch_read_are_one_row_of_a_207(self, hubspot: httpx.AsyncClient) -> None:
        created = await a_contact(hubspot)
        inputs = [{"id": "999999999998"}, {"id": created["id"]}, {"id": "999999999999"}]
        answer = await hubspot.post(
            f"{CONTACTS}/batch/read", json={"inputs": inputs, "properties": ["email"]}
        )
        assert answer.status_code == 207
        body = answer.json()
        assert [each["id"] for each in body["results"]] == [created["id"]]
        assert body["numErrors"] == 1
        assert body["errors"][0]["category"] == "OBJECT_NOT_FOUND"
        assert sorted(body["errors"][0]["context"]["ids"]) == ["999999999998", "999999999999"]

    async def test_a_complete_batch_read_is_a_200_without_errors(self, hubspot: httpx.AsyncClient) -> None:
        created = await a_contact(hubspot)
        body = {"inputs": [{"id": created["id"]}], "properties": ["email"]}
        answer = await hubspot.post(f"{CONTACTS}/batch/read", json=body)
        assert answer.status_code == 200
        assert "errors" not in answer.json()

    async def test_101_inputs_are_refused(self, hubspot: httpx.AsyncClient) -> None:
        inputs = [{"id": str(1_000_000 + number)} for number in range(101)]
        answer = await hubspot.post(f"{CONTACTS}/batch/read", json={"inputs": inputs, "properties": []})
        assert answer.status_code == 400
        assert "maximum number of inputs supported in a batch is 100" in answer.text

    async def test_the_same_id_twice_in_a_batch_update_is_refused(self, hubspot: httpx.AsyncClient) -> None:
        created = await a_contact(hubspot)
        inputs = [{"id": created["id"], "properties": {"firstname": name}} for name in ("A", "B")]
        answer = await hubspot.post(f"{CONTACTS}/batch/update", json={"inputs": inputs})
        assert answer.status_code == 400
        assert created["id"] in answer.text

    async def test_without_trace_ids_one_bad_input_refuses_the_batch(
        self, hubspot: httpx.AsyncClient
    ) -> None:
        email = an_email()
        inputs = [{"properties": {"email": email}}, {"properties": {"email": "no address"}}]
        answer = await hubspot.post(f"{CONTACTS}/batch/create", json={"inputs": inputs})
        assert answer.status_code == 400
        read = await hubspot.get(f"{CONTACTS}/{email}", params={"idProperty": "email"})
        assert read.status_code == 404

    async def test_with_trace_ids_the_good_inputs_are_written(self, hubspot: httpx.AsyncClient) -> None:
        email = an_email()
        inputs = [
            {"properties": {"email": email}, "objectWriteTraceId": "good"},
            {"properties": {"email": "no address"}, "objectWriteTraceId": "bad"},
        ]
        answer = await hubspot.post(f"{CONTACTS}/batch/create", json={"inputs": inputs})
        assert answer.status_code == 207
        assert [each["objectWriteTraceId"] for each in answer.json()["results"]] == ["good"]
        assert answer.json()["errors"][0]["context"]["objectWriteTraceId"] == ["bad"]

    async def test_upserting_an_email_creates_and_then_updates(self, hubspot: httpx.AsyncClient) -> None:
        email = an_email()
        inputs = [{"id": email, "idProperty": "email", "properties": {"firstname": "Ada"}}]
        first = (await hubspot.post(f"{CONTACTS}/batch/upsert", json={"inputs": inputs})).json()["results"]
        second = (await hubspot.post(f"{CONTACTS}/batch/upsert", json={"inputs": inputs})).json()["results"]
        assert [first[0]["new"], second[0]["new"]] == [True, False]
        assert first[0]["id"] == second[0]["id"]

    async def test_a_deal_cannot_be_upserted_by_its_name(self, hubspot: httpx.AsyncClient) -> None:
        inputs = [{"id": "x", "idProperty": "dealname", "properties": {"dealstage": "closedwon"}}]
        answer = await hubspot.post(f"{DEALS}/batch/upsert", json={"inputs": inputs})
        assert answer.status_code == 400
        assert "non-unique" in answer.text


class TestSearch:
    async def test_a_new_contact_is_found_by_its_email(self, hubspot: httpx.AsyncClient) -> None:
        created = await a_contact(hubspot)
        filters = [{"propertyName": "email", "operator": "EQ", "value": created["properties"]["email"]}]
        found: list[dict[str, Any]] = []
        for _ in range(1 if is_emulator(hubspot) else 30):
            answer = await hubspot.post(f"{CONTACTS}/search", json={"filterGroups": [{"filters": filters}]})
            assert answer.status_code == 200
            found = answer.json()["results"]
            if found:
                break
            await asyncio.sleep(2)
        assert [each["id"] for each in found] == [created["id"]]
        assert answer.json()["total"] == 1
        assert "paging" not in answer.json()

    @pytest.mark.parametrize(
        "body",
        [
            {"limit": 201},
            {"after": "10000", "limit": 10},
            {"filterGroups": [{"filters": []}] * 6},
            {"filterGroups": [{"filters": [{"propertyName": "email", "operator": "HAS_PROPERTY"}] * 7}]},
            {"filterGroups": [{"filters": [{"propertyName": "email", "operator": "HAS_PROPERTY"}] * 5}] * 4},
            {"query": "x" * 3001},
            {
                "filterGroups": [
                    {"filters": [{"propertyName": "no_such_one", "operator": "EQ", "value": "1"}]}
                ]
            },
            {"filterGroups": [{"filters": [{"propertyName": "email", "operator": "LIKE", "value": "1"}]}]},
        ],
        ids=["limit", "ceiling", "groups", "filters", "total", "query", "property", "operator"],
    )
    async def test_a_search_beyond_the_caps_is_refused(
        self, hubspot: httpx.AsyncClient, body: dict[str, Any]
    ) -> None:
        answer = await hubspot.post(f"{CONTACTS}/search", json=body)
        assert answer.status_code == 400


class TestAssociations:
    async def test_a_deal_created_with_a_contact_is_linked_both_ways(
        self, hubspot: httpx.AsyncClient
    ) -> None:
        contact = await a_contact(hubspot)
        body = {
            "properties": {"dealname": "Fidelity", "dealstage": "appointmentscheduled"},
            "associations": [
                {
                    "to": {"id": contact["id"]},
                    "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 3}],
                }
            ],
        }
        created = await hubspot.post(DEALS, json=body)
        assert created.status_code == 201
        assert "associations" not in created.json()
        deal = created.json()["id"]
        read = (await hubspot.get(f"{DEALS}/{deal}", params={"associations": "contacts,tickets"})).json()
        assert {each["id"] for each in read["associations"]["contacts"]["results"]} == {contact["id"]}
        assert "tickets" not in read["associations"]
        path = "/crm/associations/2026-09/contacts/deals/batch/read"
        back = (await hubspot.post(path, json={"inputs": [{"id": contact["id"]}]})).json()
        assert back["results"][0]["from"] == {"id": contact["id"]}
        row = back["results"][0]["to"][0]
        assert str(row["toObjectId"]) == deal
        assert {"category": "HUBSPOT_DEFINED", "typeId": 4, "label": None}.items() <= row["associationTypes"][
            0
        ].items()

    async def test_a_record_without_links_is_an_error_row_of_a_207(self, hubspot: httpx.AsyncClient) -> None:
        deal = (await a_deal(hubspot))["id"]
        path = "/crm/associations/2026-09/deals/contacts/batch/read"
        answer = await hubspot.post(path, json={"inputs": [{"id": deal}]})
        assert answer.status_code == 207
        error = answer.json()["errors"][0]
        assert error["subCategory"] == "crm.associations.NO_ASSOCIATIONS_FOUND"
        assert error["context"]["fromObjectId"] == [deal]

    async def test_the_default_link_can_be_put_twice(self, hubspot: httpx.AsyncClient) -> None:
        contact, deal = (await a_contact(hubspot))["id"], (await a_deal(hubspot))["id"]
        path = f"{DEALS}/{deal}/associations/default/contacts/{contact}"
        assert [(await hubspot.put(path)).status_code for _ in range(2)] == [200, 200]
        listed = (await hubspot.get(f"{DEALS}/{deal}/associations/contacts")).json()["results"]
        assert [str(each["toObjectId"]) for each in listed] == [contact]

    async def test_a_wrong_association_type_is_refused(self, hubspot: httpx.AsyncClient) -> None:
        contact = (await a_contact(hubspot))["id"]
        body = {
            "properties": {"dealname": "Fidelity", "dealstage": "appointmentscheduled"},
            "associations": [
                {
                    "to": {"id": contact},
                    "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 16}],
                }
            ],
        }
        assert (await hubspot.post(DEALS, json=body)).status_code == 400

    async def test_an_unknown_association_target_is_refused(self, hubspot: httpx.AsyncClient) -> None:
        body = {
            "properties": {"dealname": "Fidelity", "dealstage": "appointmentscheduled"},
            "associations": [
                {
                    "to": {"id": "999999999999"},
                    "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 3}],
                }
            ],
        }
        assert (await hubspot.post(DEALS, json=body)).status_code == 400


class TestMerge:
    async def test_both_old_ids_lead_to_the_survivor(self, hubspot: httpx.AsyncClient) -> None:
        kept, gone = await a_contact(hubspot), await a_contact(hubspot)
        body = {"primaryObjectId": kept["id"], "objectIdToMerge": gone["id"]}
        answer = await hubspot.post(f"{CONTACTS}/merge", json=body)
        assert answer.status_code == 200
        survivor = answer.json()["id"]
        for old in (kept["id"], gone["id"]):
            assert (await hubspot.get(f"{CONTACTS}/{old}")).json()["id"] == survivor

    async def test_the_email_of_a_merged_contact_cannot_be_used_again(
        self, hubspot: httpx.AsyncClient
    ) -> None:
        kept, gone = await a_contact(hubspot), await a_contact(hubspot)
        body = {"primaryObjectId": kept["id"], "objectIdToMerge": gone["id"]}
        survivor = (await hubspot.post(f"{CONTACTS}/merge", json=body)).json()["id"]
        email = gone["properties"]["email"]
        answer = await hubspot.post(CONTACTS, json={"properties": {"email": email}})
        assert answer.status_code == 409
        assert survivor in answer.json()["message"]


class TestSchema:
    async def test_pipelines_carry_text_in_their_metadata(self, hubspot: httpx.AsyncClient) -> None:
        listed = (await hubspot.get("/crm/pipelines/2026-09/tickets")).json()["results"]
        stages = [stage for pipeline in listed for stage in pipeline["stages"]]
        assert {stage["metadata"]["ticketState"] for stage in stages} == {"OPEN", "CLOSED"}
        assert {stage["metadata"]["isClosed"] for stage in stages} == {"true", "false"}

    async def test_a_unique_property_finds_its_record_and_refuses_a_second(
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
        made = await hubspot.post("/crm/properties/2026-09/tickets", json=definition)
        assert made.status_code in (201, 409)
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
        read = await hubspot.get(f"{TICKETS}/{key}", params={"idProperty": name})
        assert read.json()["id"] == created.json()["id"]

    async def test_the_details_name_the_portal(self, hubspot: httpx.AsyncClient) -> None:
        answer = (await hubspot.get("/account-info/2026-09/details")).json()
        assert isinstance(answer["portalId"], int)
