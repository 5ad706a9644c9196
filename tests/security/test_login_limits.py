"""Limits of logins, sessions and requested mails."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import func, select
from tests.support.builders import PASSWORD, registration_body
from tests.support.callers import Caller, app_client, assert_problem
from tests.support.mail import Mailbox, with_email_verification

from crm_api.models import AuditEntry, Session
from crm_api.rate_limit import RateLimits
from crm_api.settings import Settings
from hubspot_emulator import Emulator


@asynccontextmanager
async def client_at(app: FastAPI, address: str) -> AsyncGenerator[httpx.AsyncClient, None]:
    transport = httpx.ASGITransport(app=app, client=(address, 1234))
    async with httpx.AsyncClient(transport=transport, base_url="http://crm.example") as client:
        yield client


async def log_in(app: FastAPI, address: str, email: str, password: str = PASSWORD) -> int:
    async with client_at(app, address) as client:
        return (await client.post("/api/login", json={"email": email, "password": password})).status_code


def change_limits(app: FastAPI, **limits: str) -> None:
    app.state.rate_limits = RateLimits(app.state.settings.model_copy(update=limits))


class TestLogins:
    async def test_correct_logins_are_limited_per_network_address(
        self, customer: Caller, other_customer: Caller, app: FastAPI
    ) -> None:
        change_limits(app, rate_limit_logins_per_address="4 per 1 minute")
        emails = [customer.email, other_customer.email] * 3
        assert [await log_in(app, "203.0.113.1", email) for email in emails] == [200] * 4 + [429] * 2
        assert await log_in(app, "203.0.113.2", customer.email) == 200

    async def test_wrong_passwords_block_logins_only_from_same_address(
        self, customer: Caller, app: FastAPI
    ) -> None:
        statuses = [await log_in(app, "203.0.113.1", customer.email, "guess") for _ in range(7)]
        assert statuses == [401] * 5 + [429] * 2
        assert await log_in(app, "203.0.113.2", customer.email) == 200

    async def test_wrong_passwords_from_many_addresses_return_429(
        self, customer: Caller, app: FastAPI
    ) -> None:
        change_limits(app, rate_limit_failed_logins_per_account_total="8 per 1 minute")
        statuses = [await log_in(app, f"203.0.113.{number}", customer.email, "guess") for number in range(10)]
        assert statuses == [401] * 8 + [429] * 2

    async def test_one_address_cannot_use_up_the_total_of_failed_logins(
        self, customer: Caller, app: FastAPI
    ) -> None:
        change_limits(app, rate_limit_failed_logins_per_account_total="8 per 1 minute")
        for _ in range(19):
            await log_in(app, "203.0.113.1", customer.email, "guess")
        assert await log_in(app, "203.0.113.2", customer.email) == 200

    async def test_session_can_change_password_while_logins_get_429(
        self, customer: Caller, app: FastAPI
    ) -> None:
        change_limits(
            app,
            rate_limit_failed_logins_per_account_total="8 per 1 minute",
            rate_limit_failed_logins_per_address="1 per 1 minute",
        )
        # The address of the customer's session is refused too.
        assert [await log_in(app, "127.0.0.1", "x@example.com", "guess") for _ in range(2)] == [401, 429]
        for number in range(9):
            await log_in(app, f"203.0.113.{number}", customer.email, "guess")
        assert await log_in(app, "203.0.113.200", customer.email) == 429
        body = {"current_password": PASSWORD, "new_password": "another lighthouse"}
        assert (await customer.post("/api/me/password", body)).status_code == 204
        body = {"refresh_token": customer.tokens["refresh_token"]}
        assert (await customer.client.post("/api/token/refresh", json=body)).status_code == 200


class TestSessions:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"max_sessions_per_user": 3})

    async def test_login_over_maximum_ends_the_users_oldest_session(
        self, customer: Caller, other_customer: Caller, app: FastAPI
    ) -> None:
        later = [
            await Caller.log_in(customer.client, customer.email, PASSWORD, contact_id="") for _ in range(3)
        ]
        assert_problem(await customer.get("/api/me"), 401, "invalid_token")
        body = {"refresh_token": customer.tokens["refresh_token"]}
        assert (await customer.client.post("/api/token/refresh", json=body)).status_code == 401
        assert [(await caller.get("/api/me")).status_code for caller in (*later, other_customer)] == [200] * 4
        async with app.state.session_factory() as database:
            ended = select(AuditEntry.detail).where(AuditEntry.event == "session_revoked")
            assert list((await database.execute(ended)).scalars()) == ["the user has the maximum of sessions"]

    async def test_five_logins_with_logouts_keep_an_earlier_session(
        self, customer: Caller, app: FastAPI
    ) -> None:
        for _ in range(5):
            caller = await Caller.log_in(customer.client, customer.email, PASSWORD, contact_id="")
            assert (await caller.post("/api/logout")).status_code == 204
        assert (await customer.get("/api/me")).status_code == 200
        async with app.state.session_factory() as database:
            assert (await database.execute(select(func.count()).select_from(Session))).scalar_one() == 3


class TestMails:
    @pytest.fixture
    def settings(self, settings: Settings, mailbox: Mailbox) -> Settings:
        return with_email_verification(settings, mailbox, rate_limit_registrations="1000 per 1 hour")

    async def test_requested_mails_are_limited_per_recipient(
        self, settings: Settings, emulator: Emulator, mailbox: Mailbox
    ) -> None:
        async with app_client(settings, emulator) as client:
            await client.post("/api/register", json=registration_body())
            outcomes: list[list[tuple[int, Any]]] = []
            for email in ("ada@example.com", "Unknown@example.com"):
                outcomes.append([])
                for path in ("/api/password/forgot", "/api/email/verify/resend") * 3:
                    response = await client.post(path, json={"email": email})
                    outcomes[-1].append((response.status_code, response.json().get("error")))
            body = {"email": "third@example.com"}
            assert (await client.post("/api/password/forgot", json=body)).status_code == 202
            refused = await client.post("/api/register", json=registration_body())
            problem = assert_problem(refused, 429, "rate_limit_exceeded")
            assert problem["error"] == "ratelimit exceeded 5 per 1 hour"
        known, unknown = outcomes
        # The registration of the known address has sent one mail, for which the limit would be the same.
        assert [status for status, _ in known] == [202] * 4 + [429] * 2
        assert [status for status, _ in unknown] == [202] * 5 + [429]
        assert {known[-1], unknown[-1]} == {(429, "ratelimit exceeded 5 per 1 hour")}
        assert len(mailbox.mails_to("unknown@example.com")) == 5

    async def test_mail_requests_from_one_ipv6_48_prefix_add_up(
        self, settings: Settings, emulator: Emulator, app: FastAPI
    ) -> None:
        change_limits(app, rate_limit_registrations="1 per 1 hour")
        statuses = []
        for number in range(18):
            async with client_at(app, f"2001:db8:7:{number:x}00::1") as client:
                body = {"email": f"user{number}@example.com"}
                statuses.append((await client.post("/api/password/forgot", json=body)).status_code)
        assert statuses == [202] * 16 + [429] * 2
        async with client_at(app, "2001:db8:8::1") as client:
            body = {"email": "other@example.com"}
            assert (await client.post("/api/password/forgot", json=body)).status_code == 202
