"""Batches of records, by raw HTTP."""

from typing import Any

import httpx
import pytest

from hubspot_emulator import Emulator, Refusal

CONTACTS, DEALS = (f"/crm/objects/2026-09/{each}/batch" for each in ("contacts", "deals"))


def contacts(count: int) -> dict[str, Any]:
    return {"contacts": [{"email": f"a{number}@example.com", "firstname": "A"} for number in range(count)]}


class TestRead:
    async def test_all_found_is_a_200_in_another_order(
        self, hubspot: httpx.AsyncClient, emulator: Emulator
    ) -> None:
        ids = emulator.seed(contacts(12))["contacts"]
        answer = await hubspot.post(f"{CONTACTS}/read", json={"inputs": [{"id": each} for each in ids]})
        assert answer.status_code == 200
        found = [each["id"] for each in answer.json()["results"]]
        assert sorted(found) == ids
        assert found != ids
        assert "errors" not in answer.json()

    async def test_missing_ids_are_one_row_of_a_207(
        self, hubspot: httpx.AsyncClient, emulator: Emulator
    ) -> None:
        [contact_id] = emulator.seed(contacts(1))["contacts"]
        answer = await hubspot.post(
            f"{CONTACTS}/read",
            json={"inputs": [{"id": contact_id}, {"id": "1"}, {"id": "2"}], "properties": ["email"]},
        )
        assert answer.status_code == 207
        body = answer.json()
        assert [each["id"] for each in body["results"]] == [contact_id]
        assert body["numErrors"] == 1
        [row] = body["errors"]
        assert (row["category"], row["context"]) == ("OBJECT_NOT_FOUND", {"ids": ["1", "2"]})
        assert row["message"].startswith("Could not get some CONTACT objects")

    async def test_by_email(self, hubspot: httpx.AsyncClient, emulator: Emulator) -> None:
        [contact_id] = emulator.seed(contacts(1))["contacts"]
        body = {"inputs": [{"id": "A0@example.com"}, {"id": "no@example.com"}], "idProperty": "email"}
        answer = (await hubspot.post(f"{CONTACTS}/read", json=body)).json()
        assert [each["id"] for each in answer["results"]] == [contact_id]
        assert answer["errors"][0]["context"] == {"ids": ["no@example.com"]}

    async def test_more_than_100_is_a_400(self, hubspot: httpx.AsyncClient) -> None:
        answer = await hubspot.post(
            f"{CONTACTS}/read", json={"inputs": [{"id": str(each)} for each in range(101)]}
        )
        assert answer.status_code == 400
        assert "The maximum number of inputs supported in a batch is 100" in answer.json()["message"]

    async def test_more_than_50_with_history_is_a_400(self, hubspot: httpx.AsyncClient) -> None:
        body = {"inputs": [{"id": str(each)} for each in range(51)], "propertiesWithHistory": ["email"]}
        answer = await hubspot.post(f"{CONTACTS}/read", json=body)
        assert "property histories is 50" in answer.json()["message"]


class TestCreate:
    async def test_one_taken_email_refuses_all(self, hubspot: httpx.AsyncClient, emulator: Emulator) -> None:
        emulator.seed(contacts(1))
        inputs = [{"properties": {"email": each}} for each in ("new@example.com", "a0@example.com")]
        answer = await hubspot.post(f"{CONTACTS}/create", json={"inputs": inputs})
        assert (answer.status_code, answer.json()["category"]) == (409, "CONFLICT")
        assert len(emulator.records("contacts")) == 1

    async def test_with_trace_ids_each_stands_alone(
        self, hubspot: httpx.AsyncClient, emulator: Emulator
    ) -> None:
        emulator.seed(contacts(1))
        inputs = [
            {"properties": {"email": each}, "objectWriteTraceId": f"t{number}"}
            for number, each in enumerate(("new@example.com", "a0@example.com"))
        ]
        answer = await hubspot.post(f"{CONTACTS}/create", json={"inputs": inputs})
        assert answer.status_code == 207
        assert [each["objectWriteTraceId"] for each in answer.json()["results"]] == ["t0"]
        assert answer.json()["errors"][0]["context"]["objectWriteTraceId"] == ["t1"]
        assert len(emulator.records("contacts")) == 2

    async def test_all_well_is_a_201(self, hubspot: httpx.AsyncClient) -> None:
        inputs = [{"properties": {"dealname": "same", "dealstage": "closedwon"}, "associations": []}] * 2
        answer = await hubspot.post(f"{DEALS}/create", json={"inputs": inputs})
        assert (answer.status_code, len(answer.json()["results"])) == (201, 2)


