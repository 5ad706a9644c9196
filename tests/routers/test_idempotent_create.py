"""POST requests with an Idempotency-Key, and creates whose HubSpot response is lost."""

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import select, update
from tests.support.builders import deal_body, registration_body, ticket_body
from tests.support.callers import Caller, assert_problem

from crm_api.models import IdempotencyKey, now
from crm_api.services import idempotency
from crm_api.services.accounts.profile import set_role
from crm_api.services.hubspot_account.provisioning import provision
from crm_api.services.properties.categories import TICKET_CATEGORIES
from crm_api.services.records import deals
from hubspot_emulator import Emulator

OBJECT_TYPES = {
    "/api/deals": "deals",
    "/api/tickets/{deal}": "tickets",
    "/api/register": "contacts",
    "/api/contacts": "contacts",
}
# Fields that differ between two records.
UNIQUE_FIELDS = {"id", "hs_object_id", "email", "createdate", "lastmodifieddate", "hs_lastmodifieddate"}
KEY = {"Idempotency-Key": "8e03978e-40d5-43dd-bc93-6894a57f9324"}


@pytest.fixture
async def provisioned(app: FastAPI) -> list[str]:
    """Provision the HubSpot account with the idempotency property."""
    return await provision(app.state.hubspot, TICKET_CATEGORIES)


async def rows(app: FastAPI) -> list[IdempotencyKey]:
    async with app.state.session_factory() as database:
        return list((await database.execute(select(IdempotencyKey))).scalars())


async def end_leases(app: FastAPI) -> None:
    async with app.state.session_factory.begin() as database:
        await database.execute(update(IdempotencyKey).values(lease_until=now() - timedelta(seconds=1)))


