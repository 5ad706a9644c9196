"""Password change, and reset by a mailed link."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import select, update
from tests.support.builders import PASSWORD
from tests.support.callers import Caller, assert_problem
from tests.support.mail import Mailbox, token_of, wait_for_mail

from crm_api.models import AuditEntry, MailToken, User, now
from crm_api.settings import Settings

NEW = "a harbour in the morning"


@pytest.fixture
def settings(settings: Settings, mailbox: Mailbox) -> Settings:
    from pydantic import SecretStr

    return settings.model_copy(update={"smtp_url": SecretStr(mailbox.url)})


async def status_of_login(caller: Caller, password: str) -> int:
    response = await caller.client.post("/api/login", json={"email": caller.email, "password": password})
    return response.status_code


class TestChange:
    async def change(self, caller: Caller, current: str = PASSWORD, new: str = NEW) -> httpx.Response:
        return await caller.post("/api/me/password", {"current_password": current, "new_password": new})

    async def test_change_password_without_token_returns_401(self, client: httpx.AsyncClient) -> None:
        response = await client.post("/api/me/password", json={"current_password": "x", "new_password": NEW})
        assert_problem(response, 401, "invalid_token")

    async def test_login_after_password_change_accepts_only_new_password(
        self, customer: Caller, app: FastAPI, mailbox: Mailbox
    ) -> None:
        assert (await self.change(customer)).status_code == 204
        assert await status_of_login(customer, NEW) == 200
        assert await status_of_login(customer, PASSWORD) == 401
        mail = await wait_for_mail(app, mailbox, customer.email)
        assert mail["Subject"] == "Your password was changed"

    async def test_password_change_ends_another_session_of_the_user(self, customer: Caller) -> None:
        other = await Caller.log_in(customer.client, customer.email, PASSWORD, contact_id=customer.contact_id)
        assert (await self.change(customer)).status_code == 204
        assert_problem(await other.get("/api/me"), 401, "invalid_token")
        stolen = {"refresh_token": other.tokens["refresh_token"]}
        assert (await customer.client.post("/api/token/refresh", json=stolen)).status_code == 401
        assert (await customer.get("/api/me")).status_code == 200
        mine = {"refresh_token": customer.tokens["refresh_token"]}
        assert (await customer.client.post("/api/token/refresh", json=mine)).status_code == 200

    async def test_password_change_ends_other_access_tokens_of_session(self, customer: Caller) -> None:
        body = {"refresh_token": customer.tokens["refresh_token"]}
        refreshed = (await customer.client.post("/api/token/refresh", json=body)).json()["data"]
        other = replace(customer, tokens=refreshed)
        assert (await other.get("/api/me")).status_code == 200
        assert (await self.change(customer)).status_code == 204
        assert_problem(await other.get("/api/me"), 401, "invalid_token")
        assert (await customer.get("/api/me")).status_code == 200
        body = {"refresh_token": refreshed["refresh_token"]}
        latest = (await customer.client.post("/api/token/refresh", json=body)).json()["data"]
        assert (await replace(customer, tokens=latest).get("/api/me")).status_code == 200

    async def test_wrong_current_password_returns_400(self, customer: Caller, app: FastAPI) -> None:
        response = await self.change(customer, current="not the one")
        assert_problem(response, 400, "wrong_password", fields=["current_password"])
        async with app.state.session_factory() as database:
            events = (await database.execute(select(AuditEntry.event))).scalars().all()
        assert events.count("password_change_failed") == 1
        assert await status_of_login(customer, PASSWORD) == 200

    async def test_sixth_wrong_current_password_gets_429_but_login_works(self, customer: Caller) -> None:
        statuses = [(await self.change(customer, current=f"guess {n}")).status_code for n in range(6)]
        assert statuses == [400] * 5 + [429]
        assert await status_of_login(customer, PASSWORD) == 200

    @pytest.mark.parametrize("new", ["short", "password1", "customer@example.com", "Customer", "x" * 129])
    async def test_weak_new_password_returns_400_and_is_not_rate_limited(
        self, customer: Caller, new: str
    ) -> None:
        for _ in range(6):
            response = await self.change(customer, new=new)
            assert_problem(response, 400, "validation_error", fields=["new_password"])

    async def test_one_of_three_concurrent_password_changes_succeeds(self, customer: Caller) -> None:
        passwords = [f"a harbour number {n}" for n in range(3)]
        responses = await asyncio.gather(*(self.change(customer, new=password) for password in passwords))
        assert sorted(response.status_code for response in responses) == [204, 400, 400]
        winner = next(
            password
            for password, response in zip(passwords, responses, strict=True)
            if response.status_code == 204
        )
        assert await status_of_login(customer, winner) == 200

    async def test_outer_spaces_are_part_of_the_password(self, customer: Caller) -> None:
        assert (await self.change(customer, new="  spaces around  ")).status_code == 204
        assert await status_of_login(customer, "  spaces around  ") == 200
        assert await status_of_login(customer, "spaces around") == 401
        form = {"grant_type": "password", "username": customer.email, "password": "  spaces around  "}
        assert (await customer.client.post("/api/token", data=form)).status_code == 200


class TestForgot:
    async def test_forgot_password_sends_mail_with_link(
        self, customer: Caller, app: FastAPI, mailbox: Mailbox
    ) -> None:
        response = await customer.client.post("/api/password/forgot", json={"email": customer.email})
        assert response.status_code == 202
        assert response.json() == {"message": "Check your e-mail to finish", "data": None}
        mail = await wait_for_mail(app, mailbox, customer.email)
        assert mail["Subject"] == "Choose a new password"
        assert token_of(mail)

    async def test_forgot_password_for_unknown_email_mails_no_user_exists(
        self, client: httpx.AsyncClient, app: FastAPI, mailbox: Mailbox
    ) -> None:
        await client.post("/api/password/forgot", json={"email": "nobody@example.com"})
        mail = await wait_for_mail(app, mailbox, "nobody@example.com")
        assert mail["Subject"] == "There is no account for this address"


class TestReset:
    async def token(self, caller: Caller, app: FastAPI, mailbox: Mailbox) -> str:
        await caller.client.post("/api/password/forgot", json={"email": caller.email})
        return token_of(await wait_for_mail(app, mailbox, caller.email))

    async def reset(self, caller: Caller, token: str, password: str = NEW) -> httpx.Response:
        return await caller.client.post("/api/password/reset", json={"token": token, "password": password})

    async def test_password_reset_ends_the_session_and_verifies_email(
        self, customer: Caller, app: FastAPI, mailbox: Mailbox
    ) -> None:
        response = await self.reset(customer, await self.token(customer, app, mailbox))
        assert (response.status_code, response.content) == (204, b"")
        assert_problem(await customer.get("/api/me"), 401, "invalid_token")
        assert await status_of_login(customer, PASSWORD) == 401
        assert await status_of_login(customer, NEW) == 200
        async with app.state.session_factory() as database:
            assert (await database.execute(select(User.email_verified))).scalar_one()
        assert (await wait_for_mail(app, mailbox, customer.email))["Subject"] == "Your password was changed"

    async def test_password_reset_token_works_once(
        self, customer: Caller, app: FastAPI, mailbox: Mailbox
    ) -> None:
        token = await self.token(customer, app, mailbox)
        responses = await asyncio.gather(*(self.reset(customer, token, f"harbour {n}") for n in range(3)))
        assert sorted(response.status_code for response in responses) == [204, 400, 400]
        assert_problem(await self.reset(customer, token), 400, "invalid_link")

    async def test_password_reset_invalidates_other_reset_links(
        self, customer: Caller, app: FastAPI, mailbox: Mailbox
    ) -> None:
        first, second = [await self.token(customer, app, mailbox) for _ in range(2)]
        assert (await self.reset(customer, second)).status_code == 204
        assert_problem(await self.reset(customer, first, PASSWORD), 400, "invalid_link")

    async def test_password_change_invalidates_reset_link(
        self, customer: Caller, app: FastAPI, mailbox: Mailbox
    ) -> None:
        token = await self.token(customer, app, mailbox)
        body = {"current_password": PASSWORD, "new_password": NEW}
        assert (await customer.post("/api/me/password", body)).status_code == 204
        assert_problem(await self.reset(customer, token), 400, "invalid_link")

    async def test_expired_password_reset_token_returns_400(
        self, customer: Caller, app: FastAPI, mailbox: Mailbox
    ) -> None:
        token = await self.token(customer, app, mailbox)
        async with app.state.session_factory.begin() as database:
            await database.execute(update(MailToken).values(expires_at=now() - timedelta(seconds=1)))
        assert_problem(await self.reset(customer, token), 400, "invalid_link")

    async def test_weak_password_does_not_consume_reset_token(
        self, customer: Caller, app: FastAPI, mailbox: Mailbox
    ) -> None:
        token = await self.token(customer, app, mailbox)
        for weak in ("password1", customer.email):
            response = await self.reset(customer, token, weak)
            assert_problem(response, 400, "validation_error", fields=["password"])
        assert (await self.reset(customer, token)).status_code == 204
