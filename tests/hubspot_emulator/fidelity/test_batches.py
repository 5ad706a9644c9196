"""Batches of records."""

import httpx
from tests.hubspot_emulator.fidelity.records import CONTACTS, DEALS, create_contact, unique_email


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

    async def test_batch_read_of_101_ids_returns_400(self, hubspot: httpx.AsyncClient) -> None:
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

    async def test_upsert_of_deal_by_name_returns_400(self, hubspot: httpx.AsyncClient) -> None:
        inputs = [{"id": "x", "idProperty": "dealname", "properties": {"dealstage": "closedwon"}}]
        response = await hubspot.post(f"{DEALS}/batch/upsert", json={"inputs": inputs})
        assert response.status_code == 400
        assert "non-unique" in response.text
