"""Paths of older versions, unknown object types, owners and the content type of a body."""

import httpx
import pytest
from tests.hubspot_emulator.fidelity.records import CONTACTS, create_contact, create_deal

V3_ASSOCIATIONS = "/crm/v3/associations/contacts/deals/batch"
UNKNOWN_ID = "999999999999"


async def test_v4_object_path_lists_contacts(hubspot: httpx.AsyncClient) -> None:
    await create_contact(hubspot)
    response = await hubspot.get("/crm/v4/objects/contacts", params={"limit": "1"})
    assert response.status_code == 200
    assert len(response.json()["results"]) == 1


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("widgets", "Unable to infer object type from: widgets"),
        ("0-9999", "Invalid object or event type id: 0-9999"),
    ],
)
async def test_unknown_object_type_returns_400(hubspot: httpx.AsyncClient, name: str, message: str) -> None:
    contact = (await create_contact(hubspot))["id"]
    for response in (
        await hubspot.get(f"/crm/objects/2026-09/{name}"),
        await hubspot.post(f"/crm/v3/objects/{name}/search", json={}),
        await hubspot.get(f"{CONTACTS}/{contact}", params={"associations": name}),
    ):
        assert response.status_code == 400
        assert response.json()["message"] == message
        assert "category" not in response.json()


async def test_v3_association_batch_returns_both_directions(hubspot: httpx.AsyncClient) -> None:
    contact, deal = (await create_contact(hubspot))["id"], (await create_deal(hubspot))["id"]
    inputs = [{"from": {"id": contact}, "to": {"id": deal}, "type": "contact_to_deal"}]
    response = await hubspot.post(f"{V3_ASSOCIATIONS}/create", json={"inputs": inputs})
    assert response.status_code == 201
    rows = [(row["from"]["id"], row["to"]["id"], row["type"]) for row in response.json()["results"]]
    assert sorted(rows) == sorted([(contact, deal, "contact_to_deal"), (deal, contact, "deal_to_contact")])


async def test_v3_association_batch_reports_each_missing_record(hubspot: httpx.AsyncClient) -> None:
    inputs = [{"from": {"id": UNKNOWN_ID}, "to": {"id": UNKNOWN_ID}, "type": "contact_to_deal"}]
    response = await hubspot.post(f"{V3_ASSOCIATIONS}/create", json={"inputs": inputs})
    assert response.status_code == 207
    first, second = response.json()["errors"]
    assert (first["category"], first["subCategory"], first["message"], first["context"]) == (
        "OBJECT_NOT_FOUND",
        "crm.associations.FROM_OBJECT_NOT_FOUND",
        f"No contact with ID {UNKNOWN_ID} exists",
        {"objectType": ["contact"], "id": [UNKNOWN_ID]},
    )
    assert second["subCategory"] == "crm.associations.TO_OBJECT_NOT_FOUND"


async def test_v3_association_paths_create_list_and_delete(hubspot: httpx.AsyncClient) -> None:
    contact = (await create_contact(hubspot))["id"]
    deals = [(await create_deal(hubspot))["id"] for _ in range(2)]
    path = f"/crm/v3/objects/contacts/{contact}/associations/deals"
    for deal in deals:
        response = await hubspot.put(f"{path}/{deal}/contact_to_deal")
        assert response.status_code == 200
        assert response.json()["id"] == contact
    page = (await hubspot.get(path, params={"limit": "1"})).json()
    rest = (await hubspot.get(page["paging"]["next"]["link"])).json()
    rows = [*page["results"], *rest["results"]]
    assert sorted(rows, key=lambda row: str(row["id"])) == [
        {"id": deal, "type": "contact_to_deal"} for deal in sorted(deals)
    ]
    assert (await hubspot.delete(f"{path}/{deals[0]}/4")).status_code == 204
    assert [row["id"] for row in (await hubspot.get(path)).json()["results"]] == deals[1:]


async def test_association_batch_read_reports_invalid_id(hubspot: httpx.AsyncClient) -> None:
    path = "/crm/associations/2026-09/contacts/deals/batch/read"
    response = await hubspot.post(path, json={"inputs": [{"id": "no-number"}]})
    assert response.status_code == 207
    [error] = response.json()["errors"]
    assert (error["category"], error["subCategory"]) == (
        "VALIDATION_ERROR",
        "crm.associations.INVALID_IDENTIFIER",
    )


async def test_owner_is_found_by_user_id(hubspot: httpx.AsyncClient) -> None:
    owner = (await hubspot.get("/crm/owners/2026-09")).json()["results"][0]
    assert owner["userIdIncludingInactive"] == owner["userId"]
    path = f"/crm/owners/2026-09/{owner['userId']}"
    assert (await hubspot.get(path, params={"idProperty": "userId"})).json()["id"] == owner["id"]


async def test_body_without_content_type_returns_415(hubspot: httpx.AsyncClient) -> None:
    response = await hubspot.post(CONTACTS, content=b'{"properties": {"firstname": "Ada"}}')
    assert response.status_code == 415
