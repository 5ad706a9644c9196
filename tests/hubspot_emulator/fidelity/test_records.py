"""Records, their errors and merges."""

import re

import httpx
import pytest
from tests.hubspot_emulator.fidelity.records import (
    CONTACTS,
    DEALS,
    TOKEN,
    TOKEN_VARIABLE,
    create_contact,
    create_deal,
    unique_email,
)


def test_skip_reports_that_fidelity_ran_only_on_the_emulator() -> None:
    if not TOKEN:
        pytest.skip(f"{TOKEN_VARIABLE} is not set: the fidelity suite ran on the emulator alone")


class TestRecords:
    async def test_created_email_is_returned_in_lower_case(self, hubspot: httpx.AsyncClient) -> None:
        email = unique_email()
        created = await create_contact(hubspot, email=email.upper())
        assert created["properties"]["email"] == email

    async def test_read_returns_property_values_as_strings(self, hubspot: httpx.AsyncClient) -> None:
        created = await create_deal(hubspot, amount="1500.50", closedate="1793750400000")
        read = (await hubspot.get(f"{DEALS}/{created['id']}")).json()
        assert read["properties"]["amount"] == "1500.50"
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", read["properties"]["closedate"])
        assert all(value is None or isinstance(value, str) for value in read["properties"].values())
        assert read["properties"]["hs_object_id"] == read["id"]

    async def test_contact_read_returns_default_properties(self, hubspot: httpx.AsyncClient) -> None:
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

    async def test_update_with_null_keeps_and_empty_text_clears_value(
        self, hubspot: httpx.AsyncClient
    ) -> None:
        created = await create_contact(hubspot, firstname="Ada")
        path = f"{CONTACTS}/{created['id']}"
        response = await hubspot.patch(path, json={"properties": {"firstname": None}})
        assert response.status_code == 200
        assert (await hubspot.get(path)).json()["properties"]["firstname"] == "Ada"
        await hubspot.patch(path, json={"properties": {"firstname": ""}})
        assert not (await hubspot.get(path)).json()["properties"]["firstname"]

    async def test_deal_in_stage_closedwon_has_hs_is_closed_true(self, hubspot: httpx.AsyncClient) -> None:
        created = await create_deal(hubspot, dealstage="closedwon")
        query = {"properties": "hs_is_closed,hs_is_closed_won,hs_deal_stage_probability"}
        properties = (await hubspot.get(f"{DEALS}/{created['id']}", params=query)).json()["properties"]
        assert properties["hs_is_closed"] == "true"
        assert properties["hs_is_closed_won"] == "true"
        assert float(properties["hs_deal_stage_probability"]) == 1.0

    async def test_deal_created_without_stage_has_no_stage_or_pipeline(
        self, hubspot: httpx.AsyncClient
    ) -> None:
        response = await hubspot.post(DEALS, json={"properties": {"dealname": "Fidelity", "amount": 10000}})
        assert response.status_code == 201
        created = response.json()["properties"]
        assert created["hs_forecast_amount"] == "10000"
        assert created["hs_is_closed_won"] == "false"
        assert not {"dealstage", "pipeline", "hs_is_closed", "hs_deal_stage_probability"} & set(created)
        read = (await hubspot.get(f"{DEALS}/{response.json()['id']}")).json()
        assert (read["properties"]["dealstage"], read["properties"]["pipeline"]) == (None, None)

    async def test_update_without_properties_returns_400(self, hubspot: httpx.AsyncClient) -> None:
        created = await create_contact(hubspot)
        response = await hubspot.patch(f"{CONTACTS}/{created['id']}", json={"properties": {}})
        assert response.status_code == 400
        error = response.json()
        assert error["message"] == "No properties found to update, please provide at least one."
        assert (error["category"], error["context"]) == ("VALIDATION_ERROR", {"properties": ["{}"]})

    async def test_read_of_archived_record_needs_archived_true(self, hubspot: httpx.AsyncClient) -> None:
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

    async def test_missing_properties_member_is_named_in_the_message(
        self, hubspot: httpx.AsyncClient
    ) -> None:
        response = await hubspot.post(CONTACTS, json={})
        assert response.status_code == 400
        text = "Invalid input JSON on line 1, column 2. Some required fields were not set: [properties]"
        assert response.json()["message"] == text

    async def test_unknown_path_returns_404(self, hubspot: httpx.AsyncClient) -> None:
        assert (await hubspot.get("/crm/objects/2026-09/no_such_type/1/2/3")).status_code == 404

    async def test_request_without_token_returns_401(self, hubspot: httpx.AsyncClient) -> None:
        response = await hubspot.get(CONTACTS, headers={"Authorization": ""})
        assert response.status_code == 401
        assert response.json()["category"] == "INVALID_AUTHENTICATION"


class TestMerge:
    async def test_both_merged_ids_return_the_surviving_contact(self, hubspot: httpx.AsyncClient) -> None:
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
