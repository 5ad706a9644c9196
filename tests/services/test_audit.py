"""Audit entries of requests and commands."""

from datetime import timedelta

import httpx
from fastapi import FastAPI
from tests.support.builders import PASSWORD, deal_body, registration_body, ticket_body
from tests.support.callers import Caller

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
        register_caller, linked = await self.events(app)
        assert (register_caller.event, linked.event) == ("registered", "contact_linked")
        assert (register_caller.actor, register_caller.address, register_caller.request_id) == (
            "anonymous",
            "127.0.0.1",
            "front-end-0001",
        )
        assert abs(register_caller.at - now()) < timedelta(minutes=1)
        assert register_caller.user_id is not None

    async def test_each_account_operation_adds_its_audit_event(self, customer: Caller, app: FastAPI) -> None:
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
        deal_id = (await customer.post("/api/deals", deal_body())).json()["data"]["deal"]["id"]
        ticket = await customer.post(f"/api/tickets/{deal_id}", ticket_body())
        ticket_id = ticket.json()["data"]["ticket"]["id"]
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

    async def test_audit_of_lost_contact_link_names_the_request(
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
        for _ in range(3):
            await customer.client.post("/api/token/refresh", json=body)
        assert [entry.event for entry in await self.events(app)][-1] == "session_revoked"

    async def test_audit_entries_contain_no_personal_data(self, customer: Caller, app: FastAPI) -> None:
        await customer.client.patch("/api/me", json={"firstname": "Eve"}, headers=customer.headers)
        for entry in await self.events(app):
            for personal in (customer.email, "Ada", "Eve", "Lovelace", "7946 0018"):
                assert personal not in f"{entry.detail} {entry.actor} {entry.event}"
