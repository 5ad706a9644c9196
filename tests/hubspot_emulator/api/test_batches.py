"""Batches of records, through HTTP requests without a client library."""

from typing import Any

import httpx
import pytest

from hubspot_emulator import Emulator, Refusal

CONTACTS, DEALS = (f"/crm/objects/2026-09/{object_type}/batch" for object_type in ("contacts", "deals"))


def contacts(count: int) -> dict[str, Any]:
    return {"contacts": [{"email": f"a{number}@example.com", "firstname": "A"} for number in range(count)]}


class TestRead:
    async def test_batch_read_results_are_not_in_input_order(
        self, hubspot: httpx.AsyncClient, emulator: Emulator
    ) -> None:
        ids = emulator.seed(contacts(12))["contacts"]
        response = await hubspot.post(
            f"{CONTACTS}/read", json={"inputs": [{"id": record_id} for record_id in ids]}
        )
        assert response.status_code == 200
        found = [result["id"] for result in response.json()["results"]]
        assert sorted(found) == ids
        assert found != ids
        assert "errors" not in response.json()

    async def test_batch_read_reports_missing_ids_in_one_row(
        self, hubspot: httpx.AsyncClient, emulator: Emulator
    ) -> None:
        [contact_id] = emulator.seed(contacts(1))["contacts"]
        response = await hubspot.post(
            f"{CONTACTS}/read",
            json={"inputs": [{"id": contact_id}, {"id": "1"}, {"id": "2"}], "properties": ["email"]},
        )
        assert response.status_code == 207
        body = response.json()
        assert [result["id"] for result in body["results"]] == [contact_id]
        assert body["numErrors"] == 1
        [row] = body["errors"]
        assert (row["category"], row["context"]) == ("OBJECT_NOT_FOUND", {"ids": ["1", "2"]})
        assert row["message"].startswith("Could not get some CONTACT objects")

    async def test_batch_read_by_email_finds_contacts(
        self, hubspot: httpx.AsyncClient, emulator: Emulator
    ) -> None:
        [contact_id] = emulator.seed(contacts(1))["contacts"]
        body = {"inputs": [{"id": "A0@example.com"}, {"id": "no@example.com"}], "idProperty": "email"}
        response = (await hubspot.post(f"{CONTACTS}/read", json=body)).json()
        assert [result["id"] for result in response["results"]] == [contact_id]
        assert response["errors"][0]["context"] == {"ids": ["no@example.com"]}

    async def test_batch_read_of_101_ids_returns_400(self, hubspot: httpx.AsyncClient) -> None:
        response = await hubspot.post(
            f"{CONTACTS}/read", json={"inputs": [{"id": str(record_id)} for record_id in range(101)]}
        )
        assert response.status_code == 400
        assert "The maximum number of inputs supported in a batch is 100" in response.json()["message"]

    async def test_batch_read_with_history_of_51_ids_is_refused(self, hubspot: httpx.AsyncClient) -> None:
        body = {
            "inputs": [{"id": str(record_id)} for record_id in range(51)],
            "propertiesWithHistory": ["email"],
        }
        response = await hubspot.post(f"{CONTACTS}/read", json=body)
        assert "property histories is 50" in response.json()["message"]


class TestCreate:
    async def test_batch_create_with_duplicate_email_creates_nothing(
        self, hubspot: httpx.AsyncClient, emulator: Emulator
    ) -> None:
        emulator.seed(contacts(1))
        inputs = [{"properties": {"email": email}} for email in ("new@example.com", "a0@example.com")]
        response = await hubspot.post(f"{CONTACTS}/create", json={"inputs": inputs})
        assert (response.status_code, response.json()["category"]) == (409, "CONFLICT")
        assert len(emulator.records("contacts")) == 1

    async def test_batch_create_with_trace_ids_reports_errors_per_input(
        self, hubspot: httpx.AsyncClient, emulator: Emulator
    ) -> None:
        emulator.seed(contacts(1))
        inputs = [
            {"properties": {"email": email}, "objectWriteTraceId": f"t{number}"}
            for number, email in enumerate(("new@example.com", "a0@example.com"))
        ]
        response = await hubspot.post(f"{CONTACTS}/create", json={"inputs": inputs})
        assert response.status_code == 207
        assert [result["objectWriteTraceId"] for result in response.json()["results"]] == ["t0"]
        assert response.json()["errors"][0]["context"]["objectWriteTraceId"] == ["t1"]
        assert len(emulator.records("contacts")) == 2

    async def test_valid_batch_create_returns_201(self, hubspot: httpx.AsyncClient) -> None:
        inputs = [{"properties": {"dealname": "same", "dealstage": "closedwon"}, "associations": []}] * 2
        response = await hubspot.post(f"{DEALS}/create", json={"inputs": inputs})
        assert (response.status_code, len(response.json()["results"])) == (201, 2)


