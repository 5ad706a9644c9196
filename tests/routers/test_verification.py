"""Registration with e-mail verification, through a real SMTP server."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import delete, select, update
from tests.support.builders import PASSWORD, registration_body
from tests.support.callers import assert_problem
from tests.support.mail import (
    Mailbox,
    text_of,
    token_of,
    verified_caller,
    wait_for_mail,
    with_email_verification,
)

from crm_api.models import MailToken, PendingRegistration, User, now
from crm_api.settings import Settings
from hubspot_emulator import Emulator

ADDRESS = "ada@example.com"
OTHER_PASSWORD = "another lighthouse at sea"


@pytest.fixture
def settings(settings: Settings, mailbox: Mailbox) -> Settings:
    return with_email_verification(settings, mailbox)


async def rows(app: FastAPI, model: Any) -> list[Any]:
    async with app.state.session_factory() as database:
        return list((await database.execute(select(model))).scalars())


async def verify(client: httpx.AsyncClient, token: str, password: str = PASSWORD) -> httpx.Response:
    return await client.post("/api/email/verify", json={"token": token, "password": password})


async def login(client: httpx.AsyncClient, password: str = PASSWORD) -> httpx.Response:
    return await client.post("/api/login", json={"email": ADDRESS, "password": password})


class TestRequiredProperties:
    """A HubSpot account whose contacts need a property that the operator has added."""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        added = {"contacts": {"readable": ["company"], "writable_by_customer": ["company"]}}
        return Settings(**(settings.model_dump() | {"_env_file": None, "hubspot_properties": added}))

    async def test_verified_contact_has_properties_of_its_registration(
        self, client: httpx.AsyncClient, app: FastAPI, emulator: Emulator, mailbox: Mailbox
    ) -> None:
        emulator.switches.required_properties = {"contacts": ["company"]}
        body = registration_body(properties={"company": "Analytical Engines"})
        assert (await client.post("/api/register", json=body)).status_code == 202
        response = await verify(client, token_of(await wait_for_mail(app, mailbox, ADDRESS)))
        assert response.status_code == 200, response.text
        [record] = emulator.records("contacts")
        assert record.properties["company"] == "Analytical Engines"

    async def test_verified_contact_keeps_values_that_it_already_had(
        self, client: httpx.AsyncClient, app: FastAPI, emulator: Emulator, mailbox: Mailbox
    ) -> None:
        emulator.seed({"contacts": [{"email": ADDRESS, "company": "Old"}]})
        await client.post("/api/register", json=registration_body(properties={"company": "New"}))
        await verify(client, token_of(await wait_for_mail(app, mailbox, ADDRESS)))
        assert emulator.records("contacts")[0].properties["company"] == "Old"

    async def test_verification_names_the_missing_required_property(
        self, client: httpx.AsyncClient, app: FastAPI, emulator: Emulator, mailbox: Mailbox
    ) -> None:
        emulator.switches.required_properties = {"contacts": ["company"]}
        await client.post("/api/register", json=registration_body())
        response = await verify(client, token_of(await wait_for_mail(app, mailbox, ADDRESS)))
        problem = assert_problem(response, 400, "validation_error", fields=["properties.company"])
        assert problem["detail"].endswith("register again.")
        assert await rows(app, User) == []

    async def test_invalid_property_sends_no_verification_mail(
        self, client: httpx.AsyncClient, app: FastAPI
    ) -> None:
        body = registration_body(properties={"city": "London"})
        response = await client.post("/api/register", json=body)
        assert_problem(response, 400, "validation_error", fields=["properties.city"])
        assert await rows(app, PendingRegistration) == []


class TestRegister:
    async def test_register_sends_link_and_creates_no_user(
        self, client: httpx.AsyncClient, app: FastAPI, emulator: Emulator, mailbox: Mailbox
    ) -> None:
        response = await client.post("/api/register", json=registration_body())
        assert response.status_code == 202
        assert response.json() == {"message": "Check your e-mail to finish", "data": None}
        mail = await wait_for_mail(app, mailbox, ADDRESS)
        assert mail["Subject"] == "Finish your registration"
        assert f"https://portal.example/verify-email#token={token_of(mail)}" in text_of(mail)
        # An attacker who registers this address must not be able to put text into the mail.
        assert "Lovelace" not in mail.as_string()
        assert await rows(app, User) == []
        assert emulator.requests == []

    async def test_login_before_verification_returns_401(self, client: httpx.AsyncClient) -> None:
        await client.post("/api/register", json=registration_body())
        assert_problem(await login(client), 401, "invalid_credentials")

    async def test_registration_sent_twice_with_one_key_sends_one_mail(
        self, client: httpx.AsyncClient, app: FastAPI, mailbox: Mailbox
    ) -> None:
        headers = {"Idempotency-Key": "once-only"}
        responses = [
            await client.post("/api/register", json=registration_body(), headers=headers) for _ in range(2)
        ]
        assert [response.status_code for response in responses] == [202, 202]
        assert responses[1].headers["idempotency-replayed"] == "true"
        await wait_for_mail(app, mailbox, ADDRESS)
        assert len(mailbox.mails) == 1

    async def test_register_does_not_wait_for_mail_server(
        self, client: httpx.AsyncClient, app: FastAPI, mailbox: Mailbox
    ) -> None:
        mailbox.accepting.clear()
        async with asyncio.timeout(3):
            response = await client.post("/api/register", json=registration_body())
        assert response.status_code == 202
        mailbox.accepting.set()
        assert (await wait_for_mail(app, mailbox, ADDRESS))["Subject"] == "Finish your registration"

    async def test_registration_with_common_password_returns_400(
        self, client: httpx.AsyncClient, app: FastAPI
    ) -> None:
        response = await client.post("/api/register", json=registration_body(password="password1"))
        assert_problem(response, 400, "validation_error", fields=["password"])
        assert await rows(app, PendingRegistration) == []

    async def test_registration_deletes_expired_pending_registrations(
        self, client: httpx.AsyncClient, app: FastAPI
    ) -> None:
        await client.post("/api/register", json=registration_body())
        async with app.state.session_factory.begin() as database:
            await database.execute(update(PendingRegistration).values(expires_at=now()))
        await client.post("/api/register", json=registration_body(email="other@example.com"))
        assert [row.email for row in await rows(app, PendingRegistration)] == ["other@example.com"]
        assert len(await rows(app, MailToken)) == 1


class TestVerify:
    async def test_email_verification_creates_user_and_contact(
        self, client: httpx.AsyncClient, app: FastAPI, emulator: Emulator, mailbox: Mailbox
    ) -> None:
        await client.post("/api/register", json=registration_body())
        response = await verify(client, token_of(await wait_for_mail(app, mailbox, ADDRESS)))
        assert response.status_code == 200
        assert response.json()["message"] == "E-mail verified successfully"
        [record] = emulator.records("contacts")
        assert response.json()["data"]["contact"]["id"] == record.id
        [user] = await rows(app, User)
        assert (user.status, user.email_verified, user.contact_id) == ("active", True, record.id)
        assert (await login(client)).status_code == 200
        assert await rows(app, PendingRegistration) == await rows(app, MailToken) == []

    async def test_email_verification_fills_only_empty_contact_values(
        self, client: httpx.AsyncClient, app: FastAPI, emulator: Emulator, mailbox: Mailbox
    ) -> None:
        emulator.seed({"contacts": [{"email": ADDRESS, "firstname": "Augusta", "company": "Engines"}]})
        [before] = emulator.records("contacts")
        await client.post("/api/register", json=registration_body())
        response = await verify(client, token_of(await wait_for_mail(app, mailbox, ADDRESS)))
        contact = response.json()["data"]["contact"]
        assert contact["id"] == before.id
        assert (contact["firstname"], contact["lastname"], contact["phone"]) == (
            "Augusta",
            "Lovelace",
            "+44 20 7946 0018",
        )
        [after] = emulator.records("contacts")
        assert after.properties["firstname"] == "Augusta"
        assert after.properties["company"] == "Engines"

    async def test_wrong_password_does_not_consume_verification_token(
        self, client: httpx.AsyncClient, app: FastAPI, emulator: Emulator, mailbox: Mailbox
    ) -> None:
        await client.post("/api/register", json=registration_body())
        token = token_of(await wait_for_mail(app, mailbox, ADDRESS))
        assert_problem(await verify(client, token, "not the one"), 400, "invalid_link")
        assert emulator.requests == []
        assert (await verify(client, token)).status_code == 200

    async def test_verification_token_works_once(
        self, client: httpx.AsyncClient, app: FastAPI, mailbox: Mailbox
    ) -> None:
        await client.post("/api/register", json=registration_body())
        token = token_of(await wait_for_mail(app, mailbox, ADDRESS))
        assert (await verify(client, token)).status_code == 200
        assert_problem(await verify(client, token), 400, "invalid_link")

    async def test_concurrent_verifications_create_one_user_and_contact(
        self, client: httpx.AsyncClient, app: FastAPI, emulator: Emulator, mailbox: Mailbox
    ) -> None:
        await client.post("/api/register", json=registration_body())
        token = token_of(await wait_for_mail(app, mailbox, ADDRESS))
        responses = await asyncio.gather(*(verify(client, token) for _ in range(4)))
        statuses = sorted(response.status_code for response in responses)
        assert statuses[0] == 200
        assert set(statuses[1:]) <= {400, 409}
        assert len(await rows(app, User)) == len(emulator.records("contacts")) == 1

    async def test_verification_of_domain_no_longer_allowed_returns_403(
        self, client: httpx.AsyncClient, app: FastAPI, emulator: Emulator, mailbox: Mailbox
    ) -> None:
        await client.post("/api/register", json=registration_body())
        token = token_of(await wait_for_mail(app, mailbox, ADDRESS))
        app.state.account_rules = replace(app.state.account_rules, email_domains=frozenset({"example.org"}))
        assert_problem(await verify(client, token), 403, "registration_closed")
        assert await rows(app, User) == []
        assert emulator.requests == []

    async def test_registration_deleted_during_verification_returns_400(
        self, client: httpx.AsyncClient, app: FastAPI, emulator: Emulator, mailbox: Mailbox
    ) -> None:
        await client.post("/api/register", json=registration_body())
        token = token_of(await wait_for_mail(app, mailbox, ADDRESS))
        verify_password = app.state.passwords.verify

        async def slow_verify(password: str, password_hash: str | None) -> tuple[bool, str | None]:
            result: tuple[bool, str | None] = await verify_password(password, password_hash)
            async with app.state.session_factory.begin() as database:
                await database.execute(delete(PendingRegistration))
            return result

        app.state.passwords.verify = slow_verify
        assert_problem(await verify(client, token), 400, "invalid_link")
        assert await rows(app, User) == []

    async def test_expired_verification_token_returns_400(
        self, client: httpx.AsyncClient, app: FastAPI, mailbox: Mailbox
    ) -> None:
        await client.post("/api/register", json=registration_body())
        token = token_of(await wait_for_mail(app, mailbox, ADDRESS))
        async with app.state.session_factory.begin() as database:
            await database.execute(update(MailToken).values(expires_at=now() - timedelta(seconds=1)))
        assert_problem(await verify(client, token), 400, "invalid_link")

    async def test_password_reset_token_used_for_verification_returns_400(
        self, client: httpx.AsyncClient, app: FastAPI, mailbox: Mailbox
    ) -> None:
        await verified_caller(app, client, mailbox, ADDRESS)
        await client.post("/api/password/forgot", json={"email": ADDRESS})
        token = token_of(await wait_for_mail(app, mailbox, ADDRESS))
        assert_problem(await verify(client, token), 400, "invalid_link")

    async def test_mail_token_is_not_stored_in_plain_text(
        self, client: httpx.AsyncClient, app: FastAPI, mailbox: Mailbox
    ) -> None:
        await client.post("/api/register", json=registration_body())
        token = token_of(await wait_for_mail(app, mailbox, ADDRESS))
        [row] = await rows(app, MailToken)
        assert token not in (row.token_hash, str(row.id))

    async def test_hubspot_failure_does_not_consume_verification_token(
        self, client: httpx.AsyncClient, app: FastAPI, emulator: Emulator, mailbox: Mailbox
    ) -> None:
        await client.post("/api/register", json=registration_body())
        token = token_of(await wait_for_mail(app, mailbox, ADDRESS))
        emulator.fail_next("*", "/crm/objects/*", status=401, times=4)
        assert_problem(await verify(client, token), 502, "hubspot_credentials_refused")
        assert emulator.used_faults()
        emulator.reset_faults()
        assert await rows(app, User) == []
        assert (await verify(client, token)).status_code == 200

    async def test_lost_hubspot_response_of_verify_creates_one_contact(
        self, client: httpx.AsyncClient, app: FastAPI, emulator: Emulator, mailbox: Mailbox
    ) -> None:
        await client.post("/api/register", json=registration_body())
        emulator.fail_next("POST", "/crm/objects/*/contacts", kind="drop_after")
        response = await verify(client, token_of(await wait_for_mail(app, mailbox, ADDRESS)))
        assert response.status_code == 200
        assert len(emulator.records("contacts")) == 1
        assert len(emulator.used_faults()) == 1

    @pytest.mark.parametrize("token", ["x" * 43, "-" * 20])
    async def test_unknown_verification_token_returns_400(
        self, client: httpx.AsyncClient, token: str
    ) -> None:
        assert_problem(await verify(client, token), 400, "invalid_link")

    async def test_password_guesses_at_one_verification_link_are_limited(
        self, client: httpx.AsyncClient, app: FastAPI, mailbox: Mailbox
    ) -> None:
        await client.post("/api/register", json=registration_body())
        token = token_of(await wait_for_mail(app, mailbox, ADDRESS))
        statuses = [(await verify(client, token, f"guess number {n}")).status_code for n in range(7)]
        assert statuses == [400] * 5 + [429] * 2


class TestLaterRegistrations:
    """Two pending registrations of one address are independent."""

    async def both(self, client: httpx.AsyncClient, app: FastAPI, mailbox: Mailbox) -> tuple[str, str]:
        await client.post("/api/register", json=registration_body())
        first = token_of(await wait_for_mail(app, mailbox, ADDRESS))
        await client.post(
            "/api/register", json=registration_body(password=OTHER_PASSWORD, firstname="Mallory")
        )
        second = token_of(await wait_for_mail(app, mailbox, ADDRESS))
        assert first != second
        return first, second

    async def test_earlier_of_two_registrations_can_be_verified(
        self, client: httpx.AsyncClient, app: FastAPI, mailbox: Mailbox
    ) -> None:
        first, second = await self.both(client, app, mailbox)
        assert_problem(await verify(client, first, OTHER_PASSWORD), 400, "invalid_link")
        assert (await verify(client, first)).json()["data"]["contact"]["firstname"] == "Ada"
        assert_problem(await verify(client, second, OTHER_PASSWORD), 400, "invalid_link")
        assert_problem(await login(client, OTHER_PASSWORD), 401, "invalid_credentials")
        assert (await login(client)).status_code == 200

    async def test_later_of_two_registrations_can_be_verified(
        self, client: httpx.AsyncClient, app: FastAPI, mailbox: Mailbox
    ) -> None:
        _, second = await self.both(client, app, mailbox)
        assert (await verify(client, second, OTHER_PASSWORD)).json()["data"]["contact"][
            "firstname"
        ] == "Mallory"
        assert_problem(await login(client), 401, "invalid_credentials")


class TestResend:
    async def resend(self, client: httpx.AsyncClient) -> httpx.Response:
        return await client.post("/api/email/verify/resend", json={"email": ADDRESS})

    async def test_resend_sends_new_link_and_keeps_earlier_link_valid(
        self, client: httpx.AsyncClient, app: FastAPI, mailbox: Mailbox
    ) -> None:
        await client.post("/api/register", json=registration_body())
        first = token_of(await wait_for_mail(app, mailbox, ADDRESS))
        response = await self.resend(client)
        assert (response.status_code, response.json()["message"]) == (202, "Check your e-mail to finish")
        second = token_of(await wait_for_mail(app, mailbox, ADDRESS))
        assert second != first
        assert (await verify(client, first)).status_code == 200
        assert_problem(await verify(client, second), 400, "invalid_link")

    async def test_resend_for_registered_address_mails_that_user_exists(
        self, client: httpx.AsyncClient, app: FastAPI, mailbox: Mailbox
    ) -> None:
        await verified_caller(app, client, mailbox, ADDRESS)
        await self.resend(client)
        assert (await wait_for_mail(app, mailbox, ADDRESS))["Subject"] == "You already have an account"

    async def test_resend_for_unknown_address_mails_that_no_user_exists(
        self, client: httpx.AsyncClient, app: FastAPI, mailbox: Mailbox
    ) -> None:
        await self.resend(client)
        assert (await wait_for_mail(app, mailbox, ADDRESS))[
            "Subject"
        ] == "There is no account for this address"
