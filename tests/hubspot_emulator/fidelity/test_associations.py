"""Associations."""

import httpx
from tests.hubspot_emulator.fidelity.records import DEALS, create_contact, create_deal

DEAL_TO_CONTACT = {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 3}


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

    async def test_association_read_reports_record_without_associations(
        self, hubspot: httpx.AsyncClient
    ) -> None:
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
            "associations": [{"to": {"id": "999999999999"}, "types": [DEAL_TO_CONTACT]}],
        }
        response = await hubspot.post(DEALS, json=body)
        assert response.status_code == 400
        assert response.json()["message"] == "One or more associations are invalid"
        assert response.json()["context"] == {"INVALID_OBJECT_IDS": ["CONTACT=999999999999 is not valid"]}

    async def test_typed_association_to_unknown_record_returns_400(self, hubspot: httpx.AsyncClient) -> None:
        deal = (await create_deal(hubspot))["id"]
        path = f"{DEALS}/{deal}/associations/contacts/999999999999"
        response = await hubspot.put(path, json=[DEAL_TO_CONTACT])
        assert response.status_code == 400
        assert response.json()["category"] == "VALIDATION_ERROR"
        assert response.json()["message"] == "One or more associations are invalid"
        assert response.json()["context"] == {"INVALID_OBJECT_IDS": ["CONTACT=999999999999 is not valid"]}

    async def test_unknown_association_type_returns_400(self, hubspot: httpx.AsyncClient) -> None:
        contact, deal = (await create_contact(hubspot))["id"], (await create_deal(hubspot))["id"]
        spec = {"associationCategory": "USER_DEFINED", "associationTypeId": 999_999}
        response = await hubspot.put(f"{DEALS}/{deal}/associations/contacts/{contact}", json=[spec])
        assert response.status_code == 400
        assert response.json()["message"] == "One or more associations are invalid"
        assert response.json()["context"] == {
            "associationSpec": ["USER_DEFINED=999999"],
            "INVALID_ASSOCIATION_TYPE_ID": ["USER_DEFINED=999999 is not a valid association definition id"],
        }
