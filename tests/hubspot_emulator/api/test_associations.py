"""Associations and labels, through HTTP requests without a client library."""

import httpx
import pytest

from hubspot_emulator import Emulator

READ = "/crm/associations/2026-09/contacts/deals/batch/read"


@pytest.fixture
def created_ids(emulator: Emulator) -> dict[str, list[str]]:
    deals = [{"dealname": f"d{number}", "dealstage": "closedwon"} for number in range(5)]
    return emulator.seed(
        {
            "contacts": [{"email": "a@example.com", "deals": deals}, {"email": "b@example.com"}],
            "tickets": [{"subject": "t", "hs_pipeline_stage": "1"}],
        }
    )


async def test_association_read_reports_record_without_associations(
    hubspot: httpx.AsyncClient, created_ids: dict[str, list[str]]
) -> None:
    one, two = created_ids["contacts"]
    response = await hubspot.post(READ, json={"inputs": [{"id": one}, {"id": two}]})
    assert response.status_code == 207
    [result] = response.json()["results"]
    assert result["from"] == {"id": one}
    assert [row["toObjectId"] for row in result["to"]] == created_ids["deals"]
    assert result["to"][0]["associationTypes"] == [
        {"category": "HUBSPOT_DEFINED", "typeId": 4, "label": None}
    ]
    [row] = response.json()["errors"]
    assert row["subCategory"] == "crm.associations.NO_ASSOCIATIONS_FOUND"
    assert row["context"] == {"fromObjectId": [two], "fromObjectType": ["contact"], "toObjectType": ["deal"]}


async def test_association_batch_read_returns_pages_of_a_record(
    hubspot: httpx.AsyncClient, emulator: Emulator, created_ids: dict[str, list[str]]
) -> None:
    emulator.switches.association_page_size = 2
    found: list[str] = []
    item = {"id": created_ids["contacts"][0]}
    while True:
        [result] = (await hubspot.post(READ, json={"inputs": [item]})).json()["results"]
        found += [row["toObjectId"] for row in result["to"]]
        if "paging" not in result:
            break
        item["after"] = result["paging"]["next"]["after"]
    assert found == created_ids["deals"]
    response = await hubspot.get(
        f"/crm/objects/2026-09/contacts/{created_ids['contacts'][0]}/associations/deals"
    )
    assert [result["toObjectId"] for result in response.json()["results"]] == created_ids["deals"][:2]


async def test_association_batch_read_has_v3_and_v4_response_shapes(
    hubspot: httpx.AsyncClient, created_ids: dict[str, list[str]]
) -> None:
    body = {"inputs": [{"id": created_ids["contacts"][0]}]}
    v4 = (await hubspot.post("/crm/v4/associations/contacts/deals/batch/read", json=body)).json()
    assert v4["results"][0]["to"][0]["toObjectId"] == int(created_ids["deals"][0])
    v3 = (await hubspot.post("/crm/v3/associations/contacts/deals/batch/read", json=body)).json()
    assert v3["results"][0]["to"][0] == {"id": created_ids["deals"][0], "type": "contact_to_deal"}


async def test_default_association_put_twice_exists_once_both_ways(
    hubspot: httpx.AsyncClient, emulator: Emulator, created_ids: dict[str, list[str]]
) -> None:
    [ticket_id], deal_id = created_ids["tickets"], created_ids["deals"][0]
    for _ in range(2):
        response = await hubspot.put(
            f"/crm/objects/2026-09/tickets/{ticket_id}/associations/default/deals/{deal_id}"
        )
        assert response.status_code == 200
        first = response.json()["results"][0]
        assert first["associationSpec"] == {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 28}
    assert emulator.associations("deals", deal_id, "tickets") == [ticket_id]
    assert emulator.associations("tickets", ticket_id, "deals") == [deal_id]
    response = await hubspot.delete(f"/crm/objects/2026-09/deals/{deal_id}/associations/tickets/{ticket_id}")
    assert response.status_code == 204
    assert emulator.associations("tickets", ticket_id, "deals") == []


async def test_default_association_to_unknown_record_returns_404(
    hubspot: httpx.AsyncClient, created_ids: dict[str, list[str]]
) -> None:
    path = f"/crm/objects/2026-09/deals/{created_ids['deals'][0]}/associations/default/contacts/1"
    assert (await hubspot.put(path)).status_code == 404