class TestUpdate:
    async def test_batch_update_reports_unknown_id(
        self, hubspot: httpx.AsyncClient, emulator: Emulator
    ) -> None:
        [contact_id] = emulator.seed(contacts(1))["contacts"]
        inputs = [{"id": record_id, "properties": {"firstname": "B"}} for record_id in (contact_id, "1")]
        response = await hubspot.post(f"{CONTACTS}/update", json={"inputs": inputs})
        assert response.status_code == 207
        assert response.json()["errors"][0]["context"]["ids"] == ["1"]
        assert emulator.records("contacts")[0].properties["firstname"] == "B"

    async def test_batch_update_with_invalid_value_changes_nothing(
        self, hubspot: httpx.AsyncClient, emulator: Emulator
    ) -> None:
        one, two = emulator.seed(contacts(2))["contacts"]
        inputs = [{"id": one, "properties": {"firstname": "B"}}, {"id": two, "properties": {"x": "y"}}]
        assert (await hubspot.post(f"{CONTACTS}/update", json={"inputs": inputs})).status_code == 400
        assert {record.properties["firstname"] for record in emulator.records("contacts")} == {"A"}

    async def test_batch_update_of_contacts_by_email_is_refused(self, hubspot: httpx.AsyncClient) -> None:
        inputs = [{"id": "a@example.com", "idProperty": "email", "properties": {"firstname": "B"}}]
        response = await hubspot.post(f"{CONTACTS}/update", json={"inputs": inputs})
        assert "non-unique 0-1 property email" in response.json()["message"]

    async def test_batch_update_omits_merged_id_from_results(
        self, hubspot: httpx.AsyncClient, emulator: Emulator
    ) -> None:
        one, two = emulator.seed(contacts(2))["contacts"]
        emulator.merge("contacts", one, two)
        inputs = [{"id": two, "properties": {"firstname": "B"}}]
        response = await hubspot.post(f"{CONTACTS}/update", json={"inputs": inputs})
        assert (response.status_code, response.json()["results"]) == (200, [])


class TestUpsert:
    async def test_batch_upsert_creates_and_then_updates(
        self, hubspot: httpx.AsyncClient, emulator: Emulator
    ) -> None:
        for is_new, name in ((True, "A"), (False, "B")):
            inputs = [{"id": "Ada@example.com", "idProperty": "email", "properties": {"firstname": name}}]
            response = await hubspot.post(f"{CONTACTS}/upsert", json={"inputs": inputs})
            assert response.status_code == 200
            [found] = response.json()["results"]
            assert found["new"] is is_new
        [record] = emulator.records("contacts")
        assert (record.properties["email"], record.properties["firstname"]) == ("ada@example.com", "B")

    async def test_batch_upsert_with_duplicate_key_creates_nothing(
        self, hubspot: httpx.AsyncClient, emulator: Emulator
    ) -> None:
        inputs: list[dict[str, Any]] = [
            {"id": email, "idProperty": "email", "properties": {}, "objectWriteTraceId": email}
            for email in ("a@example.com", "A@example.com")
        ]
        response = await hubspot.post(f"{CONTACTS}/upsert", json={"inputs": inputs})
        assert response.status_code == 400
        assert "Duplicate IDs found in batch input" in response.json()["message"]
        assert emulator.records("contacts") == []

    async def test_batch_upsert_by_non_unique_property_returns_400(self, hubspot: httpx.AsyncClient) -> None:
        inputs = [{"id": "d", "idProperty": "dealname", "properties": {}}]
        response = await hubspot.post(f"{DEALS}/upsert", json={"inputs": inputs})
        assert response.status_code == 400
        assert "non-unique 0-3 property dealname" in response.json()["message"]


async def test_batch_archive_with_unknown_id_returns_204(
    hubspot: httpx.AsyncClient, emulator: Emulator
) -> None:
    [contact_id] = emulator.seed(contacts(1))["contacts"]
    response = await hubspot.post(f"{CONTACTS}/archive", json={"inputs": [{"id": contact_id}, {"id": "1"}]})
    assert response.status_code == 204
    assert emulator.records("contacts") == []


@pytest.mark.parametrize(
    "content", ["{}", '{"inputs": 1}', '{"inputs": [1]}', '{"inputs": [{}]}', '{"inputs": [{"id": {}}]}']
)
@pytest.mark.parametrize("operation", ["read", "update", "upsert", "archive"])
async def test_batch_with_malformed_inputs_returns_400(
    hubspot: httpx.AsyncClient, operation: str, content: str
) -> None:
    response = await hubspot.post(
        f"{CONTACTS}/{operation}", content=content, headers={"Content-Type": "application/json"}
    )
    assert response.status_code == 400


class TestDuplicateUniqueValues:
    async def test_batch_upsert_of_two_ids_to_one_email_creates_nothing(
        self, hubspot: httpx.AsyncClient, emulator: Emulator
    ) -> None:
        inputs = [
            {"id": f"{name}@example.com", "idProperty": "email", "properties": {"email": "same@example.com"}}
            for name in ("a", "b")
        ]
        response = await hubspot.post(f"{CONTACTS}/upsert", json={"inputs": inputs})
        assert response.status_code == 400
        assert emulator.records("contacts") == []

    async def test_batch_update_to_same_unique_value_changes_nothing(
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
        inputs = [{"id": record_id, "properties": {"key": "one"}} for record_id in ids]
        response = await hubspot.post(f"{DEALS}/update", json={"inputs": inputs})
        assert response.status_code == 400
        assert [record.properties.get("key") for record in emulator.records("deals")] == [None, None]


def test_restore_with_duplicate_email_is_refused(emulator: Emulator) -> None:
    [first] = emulator.seed({"contacts": [{"email": "a@example.com"}]})["contacts"]
    emulator.archive_as_other_actor("contacts", first)
    emulator.seed({"contacts": [{"email": "a@example.com"}]})
    with pytest.raises(Refusal):
        emulator.restore_as_other_actor("contacts", first)
    assert len(emulator.records("contacts")) == 1
