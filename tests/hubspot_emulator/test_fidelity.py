"""HubSpot's behaviour, tested on the emulator and, if HUBSPOT_TEST_TOKEN is set, on a real account.

Select one with `-k on_emulator` or `-k on_hubspot`. The suite writes to the account, so use a test account. If
HUBSPOT_OPENAPI_DIR is set, the responses of the emulator are checked against HubSpot's published documents.
"""

import asyncio
import os
import re
import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from tests.support.hubspot_contract import checked_against_documents

from hubspot_emulator import create_emulator

CONTACTS = "/crm/objects/2026-09/contacts"
DEALS = "/crm/objects/2026-09/deals"
TICKETS = "/crm/objects/2026-09/tickets"


TOKEN_VARIABLE = "HUBSPOT_TEST_TOKEN"
TOKEN = os.environ.get(TOKEN_VARIABLE, "")


@pytest.fixture(params=["on_emulator", "on_hubspot"] if TOKEN else ["on_emulator"])
async def hubspot(request: pytest.FixtureRequest) -> AsyncIterator[httpx.AsyncClient]:
    if request.param == "on_hubspot":
        async with build_client(httpx.AsyncHTTPTransport(), "https://api.hubapi.com", TOKEN) as client:
            yield client
        return
    emulator = create_emulator()
    with checked_against_documents(emulator):
        async with build_client(
            httpx.ASGITransport(emulator.app), "http://emulator", "demo-access-token"
        ) as client:
            yield client
    emulator.close()


def test_fidelity_suite_on_real_account_is_skipped_without_token() -> None:
    if not TOKEN:
        pytest.skip(f"{TOKEN_VARIABLE} is not set: the fidelity suite ran on the emulator alone")


def build_client(transport: httpx.AsyncBaseTransport, base_url: str, token: str) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.AsyncClient(transport=transport, base_url=base_url, headers=headers, timeout=30)


def is_emulator(hubspot: httpx.AsyncClient) -> bool:
    return hubspot.base_url.host == "emulator"


def unique_email() -> str:
    return f"fidelity-{uuid.uuid4().hex}@example.com"


async def create_contact(hubspot: httpx.AsyncClient, **properties: str) -> dict[str, Any]:
    body = {"properties": {"email": unique_email()} | properties}
    response = await hubspot.post(CONTACTS, json=body)
    assert response.status_code == 201, response.text
    record: dict[str, Any] = response.json()
    return record


async def create_deal(hubspot: httpx.AsyncClient, **properties: str) -> dict[str, Any]:
    body = {"properties": {"dealname": "Fidelity", "dealstage": "appointmentscheduled"} | properties}
    response = await hubspot.post(DEALS, json=body)
    assert response.status_code == 201, response.text
    record: dict[str, Any] = response.json()
    return record