async def test_association_batches_create_and_archive(
    hubspot: httpx.AsyncClient, emulator: Emulator, created_ids: dict[str, list[str]]
) -> None:
    two, deal_id = created_ids["contacts"][1], created_ids["deals"][0]
    base = "/crm/associations/2026-09/deals/contacts/batch"
    pair = {"from": {"id": deal_id}, "to": {"id": two}}
    types = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 3}]
    response = await hubspot.post(f"{base}/create", json={"inputs": [{**pair, "types": types}]})
    assert (response.status_code, response.json()["results"][0]["toObjectId"]) == (201, two)
    assert emulator.associations("contacts", two, "deals") == [deal_id]
    response = await hubspot.post(
        f"{base}/archive", json={"inputs": [{"from": {"id": deal_id}, "to": [{"id": two}]}]}
    )
    assert response.status_code == 200
    assert emulator.associations("contacts", two, "deals") == []
    response = await hubspot.post(f"{base}/associate/default", json={"inputs": [pair]})
    assert response.status_code == 200
    assert emulator.associations("contacts", two, "deals") == [deal_id]
    wrong = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 4}]
    response = await hubspot.post(f"{base}/create", json={"inputs": [{**pair, "types": wrong}]})
    assert (response.status_code, response.json()["numErrors"]) == (207, 1)


async def test_association_label_is_created_used_and_removed(
    hubspot: httpx.AsyncClient, emulator: Emulator, created_ids: dict[str, list[str]]
) -> None:
    path = "/crm/associations/2026-09/contacts/deals/labels"
    assert (await hubspot.get(path)).json()["results"] == [
        {"category": "HUBSPOT_DEFINED", "typeId": 4, "label": None}
    ]
    response = await hubspot.post(path, json={"label": "Buyer", "name": "buyer"})
    [label] = response.json()["results"]
    spec = {"associationCategory": "USER_DEFINED", "associationTypeId": label["typeId"]}
    one, deal_id = created_ids["contacts"][1], created_ids["deals"][0]
    response = await hubspot.put(
        f"/crm/objects/2026-09/contacts/{one}/associations/deals/{deal_id}", json=[spec]
    )
    assert (response.status_code, response.json()["labels"]) == (201, ["Buyer"])
    # The association has two types now, so an object read lists the ID twice.
    read = (await hubspot.post(READ, json={"inputs": [{"id": one}]})).json()["results"][0]["to"]
    assert [(row["toObjectId"], len(row["associationTypes"])) for row in read] == [(deal_id, 2)]
    inline = await hubspot.get(f"/crm/objects/2026-09/contacts/{one}", params={"associations": "deals"})
    assert [result["type"] for result in inline.json()["associations"]["deals"]["results"]] == [
        "contact_to_deal",
        "contact_to_deal_unlabeled",
    ]
    body = {"inputs": [{"from": {"id": one}, "to": {"id": deal_id}, "types": [spec]}]}
    response = await hubspot.post("/crm/associations/2026-09/contacts/deals/batch/labels/archive", json=body)
    assert response.status_code == 200
    assert emulator.associations("contacts", one, "deals") == [deal_id]
    # The association ends with its last type, and the count of associated deals changes.
    body["inputs"][0]["types"] = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 4}]
    await hubspot.post("/crm/associations/2026-09/contacts/deals/batch/labels/archive", json=body)
    assert emulator.associations("contacts", one, "deals") == []
    contact = emulator.record("contacts", one)
    assert contact is not None
    assert contact.properties["num_associated_deals"] == "0"


async def test_archived_record_is_not_in_associations(
    hubspot: httpx.AsyncClient, emulator: Emulator, created_ids: dict[str, list[str]]
) -> None:
    emulator.archive_as_other_actor("deals", created_ids["deals"][0])
    [result] = (await hubspot.post(READ, json={"inputs": [{"id": created_ids["contacts"][0]}]})).json()[
        "results"
    ]
    assert [row["toObjectId"] for row in result["to"]] == created_ids["deals"][1:]
    response = await hubspot.get(
        f"/crm/objects/2026-09/contacts/{created_ids['contacts'][0]}",
        params={"properties": "num_associated_deals"},
    )
    assert response.json()["properties"]["num_associated_deals"] == "4"


async def test_merge_of_associated_contacts_ends_their_association(
    hubspot: httpx.AsyncClient, emulator: Emulator, created_ids: dict[str, list[str]]
) -> None:
    one, two = created_ids["contacts"][:2]
    emulator.link(("contacts", one), ("contacts", two))
    survivor = emulator.merge("contacts", one, two)
    assert emulator.associations("contacts", survivor, "contacts") == []
    assert emulator.associations("contacts", survivor, "deals") == created_ids["deals"]
    read = await hubspot.get(
        f"/crm/objects/2026-09/contacts/{survivor}", params={"associations": "contacts,deals"}
    )
    assert list(read.json()["associations"]) == ["deals"]