class TestSameKey:
    async def test_second_request_with_same_key_replays_the_response(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        first = await customer.post("/api/deals", deal_body(), headers=KEY)
        emulator.clear_requests()
        again = await customer.post("/api/deals", deal_body(), headers=KEY)
        assert (first.status_code, again.status_code) == (201, 201)
        assert first.content == again.content
        assert "idempotency-replayed" not in first.headers
        assert again.headers["idempotency-replayed"] == "true"
        assert again.headers["content-type"] == "application/json"
        # The service reads the record again, because the caller may have lost access to it.
        assert [request.method for request in emulator.requests] == ["GET"]

    async def test_replay_of_record_no_longer_associated_returns_404(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        deal_id = (await customer.post("/api/deals", deal_body(), headers=KEY)).json()["data"]["id"]
        path = f"/api/tickets/{deal_id}"
        assert (await customer.post(path, ticket_body(), headers=KEY)).status_code == 201
        [ticket] = emulator.records("tickets")
        emulator.unlink(("contacts", customer.contact_id), ("deals", deal_id))
        emulator.unlink(("contacts", customer.contact_id), ("tickets", ticket.id))
        assert_problem(await customer.post("/api/deals", deal_body(), headers=KEY), 404, "not_found")
        assert_problem(await customer.post(path, ticket_body(), headers=KEY), 404, "not_found")

    async def test_replay_after_loss_of_staff_role_returns_404(
        self, customer: Caller, staff: Caller, app: FastAPI
    ) -> None:
        body = deal_body(contact_id=customer.contact_id)
        assert (await staff.post("/api/deals", body, headers=KEY)).status_code == 201
        assert (await staff.post("/api/deals", body, headers=KEY)).status_code == 201
        await set_role(app.state.session_factory, staff.email, "customer")
        assert_problem(await staff.post("/api/deals", body, headers=KEY), 404, "not_found")

    @pytest.mark.parametrize("step", ["_acquire", "create_record"])
    async def test_user_deleted_during_create_leaves_no_idempotency_row(
        self, customer: Caller, app: FastAPI, monkeypatch: pytest.MonkeyPatch, step: str
    ) -> None:
        """Another request deletes the user before the key is stored, or before the record is created."""
        module = idempotency if step == "_acquire" else deals
        original = getattr(module, step)

        async def delete_user_first(*arguments: Any, **options: Any) -> Any:
            assert (await customer.delete("/api/me")).status_code == 204
            return await original(*arguments, **options)

        monkeypatch.setattr(module, step, delete_user_first)
        await customer.post("/api/deals", deal_body(), headers=KEY)
        assert await rows(app) == []

    async def test_quoted_idempotency_key_equals_unquoted_key(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        await customer.post("/api/deals", deal_body(), headers={"Idempotency-Key": '"one"'})
        await customer.post("/api/deals", deal_body(), headers={"Idempotency-Key": "one"})
        assert len(emulator.records("deals")) == 1

    @pytest.mark.parametrize("path", ["/api/deals", "/api/tickets/{deal}"])
    async def test_idempotency_key_with_changed_request_returns_422(
        self, customer: Caller, emulator: Emulator, path: str
    ) -> None:
        deal = (await customer.post("/api/deals", deal_body())).json()["data"]["id"]
        other = (await customer.post("/api/deals", deal_body())).json()["data"]["id"]
        body, changed = (
            (deal_body(), deal_body(amount=1))
            if path == "/api/deals"
            else (ticket_body(), ticket_body(subject="Other"))
        )
        assert (await customer.post(path.format(deal=deal), body, headers=KEY)).status_code == 201
        assert_problem(
            await customer.post(path.format(deal=deal), changed, headers=KEY), 422, "idempotency_key_reused"
        )
        if "{deal}" in path:
            response = await customer.post(path.format(deal=other), body, headers=KEY)
            assert_problem(response, 422, "idempotency_key_reused")

    async def test_two_users_may_use_the_same_idempotency_key(
        self, customer: Caller, other_customer: Caller, emulator: Emulator
    ) -> None:
        for caller in (customer, other_customer):
            response = await caller.post("/api/deals", deal_body(), headers=KEY)
            assert (response.status_code, response.headers.get("idempotency-replayed")) == (201, None)
        assert len(emulator.records("deals")) == 2

    async def test_two_operations_may_use_the_same_idempotency_key(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        deal = await customer.post("/api/deals", deal_body(), headers=KEY)
        ticket = await customer.post(f"/api/tickets/{deal.json()['data']['id']}", ticket_body(), headers=KEY)
        assert (ticket.status_code, ticket.headers.get("idempotency-replayed")) == (201, None)
        assert (len(emulator.records("deals")), len(emulator.records("tickets"))) == (1, 1)

    async def test_concurrent_requests_with_one_key_create_one_record(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        responses = await asyncio.gather(
            *(customer.post("/api/deals", deal_body(), headers=KEY) for _ in range(8))
        )
        assert len(emulator.records("deals")) == 1
        assert {response.status_code for response in responses} <= {201, 409}
        for response in responses:
            if response.status_code == 409:
                assert_problem(response, 409, "request_in_progress")
                assert int(response.headers["retry-after"]) >= 1

    async def test_validation_error_is_replayed_for_the_same_key(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        first = await customer.post("/api/deals", deal_body(dealstage="nowhere"), headers=KEY)
        emulator.clear_requests()
        again = await customer.post("/api/deals", deal_body(dealstage="nowhere"), headers=KEY)
        one = assert_problem(first, 400, "validation_error", fields=["dealstage"])
        other = assert_problem(again, 400, "validation_error", fields=["dealstage"])
        assert one["detail"] == other["detail"]
        assert again.headers["idempotency-replayed"] == "true"
        assert emulator.requests == []

    async def test_create_can_be_retried_with_same_key_after_502(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        await customer.get("/api/pipelines")
        emulator.fail_next("POST", "/crm/objects/*/deals", status=403)
        response = await customer.post("/api/deals", deal_body(), headers=KEY)
        assert_problem(response, 502, "hubspot_credentials_refused")
        assert (await customer.post("/api/deals", deal_body(), headers=KEY)).status_code == 201

    async def test_expired_idempotency_key_creates_another_deal(
        self, customer: Caller, app: FastAPI, emulator: Emulator
    ) -> None:
        await customer.post("/api/deals", deal_body(), headers=KEY)
        async with app.state.session_factory.begin() as database:
            await database.execute(update(IdempotencyKey).values(expires_at=now()))
        response = await customer.post("/api/deals", deal_body(), headers=KEY)
        assert "idempotency-replayed" not in response.headers
        assert len(emulator.records("deals")) == 2

    @pytest.mark.parametrize("key", ["", "x" * 256, "has space"])
    async def test_malformed_idempotency_key_returns_400(self, customer: Caller, key: str) -> None:
        response = await customer.post("/api/deals", deal_body(), headers={"Idempotency-Key": key})
        assert_problem(response, 400, "validation_error", fields=["Idempotency-Key"])

    async def test_idempotency_row_id_and_fingerprint_hide_key_and_body(
        self, customer: Caller, app: FastAPI
    ) -> None:
        await customer.post("/api/deals", deal_body(dealname="Hidden name"), headers=KEY)
        [row] = await rows(app)
        assert KEY["Idempotency-Key"] not in row.fingerprint + row.id
        assert "Hidden" not in row.fingerprint + row.id

    async def test_repeated_registration_with_same_key_replays_the_201(
        self, client: httpx.AsyncClient, emulator: Emulator
    ) -> None:
        first = await client.post("/api/register", json=registration_body(), headers=KEY)
        again = await client.post("/api/register", json=registration_body(), headers=KEY)
        assert (first.status_code, again.status_code) == (201, 201)
        assert first.content == again.content
        changed = registration_body(password="another good one")
        assert_problem(
            await client.post("/api/register", json=changed, headers=KEY), 422, "idempotency_key_reused"
        )


class TestLostResponses:
    @pytest.mark.parametrize(
        "kind", ["drop_before", "drop_after", "truncated_json", "hang_after", "invalid_json"]
    )
    async def test_lost_hubspot_response_creates_one_deal_if_provisioned(
        self, customer: Caller, emulator: Emulator, provisioned: list[str], kind: str
    ) -> None:
        await customer.get("/api/pipelines")
        emulator.fail_next("POST", "/crm/objects/*/deals", kind=kind)
        response = await customer.post("/api/deals", deal_body())
        assert response.status_code == 201, response.text
        [record] = emulator.records("deals")
        assert response.json()["data"]["id"] == record.id
        assert emulator.associations("deals", record.id, "contacts") == [customer.contact_id]
        assert len(emulator.used_faults()) == 1

    @pytest.mark.parametrize("path", ["/api/deals", "/api/tickets/{deal}", "/api/register", "/api/contacts"])
    async def test_create_returns_same_body_after_lost_hubspot_response(
        self, staff: Caller, emulator: Emulator, provisioned: list[str], path: str
    ) -> None:
        deal = (await staff.post("/api/deals", deal_body())).json()["data"]["id"]
        responses = []
        for number, kind in enumerate((None, "drop_after")):
            if kind is not None:
                emulator.fail_next("POST", f"/crm/objects/*/{OBJECT_TYPES[path]}", kind=kind)
            body = {
                "/api/deals": deal_body(closedate="2027-01-31T00:00:00Z", description="x"),
                "/api/tickets/{deal}": ticket_body(),
                "/api/register": registration_body(email=f"ada{number}@example.com"),
                "/api/contacts": {"email": f"ada{number}@example.com", "firstname": "Ada"},
            }[path]
            response = await staff.post(path.format(deal=deal), body)
            assert response.status_code == 201, response.text
            data = response.json()["data"]
            record = data["contact"] if path == "/api/register" else data
            responses.append({name: value for name, value in record.items() if name not in UNIQUE_FIELDS})
        assert len(emulator.used_faults()) == 1
        assert responses[0] == responses[1]

    async def test_lost_hubspot_response_returns_504_if_not_provisioned(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        await customer.get("/api/pipelines")
        emulator.fail_next("POST", "/crm/objects/*/deals", kind="drop_after")
        assert_problem(await customer.post("/api/deals", deal_body(), headers=KEY), 504, "outcome_unknown")
        # The same key does not create a second record.
        assert_problem(await customer.post("/api/deals", deal_body(), headers=KEY), 504, "outcome_unknown")
        assert len(emulator.records("deals")) == 1

    @pytest.mark.parametrize("committed", [True, False])
    async def test_retry_after_crash_and_expired_lease_leaves_one_deal(
        self, customer: Caller, app: FastAPI, emulator: Emulator, provisioned: list[str], committed: bool
    ) -> None:
        # A crash after HubSpot's commit leaves a row with a lease and without a response.
        first = await customer.post("/api/deals", deal_body(), headers=KEY)
        deal_id = first.json()["data"]["id"]
        async with app.state.session_factory.begin() as database:
            await database.execute(update(IdempotencyKey).values(status=None, answer=None))
        if not committed:
            emulator.archive_as_other_actor("deals", deal_id)
        assert_problem(
            await customer.post("/api/deals", deal_body(), headers=KEY), 409, "request_in_progress"
        )
        await end_leases(app)
        again = await customer.post("/api/deals", deal_body(), headers=KEY)
        assert again.status_code == 201, again.text
        assert len(emulator.records("deals")) == 1
        if committed:
            assert again.json()["data"]["id"] == deal_id


class TestProvision:
    async def test_second_provision_changes_nothing_in_hubspot(
        self, app: FastAPI, emulator: Emulator
    ) -> None:
        done = await provision(app.state.hubspot, TICKET_CATEGORIES)
        assert any("crm_api_request_id created" in line for line in done)
        assert sum("category" in line for line in done) == 2
        emulator.clear_requests()
        assert await provision(app.state.hubspot, TICKET_CATEGORIES) == []
        assert {request.method for request in emulator.requests} == {"GET"}

    async def test_provision_keeps_existing_category_options(self, app: FastAPI) -> None:
        before = await app.state.hubspot.properties.get("tickets", "hs_ticket_category")
        await provision(app.state.hubspot, TICKET_CATEGORIES)
        after = await app.state.hubspot.properties.get("tickets", "hs_ticket_category")
        values = [option.value for option in after.options]
        assert values[: len(before.options)] == [option.value for option in before.options]
        assert values[len(before.options) :] == ["SERVICE_REQUEST", "MEETING"]

    @pytest.mark.parametrize("category", sorted(TICKET_CATEGORIES))
    async def test_every_ticket_category_is_accepted_after_provision(
        self, customer: Caller, provisioned: list[str], category: str
    ) -> None:
        deal: dict[str, Any] = (await customer.post("/api/deals", deal_body())).json()["data"]
        response = await customer.post(f"/api/tickets/{deal['id']}", ticket_body(category=category))
        assert (response.status_code, response.json()["data"]["category"]) == (201, category)

    async def test_new_ticket_with_category_not_in_hubspot_returns_400(self, customer: Caller) -> None:
        deal = (await customer.post("/api/deals", deal_body())).json()["data"]
        response = await customer.post(f"/api/tickets/{deal['id']}", ticket_body(category="meeting"))
        assert_problem(response, 400, "validation_error", fields=["category"])