class TestRecords:
    async def test_email_is_stored_in_lower_case(self, hubspot: httpx.AsyncClient) -> None:
        email = unique_email()
        created = await create_contact(hubspot, email=email.upper())
        assert created["properties"]["email"] == email

    async def test_property_values_are_strings(self, hubspot: httpx.AsyncClient) -> None:
        created = await create_deal(hubspot, amount="1500.50", closedate="1793750400000")
        read = (await hubspot.get(f"{DEALS}/{created['id']}")).json()
        assert read["properties"]["amount"] == "1500.50"
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", read["properties"]["closedate"])
        assert all(value is None or isinstance(value, str) for value in read["properties"].values())
        assert read["properties"]["hs_object_id"] == read["id"]

    async def test_read_returns_default_properties(self, hubspot: httpx.AsyncClient) -> None:
        created = await create_contact(hubspot)
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

    async def test_read_omits_unknown_property(self, hubspot: httpx.AsyncClient) -> None:
        created = await create_contact(hubspot)
        query = {"properties": "phone,no_such_property_at_all"}
        read = (await hubspot.get(f"{CONTACTS}/{created['id']}", params=query)).json()
        assert "phone" in read["properties"]
        assert "no_such_property_at_all" not in read["properties"]
        assert {"createdate", "lastmodifieddate", "hs_object_id"} <= set(read["properties"])

    async def test_null_keeps_a_value_and_empty_string_clears_it(self, hubspot: httpx.AsyncClient) -> None:
        created = await create_contact(hubspot, firstname="Ada")
        path = f"{CONTACTS}/{created['id']}"
        response = await hubspot.patch(path, json={"properties": {"firstname": None}})
        assert response.status_code == 200
        assert (await hubspot.get(path)).json()["properties"]["firstname"] == "Ada"
        await hubspot.patch(path, json={"properties": {"firstname": ""}})
        assert not (await hubspot.get(path)).json()["properties"]["firstname"]

    async def test_deal_in_closed_stage_is_closed(self, hubspot: httpx.AsyncClient) -> None:
        created = await create_deal(hubspot, dealstage="closedwon")
        query = {"properties": "hs_is_closed,hs_is_closed_won,hs_deal_stage_probability"}
        properties = (await hubspot.get(f"{DEALS}/{created['id']}", params=query)).json()["properties"]
        assert properties["hs_is_closed"] == "true"
        assert properties["hs_is_closed_won"] == "true"
        assert float(properties["hs_deal_stage_probability"]) == 1.0

    async def test_archived_record_is_found_only_with_archived_parameter(
        self, hubspot: httpx.AsyncClient
    ) -> None:
        path = f"{CONTACTS}/{(await create_contact(hubspot))['id']}"
        assert (await hubspot.delete(path)).status_code == 204
        assert (await hubspot.get(path)).status_code == 404
        assert (await hubspot.get(path, params={"archived": "true"})).json()["archived"] is True

    async def test_archive_of_unknown_id_returns_204(self, hubspot: httpx.AsyncClient) -> None:
        assert (await hubspot.delete(f"{CONTACTS}/999999999999")).status_code == 204

    async def test_contact_is_read_by_email(self, hubspot: httpx.AsyncClient) -> None:
        created = await create_contact(hubspot)
        path = f"{CONTACTS}/{created['properties']['email']}"
        read = await hubspot.get(path, params={"idProperty": "email"})
        assert read.json()["id"] == created["id"]
        missing = await hubspot.get(f"{CONTACTS}/{unique_email()}", params={"idProperty": "email"})
        assert missing.status_code == 404


class TestErrors:
    async def test_duplicate_email_returns_409_with_existing_id(self, hubspot: httpx.AsyncClient) -> None:
        created = await create_contact(hubspot)
        email = created["properties"]["email"].upper()
        response = await hubspot.post(CONTACTS, json={"properties": {"email": email}})
        assert response.status_code == 409
        assert response.json()["category"] == "CONFLICT"
        assert re.search(r"Existing ID: (\d+)", response.json()["message"]).group(1) == created["id"]  # type: ignore[union-attr]

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
    async def test_invalid_value_returns_400_with_code(
        self, hubspot: httpx.AsyncClient, path: str, properties: dict[str, str], code: str
    ) -> None:
        response = await hubspot.post(path, json={"properties": properties})
        assert response.status_code == 400
        assert response.json()["category"] == "VALIDATION_ERROR"
        assert code in response.text
        assert response.headers["x-hubspot-correlation-id"] == response.json()["correlationId"]

    async def test_unknown_path_returns_404(self, hubspot: httpx.AsyncClient) -> None:
        assert (await hubspot.get("/crm/objects/2026-09/no_such_type/1/2/3")).status_code == 404

    async def test_request_without_token_returns_401(self, hubspot: httpx.AsyncClient) -> None:
        response = await hubspot.get(CONTACTS, headers={"Authorization": ""})
        assert response.status_code == 401
        assert response.json()["category"] == "INVALID_AUTHENTICATION"