class TestUpdate:
    async def test_an_unknown_id_is_a_row(self, hubspot: httpx.AsyncClient, emulator: Emulator) -> None:
        [contact_id] = emulator.seed(contacts(1))["contacts"]
        inputs = [{"id": each, "properties": {"firstname": "B"}} for each in (contact_id, "1")]
        answer = await hubspot.post(f"{CONTACTS}/update", json={"inputs": inputs})
        assert answer.status_code == 207
        assert answer.json()["errors"][0]["context"]["ids"] == ["1"]
        assert emulator.records("contacts")[0].properties["firstname"] == "B"

    async def test_one_bad_value_refuses_all(self, hubspot: httpx.AsyncClient, emulator: Emulator) -> None:
        one, two = emulator.seed(contacts(2))["contacts"]
        inputs = [{"id": one, "properties": {"firstname": "B"}}, {"id": two, "properties": {"x": "y"}}]
        assert (await hubspot.post(f"{CONTACTS}/update", json={"inputs": inputs})).status_code == 400
        assert {each.properties["firstname"] for each in emulator.records("contacts")} == {"A"}

    async def test_contacts_are_not_updated_by_email(self, hubspot: httpx.AsyncClient) -> None:
        inputs = [{"id": "a@example.com", "idProperty": "email", "properties": {"firstname": "B"}}]
        answer = await hubspot.post(f"{CONTACTS}/update", json={"inputs": inputs})
        assert "non-unique 0-1 property email" in answer.json()["message"]

    async def test_a_merged_away_id_is_left_out(self, hubspot: httpx.AsyncClient, emulator: Emulator) -> None:
        one, two = emulator.seed(contacts(2))["contacts"]
        emulator.merge("contacts", one, two)
        inputs = [{"id": two, "properties": {"firstname": "B"}}]
        answer = await hubspot.post(f"{CONTACTS}/update", json={"inputs": inputs})
        assert (answer.status_code, answer.json()["results"]) == (200, [])


class TestUpsert:
    async def test_it_creates_and_then_updates(self, hubspot: httpx.AsyncClient, emulator: Emulator) -> None:
        for is_new, name in ((True, "A"), (False, "B")):
            inputs = [{"id": "Ada@example.com", "idProperty": "email", "properties": {"firstname": name}}]
            answer = await hubspot.post(f"{CONTACTS}/upsert", json={"inputs": inputs})
            assert answer.status_code == 200
            [found] = answer.json()["results"]
            assert found["new"] is is_new
        [record] = emulator.records("contacts")
        assert (record.properties["email"], record.properties["firstname"]) == ("ada@example.com", "B")

    async def test_one_key_twice_refuses_all(self, hubspot: httpx.AsyncClient, emulator: Emulator) -> None:
        inputs: list[dict[str, Any]] = [
            {"id": each, "idProperty": "email", "properties": {}, "objectWriteTraceId": each}
            for each in ("a@example.com", "A@example.com")
        ]
        answer = await hubspot.post(f"{CONTACTS}/upsert", json={"inputs": inputs})
        assert answer.status_code == 400
        assert "Duplicate IDs found in batch input" in answer.json()["message"]
        assert emulator.records("contacts") == []

    async def test_a_property_that_is_not_unique_is_refused(self, hubspot: httpx.AsyncClient) -> None:
        inputs = [{"id": "d", "idProperty": "dealname", "properties": {}}]
        answer = await hubspot.post(f"{DEALS}/upsert", json={"inputs": inputs})
        assert answer.status_code == 400
        assert "non-unique 0-3 property dealname" in answer.json()["message"]


async def test_archiving_is_a_204_also_for_unknown_ids(
    hubspot: httpx.AsyncClient, emulator: Emulator
) -> None:
    [contact_id] = emulator.seed(contacts(1))["contacts"]
    answer = await hubspot.post(f"{CONTACTS}/archive", json={"inputs": [{"id": contact_id}, {"id": "1"}]})
    assert answer.status_code == 204
    assert emulator.records("contacts") == []


@pytest.mark.parametrize(
    "content", ["{}", '{"inputs": 1}', '{"inputs": [1]}', '{"inputs": [{}]}', '{"inputs": [{"id": {}}]}']
)
@pytest.mark.parametrize("what", ["read", "update", "upsert", "archive"])
async def test_wrong_json_is_a_400(hubspot: httpx.AsyncClient, what: str, content: str) -> None:
    assert (await hubspot.post(f"{CONTACTS}/{what}", content=content)).status_code == 400


class TestOneValueTwiceInOneBatch:
    """A unique value has one holder, also when both claim it at one moment."""

    async def test_two_new_contacts_of_an_upsert_cannot_share_an_email(
        self, hubspot: httpx.AsyncClient, emulator: Emulator
    ) -> None:
        inputs = [
            {"id": f"{name}@example.com", "idProperty": "email", "properties": {"email": "same@example.com"}}
            for name in ("a", "b")
        ]
        answer = await hubspot.post(f"{CONTACTS}/upsert", json={"inputs": inputs})
        assert answer.status_code == 400
        assert emulator.records("contacts") == []

    async def test_two_updates_cannot_take_one_unique_value(
        self, hubspot: httpx.AsyncClient, emulator: Emulator
    ) -> None:
        key = {
            "name": "key",
            "label": "Key",
            "groupName": "dealinformation",
            "type": "string",
            "fieldType": "text",
            "hasUniqueValue": True,
        }
        assert (await hubspot.post("/crm/properties/2026-09/deals", json=key)).status_code == 201
        deal = {"dealname": "D", "dealstage": "qualifiedtobuy"}
        ids = emulator.seed({"deals": [deal, deal]})["deals"]
        inputs = [{"id": each, "properties": {"key": "one"}} for each in ids]
        answer = await hubspot.post(f"{DEALS}/update", json={"inputs": inputs})
        assert answer.status_code == 400
        assert [each.properties.get("key") for each in emulator.records("deals")] == [None, None]


def test_a_restored_contact_cannot_take_its_email_back(emulator: Emulator) -> None:
    [first] = emulator.seed({"contacts": [{"email": "a@example.com"}]})["contacts"]
    emulator.archive_as_other_actor("contacts", first)
    emulator.seed({"contacts": [{"email": "a@example.com"}]})
    with pytest.raises(Refusal):
        emulator.restore_as_other_actor("contacts", first)
    assert len(emulator.records("contacts")) == 1
