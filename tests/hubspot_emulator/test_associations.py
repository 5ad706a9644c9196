"""Links and labels, by raw HTTP."""

import httpx
import pytest

from hubspot_emulator import Emulator

READ = "/crm/associations/2026-09/contacts/deals/batch/read"


@pytest.fixture
def made(emulator: Emulator) -> dict[str, list[str]]:
    deals = [{"dealname": f"d{number}", "dealstage": "closedwon"} for number in range(5)]
    return emulator.seed(
        {
            "contacts": [{"email": "a@example.com", "deals": deals}, {"email": "b@example.com"}],
            "tickets": [{"subject": "t", "hs_pipeline_stage": "1"}],
        }
    )


async def test_records_without_links_are_rows_of_a_207(
    hubspot: httpx.AsyncClient, made: dict[str, list[str]]
) -> None:
    one, two = made["contacts"]
    answer = await hubspot.post(READ, json={"inputs": [{"id": one}, {"id": two}]})
    assert answer.status_code == 207
    [result] = answer.json()["results"]
    assert result["from"] == {"id": one}
    assert [each["toObjectId"] for each in result["to"]] == made["deals"]
    assert result["to"][0]["associationTypes"] == [
        {"category": "HUBSPOT_DEFINED", "typeId": 4, "label": None}
    ]
    [row] = answer.json()["errors"]
    assert row["subCategory"] == "crm.associations.NO_ASSOCIATIONS_FOUND"
    assert row["context"] == {"fromObjectId": [two], "fromObjectType": ["contact"], "toObjectType": ["deal"]}


async def test_each_from_has_pages_of_its_own(
    hubspot: httpx.AsyncClient, emulator: Emulator, made: dict[str, list[str]]
) -> None:
    emulator.switches.association_page_size = 2
    found: list[str] = []
    ask = {"id": made["contacts"][0]}
    while True:
        [result] = (await hubspot.post(READ, json={"inputs": [ask]})).json()["results"]
        found += [each["toObjectId"] for each in result["to"]]
        if "paging" not in result:
            break
        ask["after"] = result["paging"]["next"]["after"]
    assert found == made["deals"]
    answer = await hubspot.get(f"/crm/objects/2026-09/contacts/{made['contacts'][0]}/associations/deals")
    assert [each["toObjectId"] for each in answer.json()["results"]] == made["deals"][:2]


async def test_v4_has_numbers_and_v3_has_names(
    hubspot: httpx.AsyncClient, made: dict[str, list[str]]
) -> None:
    body = {"inputs": [{"id": made["contacts"][0]}]}
    v4 = (await hubspot.post("/crm/v4/associations/contacts/deals/batch/read", json=body)).json()
    assert v4["results"][0]["to"][0]["toObjectId"] == int(made["deals"][0])
    v3 = (await hubspot.post("/crm/v3/associations/contacts/deals/batch/read", json=body)).json()
    assert v3["results"][0]["to"][0] == {"id": made["deals"][0], "type": "contact_to_deal"}


async def test_put_default_links_both_ways_and_may_be_repeated(
    hubspot: httpx.AsyncClient, emulator: Emulator, made: dict[str, list[str]]
) -> None:
    [ticket_id], deal_id = made["tickets"], made["deals"][0]
    for _ in range(2):
        answer = await hubspot.put(
            f"/crm/objects/2026-09/tickets/{ticket_id}/associations/default/deals/{deal_id}"
        )
        assert answer.status_code == 200
        first = answer.json()["results"][0]
        assert first["associationSpec"] == {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 28}
    assert emulator.associations("deals", deal_id, "tickets") == [ticket_id]
    assert emulator.associations("tickets", ticket_id, "deals") == [deal_id]
    gone = await hubspot.delete(f"/crm/objects/2026-09/deals/{deal_id}/associations/tickets/{ticket_id}")
    assert gone.status_code == 204
    assert emulator.associations("tickets", ticket_id, "deals") == []


async def test_put_default_to_nobody_is_a_404(hubspot: httpx.AsyncClient, made: dict[str, list[str]]) -> None:
    path = f"/crm/objects/2026-09/deals/{made['deals'][0]}/associations/default/contacts/1"
    assert (await hubspot.put(path)).status_code == 404