class TestBatches:
    async def test_batch_read_reports_missing_ids_in_one_row(self, hubspot: httpx.AsyncClient) -> None:
        created = await create_contact(hubspot)
        inputs = [{"id": "999999999998"}, {"id": created["id"]}, {"id": "999999999999"}]
        response = await hubspot.post(
            f"{CONTACTS}/batch/read", json={"inputs": inputs, "properties": ["email"]}
        )
        assert response.status_code == 207
        body = response.json()
        assert [result["id"] for result in body["results"]] == [created["id"]]
        assert body["numErrors"] == 1
        assert body["errors"][0]["category"] == "OBJECT_NOT_FOUND"
        assert sorted(body["errors"][0]["context"]["ids"]) == ["999999999998", "999999999999"]

    async def test_complete_batch_read_returns_200_without_errors(self, hubspot: httpx.AsyncClient) -> None:
        created = await create_contact(hubspot)
        body = {"inputs": [{"id": created["id"]}], "properties": ["email"]}
        response = await hubspot.post(f"{CONTACTS}/batch/read", json=body)
        assert response.status_code == 200
        assert "errors" not in response.json()

    async def test_batch_of_101_inputs_returns_400(self, hubspot: httpx.AsyncClient) -> None:
        inputs = [{"id": str(1_000_000 + number)} for number in range(101)]
        response = await hubspot.post(f"{CONTACTS}/batch/read", json={"inputs": inputs, "properties": []})
        assert response.status_code == 400
        assert "maximum number of inputs supported in a batch is 100" in response.text

    async def test_batch_update_with_duplicate_id_returns_400(self, hubspot: httpx.AsyncClient) -> None:
        created = await create_contact(hubspot)
        inputs = [{"id": created["id"], "properties": {"firstname": name}} for name in ("A", "B")]
        response = await hubspot.post(f"{CONTACTS}/batch/update", json={"inputs": inputs})
        assert response.status_code == 400
        assert created["id"] in response.text

    async def test_batch_create_without_trace_ids_is_all_or_none(self, hubspot: httpx.AsyncClient) -> None:
        email = unique_email()
        inputs = [{"properties": {"email": email}}, {"properties": {"email": "no address"}}]
        response = await hubspot.post(f"{CONTACTS}/batch/create", json={"inputs": inputs})
        assert response.status_code == 400
        read = await hubspot.get(f"{CONTACTS}/{email}", params={"idProperty": "email"})
        assert read.status_code == 404

    async def test_batch_create_with_trace_ids_writes_valid_inputs(self, hubspot: httpx.AsyncClient) -> None:
        email = unique_email()
        inputs = [
            {"properties": {"email": email}, "objectWriteTraceId": "good"},
            {"properties": {"email": "no address"}, "objectWriteTraceId": "bad"},
        ]
        response = await hubspot.post(f"{CONTACTS}/batch/create", json={"inputs": inputs})
        assert response.status_code == 207
        assert [result["objectWriteTraceId"] for result in response.json()["results"]] == ["good"]
        assert response.json()["errors"][0]["context"]["objectWriteTraceId"] == ["bad"]

    async def test_upsert_by_email_creates_and_then_updates(self, hubspot: httpx.AsyncClient) -> None:
        email = unique_email()
        inputs = [{"id": email, "idProperty": "email", "properties": {"firstname": "Ada"}}]
        first = (await hubspot.post(f"{CONTACTS}/batch/upsert", json={"inputs": inputs})).json()["results"]
        second = (await hubspot.post(f"{CONTACTS}/batch/upsert", json={"inputs": inputs})).json()["results"]
        assert [first[0]["new"], second[0]["new"]] == [True, False]
        assert first[0]["id"] == second[0]["id"]

    async def test_batch_upsert_of_deals_by_name_returns_400(self, hubspot: httpx.AsyncClient) -> None:
        inputs = [{"id": "x", "idProperty": "dealname", "properties": {"dealstage": "closedwon"}}]
        response = await hubspot.post(f"{DEALS}/batch/upsert", json={"inputs": inputs})
        assert response.status_code == 400
        assert "non-unique" in response.text


class TestSearch:
    async def test_search_finds_new_contact_by_email(self, hubspot: httpx.AsyncClient) -> None:
        created = await create_contact(hubspot)
        filters = [{"propertyName": "email", "operator": "EQ", "value": created["properties"]["email"]}]
        found: list[dict[str, Any]] = []
        for _ in range(1 if is_emulator(hubspot) else 30):
            response = await hubspot.post(f"{CONTACTS}/search", json={"filterGroups": [{"filters": filters}]})
            assert response.status_code == 200
            found = response.json()["results"]
            if found:
                break
            await asyncio.sleep(2)
        assert [record["id"] for record in found] == [created["id"]]
        assert response.json()["total"] == 1
        assert "paging" not in response.json()

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
    async def test_search_request_beyond_a_limit_returns_400(
        self, hubspot: httpx.AsyncClient, body: dict[str, Any]
    ) -> None:
        response = await hubspot.post(f"{CONTACTS}/search", json=body)
        assert response.status_code == 400


