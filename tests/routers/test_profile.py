"""Routes of the caller's own profile: read, update, delete, export."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, get_args
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import event, insert, select, update
from tests.support.builders import PASSWORD, deal_body, registration_body, ticket_body
from tests.support.callers import Caller, assert_problem
from tests.support.records import seed_tickets

from crm_api.models import AuditEntry, Base, PendingRegistration, Session, User, now
from crm_api.schemas.accounts import CustomerOperation
from crm_api.schemas.export import MAX_ENTRIES
from crm_api.services.accounts.profile import set_role
from crm_api.services.records import customer_records
from hubspot_emulator import Emulator


async def users_of(app: FastAPI) -> list[User]:
    async with app.state.session_factory() as database:
        return list((await database.execute(select(User))).scalars())


def writes(emulator: Emulator) -> list[tuple[str, str]]:
    """Return the writes that the emulator received."""
    return [
        (request.method, request.path)
        for request in emulator.requests
        if request.method != "GET" and not request.path.endswith(("/batch/read", "/search"))
    ]


class TestReadMe:
    async def test_get_profile_without_token_returns_401(self, client: httpx.AsyncClient) -> None:
        response = await client.get("/api/me")
        assert_problem(response, 401, "invalid_token")
        assert response.headers["www-authenticate"].startswith("Bearer")

    async def test_profile_is_read_without_hubspot_call(self, customer: Caller, emulator: Emulator) -> None:
        emulator.clear_requests()
        response = await customer.get("/api/me")
        assert response.status_code == 200
        profile = response.json()["data"]
        assert profile.pop("id")
        assert profile == {
            "email": "customer@example.com",
            "operations": list(get_args(CustomerOperation)),
            "firstname": "Ada",
            "lastname": "Lovelace",
            "phone": "+44 20 7946 0018",
            "role": "customer",
            "email_verified": False,
            "contact_id": customer.contact_id,
        }
        assert emulator.requests == []


async def lose_contact_for_long(app: FastAPI) -> None:
    """Set the time at which HubSpot first did not find the contact to a day ago."""
    async with app.state.session_factory.begin() as database:
        await database.execute(update(User).values(contact_lost_at=now() - timedelta(days=1)))


class TestUpdateMe:
    async def patch(self, caller: Caller, **change: Any) -> httpx.Response:
        return await caller.client.patch("/api/me", json=change, headers=caller.headers)

    async def test_update_profile_without_token_returns_401(self, client: httpx.AsyncClient) -> None:
        assert_problem(await client.patch("/api/me", json={"firstname": "Eve"}), 401, "invalid_token")

    async def test_profile_update_changes_database_and_contact(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        emulator.clear_requests()
        response = await self.patch(customer, firstname="Augusta", phone="+1 555 010 9999")
        assert response.status_code == 200
        assert response.json()["message"] == "Profile updated successfully"
        assert (await customer.get("/api/me")).json()["data"] == response.json()["data"]
        assert (response.json()["data"]["firstname"], response.json()["data"]["lastname"]) == (
            "Augusta",
            "Lovelace",
        )
        [record] = emulator.records("contacts")
        assert record.properties["firstname"] == "Augusta"
        assert record.properties["phone"] == "+1 555 010 9999"
        [sent] = [request.body for request in emulator.requests if request.method == "PATCH"]
        assert sent == {"properties": {"firstname": "Augusta", "phone": "+1 555 010 9999"}}

    async def test_empty_profile_update_makes_no_hubspot_call(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        emulator.clear_requests()
        assert (await self.patch(customer)).status_code == 200
        assert emulator.requests == []

    @pytest.mark.parametrize(
        "change",
        [
            {"firstname": None},
            {"phone": "call me maybe"},
            {"firstname": "\u0958" * 51},
            {"lastname": "<b>"},
            {"email": "eve@example.com"},
            {"role": "staff"},
            {"email_verified": True},
            {"contact_id": "1"},
            {"password": "a harbour in the morning"},
        ],
    )
    async def test_update_of_invalid_or_read_only_profile_field_gets_400(
        self, customer: Caller, emulator: Emulator, change: dict[str, Any]
    ) -> None:
        emulator.clear_requests()
        assert_problem(await self.patch(customer, **change), 400, "validation_error", fields=list(change))
        assert emulator.requests == []

    async def test_hubspot_failure_of_profile_update_keeps_old_profile(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        emulator.fail_next("PATCH", "/crm/objects/*", status=403)
        assert_problem(await self.patch(customer, firstname="Eve"), 502, "hubspot_credentials_refused")
        assert (await customer.get("/api/me")).json()["data"]["firstname"] == "Ada"

    async def test_profile_update_retried_after_database_error_succeeds(
        self, customer: Caller, emulator: Emulator, fail_statements: Callable[[str], None]
    ) -> None:
        fail_statements("UPDATE users SET")
        assert_problem(await self.patch(customer, firstname="Augusta"), 503, "service_unavailable")
        fail_statements("")
        assert (await self.patch(customer, firstname="Augusta")).json()["data"]["firstname"] == "Augusta"
        assert emulator.records("contacts")[0].properties["firstname"] == "Augusta"

    async def test_profile_update_succeeds_a_day_after_contact_is_archived(
        self, customer: Caller, app: FastAPI, emulator: Emulator
    ) -> None:
        emulator.archive_as_other_actor("contacts", customer.contact_id)
        assert_problem(await self.patch(customer, firstname="Augusta"), 503, "hubspot_unavailable")
        await lose_contact_for_long(app)
        response = await self.patch(customer, firstname="Augusta")
        assert response.status_code == 200, response.text
        assert response.json()["data"]["firstname"] == "Augusta"


class TestDeleteMe:
    async def delete(self, caller: Caller) -> httpx.Response:
        return await caller.client.delete("/api/me", headers=caller.headers)

    async def test_delete_user_without_token_returns_401(self, client: httpx.AsyncClient) -> None:
        assert_problem(await client.delete("/api/me"), 401, "invalid_token")

    async def test_deleted_user_cannot_log_in_and_contact_remains(
        self, customer: Caller, app: FastAPI, emulator: Emulator
    ) -> None:
        emulator.clear_requests()
        response = await self.delete(customer)
        assert (response.status_code, response.content) == (204, b"")
        assert_problem(await customer.get("/api/me"), 401, "invalid_token")
        token = {"refresh_token": customer.tokens["refresh_token"]}
        assert (await customer.client.post("/api/token/refresh", json=token)).status_code == 401
        body = {"email": customer.email, "password": PASSWORD}
        assert (await customer.client.post("/api/login", json=body)).status_code == 401
        assert await users_of(app) == []
        assert writes(emulator) == []
        assert len(emulator.records("contacts")) == 1

    async def test_deleted_user_leaves_no_personal_data_in_tables(
        self, client: httpx.AsyncClient, other_customer: Caller, app: FastAPI
    ) -> None:
        """Every table with personal data has rows of the user first and none after. The audit log keeps the user ID."""
        key = {"Idempotency-Key": "the-same-for-all"}
        body = registration_body(email="leaving@example.com", lastname="Leaving", phone="+1 555 010 7777")
        assert (await client.post("/api/register", json=body, headers=key)).status_code == 201
        caller = await Caller.log_in(client, body["email"], PASSWORD, contact_id="")
        user_id = (await caller.get("/api/me")).json()["data"]["id"]
        assert await set_role(app.state.session_factory, caller.email, "staff")
        for person in (caller, other_customer):
            deal = await person.post("/api/deals", deal_body(), headers=key)
            assert deal.status_code == 201, deal.text
        await client.post("/api/password/forgot", json={"email": caller.email})
        body = {"refresh_token": caller.tokens["refresh_token"]}
        assert (await client.post("/api/token/refresh", json=body)).status_code == 200
        async with app.state.session_factory.begin() as database:
            pending = {"firstname": "A", "lastname": "Leaving", "phone": "12345", "password_hash": "x"}
            database.add(PendingRegistration(email=caller.email, expires_at=now(), **pending))
        before = await self.rows(app)
        assert (await self.delete(caller)).status_code == 204
        after = await self.rows(app)
        # The other customer's rows remain.
        assert {table: len(before[table]) - len(after[table]) for table in before if before[table]} == {
            "audit_entries": -1,
            "idempotency_keys": 2,
            "mail_tokens": 1,
            "pending_registrations": 1,
            "recent_writes": 1,
            "refresh_tokens": 2,
            "sessions": 1,
            "users": 1,
            # This table belongs to the HubSpot account and has no personal data.
            "hubspot_account": 0,
        }
        for table, rows in after.items():
            for personal in (caller.email, "Leaving", "555 010 7777"):
                assert personal not in str(rows), table
            # Stored responses contain the ID with hyphens, columns may contain it without.
            assert table == "audit_entries" or user_id.replace("-", "") not in str(rows).replace("-", "")

    async def rows(self, app: FastAPI) -> dict[str, list[tuple[Any, ...]]]:
        async with app.state.session_factory() as database:
            return {
                table.name: [tuple(row) for row in await database.execute(table.select())]
                for table in Base.metadata.sorted_tables
            }

    async def test_idempotency_key_can_be_reused_after_user_is_deleted(
        self, client: httpx.AsyncClient, app: FastAPI
    ) -> None:
        """The stored response of the first registration describes a user who no longer exists."""
        key = {"Idempotency-Key": "once"}
        await client.post("/api/register", json=registration_body(), headers=key)
        caller = await Caller.log_in(client, "ada@example.com", PASSWORD, contact_id="")
        await self.delete(caller)
        again = await client.post("/api/register", json=registration_body(), headers=key)
        assert again.status_code == 201
        assert "idempotency-replayed" not in again.headers
        assert len(await users_of(app)) == 1

    async def test_email_can_be_registered_again_after_user_is_deleted(self, customer: Caller) -> None:
        await self.delete(customer)
        again = await customer.client.post("/api/register", json=registration_body(email=customer.email))
        assert again.status_code == 201
        assert again.json()["data"]["contact"]["id"] == customer.contact_id


class TestExportMe:
    async def test_export_without_token_returns_401(self, client: httpx.AsyncClient) -> None:
        assert_problem(await client.get("/api/me/export"), 401, "invalid_token")

    async def test_export_contains_only_data_of_the_caller(
        self, customer: Caller, other_customer: Caller
    ) -> None:
        for caller, name in ((customer, "Mine"), (other_customer, "Not mine")):
            deal = (await caller.post("/api/deals", deal_body(dealname=name))).json()["data"]["id"]
            assert (await caller.post(f"/api/tickets/{deal}", ticket_body(subject=name))).status_code == 201
        response = await customer.get("/api/me/export")
        assert response.status_code == 200, response.text
        export = response.json()["data"]
        assert export["profile"] == (await customer.get("/api/me")).json()["data"]
        assert export["contact"]["id"] == customer.contact_id
        [deal] = export["contact"]["deals"]
        assert (deal["dealname"], deal["tickets"][0]["subject"]) == ("Mine", "Mine")
        assert [ticket["subject"] for ticket in export["tickets"]] == ["Mine"]
        assert len(export["sessions"]) == 1
        assert [entry["event"] for entry in export["audit"]] == [
            "registered",
            "contact_linked",
            "login_succeeded",
            "exported",
        ]
        assert "Not mine" not in response.text
        assert other_customer.email not in response.text
        assert "hash" not in response.text

    async def test_export_of_user_without_contact_contains_profile(
        self, customer: Caller, app: FastAPI, emulator: Emulator
    ) -> None:
        emulator.archive_as_other_actor("contacts", customer.contact_id)
        assert_problem(await customer.get("/api/me/export"), 503, "hubspot_unavailable")
        await lose_contact_for_long(app)
        export = (await customer.get("/api/me/export")).json()["data"]
        assert (export["contact"], export["tickets"]) == (None, [])
        assert export["profile"]["email"] == customer.email

    async def test_export_returns_sessions_and_audit_entries_in_pages(
        self, customer: Caller, app: FastAPI
    ) -> None:
        user_id = (await customer.get("/api/me")).json()["data"]["id"]
        entry = {"event": "logged_out", "user_id": UUID(user_id), "actor": "user"}
        session = {"user_id": UUID(user_id), "expires_at": now()}
        async with app.state.session_factory.begin() as database:
            # Equal timestamps: only the ID decides where a page ends.
            await database.execute(insert(AuditEntry), [entry | {"at": now()}] * (2 * MAX_ENTRIES))
            await database.execute(insert(Session), [session] * MAX_ENTRIES)
        loaded: list[object] = []

        def count_loaded(row: object, _context: object) -> None:
            loaded.append(row)

        event.listen(AuditEntry, "load", count_loaded)
        try:
            pages = [(await customer.get("/api/me/export")).json()["data"]]
            while cursor := pages[-1]["next_cursor"]:
                response = await customer.get("/api/me/export", params={"cursor": cursor})
                pages.append(response.json()["data"])
        finally:
            event.remove(AuditEntry, "load", count_loaded)
        # A page reads one entry more than it shows, so its work does not grow with the audit log.
        assert len(loaded) <= 2 * (MAX_ENTRIES + 1) + 4
        assert [len(page["audit"]) for page in pages] == [MAX_ENTRIES, MAX_ENTRIES, 4]
        assert [len(page["sessions"]) for page in pages] == [MAX_ENTRIES, 1, 0]
        events = [entry["event"] for page in pages for entry in page["audit"]]
        assert (events.count("logged_out"), events[-1]) == (2 * MAX_ENTRIES, "exported")
        assert [page["contact"] is not None for page in pages] == [True, False, False]

    async def test_export_with_too_large_tickets_is_incomplete(
        self, customer: Caller, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(customer_records, "MAX_RECORD_BYTES", 25_000)
        to = [("contacts", customer.contact_id)]
        seed_tickets(emulator, 3, to=to, content="x" * 10_000)
        export = (await customer.get("/api/me/export")).json()["data"]
        assert (len(export["tickets"]), export["incomplete"]) == (2, True)