async def test_batches_write_and_remove(
    hubspot: httpx.AsyncClient, emulator: Emulator, made: dict[str, list[str]]
) -> None:
    two, deal_id = made["contacts"][1], made["deals"][0]
    base = "/crm/associations/2026-09/deals/contacts/batch"
    pair = {"from": {"id": deal_id}, "to": {"id": two}}
    types = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 3}]
    answer = await hubspot.post(f"{base}/create", json={"inputs": [{**pair, "types": types}]})
    assert (answer.status_code, answer.json()["results"][0]["toObjectId"]) == (201, two)
    assert emulator.associations("contacts", two, "deals") == [deal_id]
    answer = await hubspot.post(
        f"{base}/archive", json={"inputs": [{"from": {"id": deal_id}, "to": [{"id": two}]}]}
    )
    assert answer.status_code == 200
    assert emulator.associations("contacts", two, "deals") == []
    answer = await hubspot.post(f"{base}/associate/default", json={"inputs": [pair]})
    assert answer.status_code == 200
    assert emulator.associations("contacts", two, "deals") == [deal_id]
    wrong = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 4}]
    answer = await hubspot.post(f"{base}/create", json={"inputs": [{**pair, "types": wrong}]})
    assert (answer.status_code, answer.json()["numErrors"]) == (207, 1)


async def test_labels(hubspot: httpx.AsyncClient, emulator: Emulator, made: dict[str, list[str]]) -> None:
    path = "/crm/associations/2026-09/contacts/deals/labels"
    assert (await hubspot.get(path)).json()["results"] == [
        {"category": "HUBSPOT_DEFINED", "typeId": 4, "label": None}
    ]
    answer = await hubspot.post(path, json={"label": "Buyer", "name": "buyer"})
    [made_label] = answer.json()["results"]
    spec = {"associationCategory": "USER_DEFINED", "associationTypeId": made_label["typeId"]}
    one, deal_id = made["contacts"][1], made["deals"][0]
    answer = await hubspot.put(
        f"/crm/objects/2026-09/contacts/{one}/associations/deals/{deal_id}", json=[spec]
    )
    assert (answer.status_code, answer.json()["labels"]) == (201, ["Buyer"])
    # The same id bears two types, and is listed once more inside an object read.
    read = (await hubspot.post(READ, json={"inputs": [{"id": one}]})).json()["results"][0]["to"]
    assert [(each["toObjectId"], len(each["associationTypes"])) for each in read] == [(deal_id, 2)]
    inline = await hubspot.get(f"/crm/objects/2026-09/contacts/{one}", params={"associations": "deals"})
    assert [each["type"] for each in inline.json()["associations"]["deals"]["results"]] == [
        "contact_to_deal",
        "contact_to_deal_unlabeled",
    ]
    body = {"inputs": [{"from": {"id": one}, "to": {"id": deal_id}, "types": [spec]}]}
    answer = await hubspot.post("/crm/associations/2026-09/contacts/deals/batch/labels/archive", json=body)
    assert answer.status_code == 200
    assert emulator.associations("contacts", one, "deals") == [deal_id]
    # Without its last type the link is gone, and counted no more.
    body["inputs"][0]["types"] = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 4}]
    await hubspot.post("/crm/associations/2026-09/contacts/deals/batch/labels/archive", json=body)
    assert emulator.associations("contacts", one, "deals") == []
    contact = emulator.record("contacts", one)
    assert contact is not None
    assert contact.properties["num_associated_deals"] == "0"


async def test_an_archived_target_is_no_longer_linked(
    hubspot: httpx.AsyncClient, emulator: Emulator, made: dict[str, list[str]]
) -> None:
    emulator.archive_as_other_actor("deals", made["deals"][0])
    [result] = (await hubspot.post(READ, json={"inputs": [{"id": made["contacts"][0]}]})).json()["results"]
    assert [each["toObjectId"] for each in result["to"]] == made["deals"][1:]
    answer = await hubspot.get(
        f"/crm/objects/2026-09/contacts/{made['contacts'][0]}", params={"properties": "num_associated_deals"}
    )
    assert answer.json()["properties"]["num_associated_deals"] == "4"


async def test_merging_linked_contacts_links_the_survivor_with_nobody_who_is_gone(
    hubspot: httpx.AsyncClient, emulator: Emulator, made: dict[str, list[str]]
) -> None:
    one, two = made["contacts"][:2]
    emulator.link(("contacts", one), ("contacts", two))
    survivor = emulator.merge("contacts", one, two)
    assert emulator.associations("contacts", survivor, "contacts") == []
    assert emulator.associations("contacts", survivor, "deals") == made["deals"]
    read = await hubspot.get(
        f"/crm/objects/2026-09/contacts/{survivor}", params={"associations": "contacts,deals"}
    )
    assert list(read.json()["associations"]) == ["deals"]