class TestAssociations:
    async def test_deal_created_with_contact_is_associated_both_ways(
        self, hubspot: httpx.AsyncClient
    ) -> None:
        contact = await create_contact(hubspot)
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
        assert {result["id"] for result in read["associations"]["contacts"]["results"]} == {contact["id"]}
        assert "tickets" not in read["associations"]
        path = "/crm/associations/2026-09/contacts/deals/batch/read"
        inverse = (await hubspot.post(path, json={"inputs": [{"id": contact["id"]}]})).json()
        assert inverse["results"][0]["from"] == {"id": contact["id"]}
        row = inverse["results"][0]["to"][0]
        assert str(row["toObjectId"]) == deal
        assert {"category": "HUBSPOT_DEFINED", "typeId": 4, "label": None}.items() <= row["associationTypes"][
            0
        ].items()

    async def test_batch_read_reports_record_without_associations(self, hubspot: httpx.AsyncClient) -> None:
        deal = (await create_deal(hubspot))["id"]
        path = "/crm/associations/2026-09/deals/contacts/batch/read"
        response = await hubspot.post(path, json={"inputs": [{"id": deal}]})
        assert response.status_code == 207
        error = response.json()["errors"][0]
        assert error["subCategory"] == "crm.associations.NO_ASSOCIATIONS_FOUND"
        assert error["context"]["fromObjectId"] == [deal]

    async def test_put_default_association_is_idempotent(self, hubspot: httpx.AsyncClient) -> None:
        contact, deal = (await create_contact(hubspot))["id"], (await create_deal(hubspot))["id"]
        path = f"{DEALS}/{deal}/associations/default/contacts/{contact}"
        assert [(await hubspot.put(path)).status_code for _ in range(2)] == [200, 200]
        rows = (await hubspot.get(f"{DEALS}/{deal}/associations/contacts")).json()["results"]
        assert [str(row["toObjectId"]) for row in rows] == [contact]

    async def test_create_with_wrong_association_type_returns_400(self, hubspot: httpx.AsyncClient) -> None:
        contact = (await create_contact(hubspot))["id"]
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

    async def test_create_with_unknown_association_target_returns_400(
        self, hubspot: httpx.AsyncClient
    ) -> None:
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
    async def test_both_merged_ids_return_the_survivor(self, hubspot: httpx.AsyncClient) -> None:
        primary, merged = await create_contact(hubspot), await create_contact(hubspot)
        body = {"primaryObjectId": primary["id"], "objectIdToMerge": merged["id"]}
        response = await hubspot.post(f"{CONTACTS}/merge", json=body)
        assert response.status_code == 200
        survivor = response.json()["id"]
        for old in (primary["id"], merged["id"]):
            assert (await hubspot.get(f"{CONTACTS}/{old}")).json()["id"] == survivor

    async def test_email_of_merged_contact_stays_reserved(self, hubspot: httpx.AsyncClient) -> None:
        primary, merged = await create_contact(hubspot), await create_contact(hubspot)
        body = {"primaryObjectId": primary["id"], "objectIdToMerge": merged["id"]}
        survivor = (await hubspot.post(f"{CONTACTS}/merge", json=body)).json()["id"]
        email = merged["properties"]["email"]
        response = await hubspot.post(CONTACTS, json={"properties": {"email": email}})
        assert response.status_code == 409
        assert survivor in response.json()["message"]


class TestSchema:
    async def test_stage_metadata_values_are_strings(self, hubspot: httpx.AsyncClient) -> None:
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
        read = await hubspot.get(f"{TICKETS}/{key}", params={"idProperty": name})
        assert read.json()["id"] == created.json()["id"]

    async def test_account_details_have_portal_id(self, hubspot: httpx.AsyncClient) -> None:
        response = (await hubspot.get("/account-info/2026-09/details")).json()
        assert isinstance(response["portalId"], int)
