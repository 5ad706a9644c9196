"""Audit entries of requests and commands."""

from collections.abc import Callable
from datetime import timedelta

import httpx
from fastapi import FastAPI
from tests.support.builders import PASSWORD, deal_body, registration_body, ticket_body
from tests.support.callers import Caller, end_grace_period
from tests.support.records import create_deal_as, seed_deals

from crm_api.models import AuditEntry, now
from crm_api.services.accounts.profile import set_role
from crm_api.services.audit import OPERATOR, entries
from hubspot_emulator import Emulator


class TestAudit:
    async def events(self, app: FastAPI) -> list[AuditEntry]:
        return await entries(app.state.session_factory)

    async def test_audit_entry_has_actor_time_address_and_request_id(
        self, client: httpx.AsyncClient, app: FastAPI
    ) -> None:
        request_id = {"X-Request-ID": "front-end-0001"}
        await client.post("/api/register", json=registration_body(), headers=request_id)
        registered, linked = await self.events(app)
        assert (registered.event, linked.event) == ("registered", "contact_linked")
        assert (registered.actor, registered.address, registered.request_id) == (
            "anonymous",
            "127.0.0.1",
            "front-end-0001",
        )
        assert abs(registered.at - now()) < timedelta(minutes=1)
        assert registered.user_id is not None

    async def test_login_password_profile_and_role_changes_are_audited(
        self, customer: Caller, app: FastAPI
    ) -> None:
        wrong = {"email": customer.email, "password": "not the one"}
        await customer.client.post("/api/login", json=wrong)
        await customer.client.post("/api/login", json=wrong | {"email": "nobody@example.com"})
        await set_role(app.state.session_factory, customer.email, "staff", origin=OPERATOR)
        change = {"current_password": PASSWORD, "new_password": "a harbour in the morning"}
        await customer.post("/api/me/password", change)
        await customer.client.patch("/api/me", json={"firstname": "Eve"}, headers=customer.headers)
        await customer.client.delete("/api/me", headers=customer.headers)
        events = [(entry.event, entry.actor, entry.user_id is not None) for entry in await self.events(app)]
        assert events == [
            ("registered", "anonymous", True),
            ("contact_linked", "anonymous", True),
            ("login_succeeded", "anonymous", True),
            ("login_failed", "anonymous", True),
            ("login_failed", "anonymous", False),
            ("role_changed", "operator", True),
            ("password_changed", "user", True),
            ("profile_changed", "user", True),
            ("user_deleted", "user", True),
        ]

    async def test_archived_record_is_audited_once(self, customer: Caller, app: FastAPI) -> None:
        deal_id = (await customer.post("/api/deals", deal_body())).json()["data"]["id"]
        ticket = await customer.post(f"/api/tickets/{deal_id}", ticket_body())
        ticket_id = ticket.json()["data"]["id"]
        for path in (f"/api/tickets/{ticket_id}", f"/api/deals/{deal_id}"):
            response = await customer.delete(path, headers={"X-Request-ID": "front-end-0002"})
            assert response.status_code == 204
        # Archiving an archived deal adds no entry.
        assert (await customer.delete(f"/api/deals/{deal_id}")).status_code == 404
        archived = [entry for entry in await self.events(app) if entry.event == "record_archived"]
        assert [(entry.actor, entry.detail, entry.address, entry.request_id) for entry in archived] == [
            ("user", f"tickets {ticket_id}", "127.0.0.1", "front-end-0002"),
            ("user", f"deals {deal_id}", "127.0.0.1", "front-end-0002"),
        ]
        assert len({entry.user_id for entry in archived}) == 1

    async def test_staff_writes_are_audited_without_values(
        self, staff: Caller, customer: Caller, app: FastAPI
    ) -> None:
        created = await staff.post("/api/deals", deal_body(contact_id=customer.contact_id))
        deal_id = created.json()["data"]["id"]
        changes = {"dealname": "Secret name", "description": "Secret", "dealstage": "qualifiedtobuy"}
        request_id = {"X-Request-ID": "front-end-0004"}
        for _ in range(2):  # the second request changes nothing
            await staff.patch(f"/api/deals/{deal_id}", changes, headers=request_id)
        entries_of_writes = [
            (entry.event, entry.actor, entry.detail)
            for entry in await self.events(app)
            if entry.event.startswith("record_")
        ]
        assert entries_of_writes == [
            ("record_created", "user", f"deals {deal_id}: dealname, dealstage, pipeline"),
            ("record_changed", "user", f"deals {deal_id}: dealname, description"),
        ]
        changed = (await self.events(app))[-1]
        assert (changed.request_id, changed.user_id is not None) == ("front-end-0004", True)

    async def test_change_with_unknown_outcome_is_audited(
        self, staff: Caller, customer: Caller, app: FastAPI, emulator: Emulator
    ) -> None:
        [deal_id] = seed_deals(emulator, customer.contact_id, 1)
        emulator.fail_next("PATCH", f"/crm/objects/*/deals/{deal_id}", kind="drop_after", times=10)
        response = await staff.patch(f"/api/deals/{deal_id}", {"amount": 5})
        assert response.status_code >= 500
        assert (await self.events(app))[-1].detail == f"deals {deal_id}: amount"

    async def test_archive_succeeds_if_audit_entry_cannot_be_stored(
        self, customer: Caller, fail_statements: Callable[[str], None]
    ) -> None:
        deal_id = await create_deal_as(customer)
        fail_statements("INSERT INTO audit_entries")
        assert (await customer.delete(f"/api/deals/{deal_id}")).status_code == 204

    async def test_audit_entry_of_lost_contact_link_has_request_id(
        self, customer: Caller, app: FastAPI, emulator: Emulator
    ) -> None:
        emulator.archive_as_other_actor("contacts", customer.contact_id)
        await customer.get("/api/deals", headers={"X-Request-ID": "front-end-0003"})
        entry = (await self.events(app))[-1]
        assert (entry.event, entry.actor, entry.address, entry.request_id) == (
            "contact_link_lost",
            "system",
            "127.0.0.1",
            "front-end-0003",
        )

    async def test_refresh_token_reuse_is_audited(self, customer: Caller, app: FastAPI) -> None:
        body = {"refresh_token": customer.tokens["refresh_token"]}
        await customer.client.post("/api/token/refresh", json=body)
        await end_grace_period(app)
        await customer.client.post("/api/token/refresh", json=body)
        assert [entry.event for entry in await self.events(app)][-1] == "session_revoked"

    async def test_audit_entries_contain_no_email_name_or_phone(self, customer: Caller, app: FastAPI) -> None:
        await customer.client.patch("/api/me", json={"firstname": "Eve"}, headers=customer.headers)
        for entry in await self.events(app):
            for personal in (customer.email, "Ada", "Eve", "Lovelace", "7946 0018"):
                assert personal not in f"{entry.detail} {entry.actor} {entry.event}"
