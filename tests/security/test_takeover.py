"""Attempts to take over another user's account or contact."""

import asyncio
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import select
from tests.support.builders import PASSWORD, registration_body
from tests.support.callers import Caller, app_client, assert_problem, end_grace_period
from tests.support.mail import Mailbox, token_of, verified_caller, wait_for_mail, with_email_verification

from crm_api.models import User
from crm_api.settings import Settings
from hubspot_emulator import Emulator

VICTIM = "victim@example.com"
ATTACKERS_PASSWORD = "the password of mallory"


async def users(app: FastAPI) -> list[User]:
    async with app.state.session_factory() as database:
        return list((await database.execute(select(User))).scalars())


async def login(client: httpx.AsyncClient, email: str, password: str) -> int:
    return (await client.post("/api/login", json={"email": email, "password": password})).status_code


class TestWithVerification:
    @pytest.fixture
    def settings(self, settings: Settings, mailbox: Mailbox) -> Settings:
        return with_email_verification(settings, mailbox)

    async def test_attackers_registration_does_not_block_the_victim(
        self, client: httpx.AsyncClient, app: FastAPI, emulator: Emulator, mailbox: Mailbox
    ) -> None:
        attack = registration_body(email=VICTIM, password=ATTACKERS_PASSWORD, firstname="Mallory")
        await client.post("/api/register", json=attack)
        bait = token_of(await wait_for_mail(app, mailbox, VICTIM))
        # The victim can register.
        victim = await verified_caller(app, client, mailbox, VICTIM)
        assert (await victim.get("/api/me")).json()["data"]["firstname"] == "Ada"
        # The attacker's password does not work, neither for login nor with the attacker's link.
        assert await login(client, VICTIM, ATTACKERS_PASSWORD) == 401
        response = await client.post(
            "/api/email/verify", json={"token": bait, "password": ATTACKERS_PASSWORD}
        )
        assert_problem(response, 400, "invalid_link")
        assert len(await users(app)) == len(emulator.records("contacts")) == 1

    async def test_attackers_link_fails_with_the_victims_password(
        self, client: httpx.AsyncClient, app: FastAPI, emulator: Emulator, mailbox: Mailbox
    ) -> None:
        await client.post("/api/register", json=registration_body(email=VICTIM, password=ATTACKERS_PASSWORD))
        bait = token_of(await wait_for_mail(app, mailbox, VICTIM))
        response = await client.post("/api/email/verify", json={"token": bait, "password": PASSWORD})
        assert_problem(response, 400, "invalid_link")
        assert (await users(app), emulator.records("contacts")) == ([], [])

    async def test_later_registrations_keep_earlier_mail_link_valid(
        self, client: httpx.AsyncClient, app: FastAPI, mailbox: Mailbox
    ) -> None:
        await client.post("/api/register", json=registration_body(email=VICTIM))
        token = token_of(await wait_for_mail(app, mailbox, VICTIM))
        for number in range(5):
            attack = registration_body(email=VICTIM, password=f"{ATTACKERS_PASSWORD} {number}")
            await client.post("/api/register", json=attack)
        response = await client.post("/api/email/verify", json={"token": token, "password": PASSWORD})
        assert response.status_code == 200

    async def test_unverified_registration_does_not_change_contact(
        self, client: httpx.AsyncClient, app: FastAPI, emulator: Emulator
    ) -> None:
        emulator.seed({"contacts": [{"email": VICTIM, "firstname": "Vera", "phone": "+1 555 0100 111"}]})
        [before] = emulator.records("contacts")
        before_properties = dict(before.properties)
        response = await client.post("/api/register", json=registration_body(email=VICTIM))
        assert response.status_code == 202
        assert before.id not in response.text
        assert emulator.requests == []
        assert dict(emulator.records("contacts")[0].properties) == before_properties
        assert await login(client, VICTIM, PASSWORD) == 401

    async def test_registration_of_known_email_does_not_change_the_user(
        self, client: httpx.AsyncClient, app: FastAPI, mailbox: Mailbox
    ) -> None:
        victim = await verified_caller(app, client, mailbox, VICTIM)
        attack = registration_body(email=VICTIM.upper(), password=ATTACKERS_PASSWORD, firstname="Mallory")
        await client.post("/api/register", json=attack)
        assert (await wait_for_mail(app, mailbox, VICTIM))["Subject"] == "You already have an account"
        assert await login(client, VICTIM, ATTACKERS_PASSWORD) == 401
        assert (await victim.get("/api/me")).json()["data"]["firstname"] == "Ada"

    @pytest.mark.parametrize(
        "address",
        [
            "VICTIM@EXAMPLE.COM",
            "victim@example\u3002com",
            "victim@example\uff0ecom",
            "victim@ｅｘａｍｐｌｅ.com",
            "\tvictim@example.com\u3000",
        ],
    )
    async def test_spellings_of_one_email_address_are_one_user(
        self,
        client: httpx.AsyncClient,
        app: FastAPI,
        emulator: Emulator,
        mailbox: Mailbox,
        address: str,
    ) -> None:
        await verified_caller(app, client, mailbox, VICTIM)
        await client.post("/api/register", json=registration_body(email=address, password=ATTACKERS_PASSWORD))
        assert (await wait_for_mail(app, mailbox, VICTIM))["Subject"] == "You already have an account"
        assert len(await users(app)) == len(emulator.records("contacts")) == 1

    @pytest.mark.parametrize(
        "address",
        [
            "v\u0131ctim@example.com",
            "v\u0130ctim@example.com",
            "v\u00edctim@example.com",
            "victim\uff20example.com",
            "victim@exa\u200bmple.com",
            "victim@exa\u00admple.com",
            "victim@example.com\u202e",
            "victim@[127.0.0.1]",
            "victim@example.com@evil.example",
            '"victim"@example.com',
            "victim(comment)@example.com",
            "victim@example.com.",
        ],
    )
    async def test_registration_with_look_alike_email_returns_400(
        self, client: httpx.AsyncClient, address: str
    ) -> None:
        response = await client.post("/api/register", json=registration_body(email=address))
        assert_problem(response, 400, "validation_error", fields=["email"])

    async def test_unicode_and_punycode_domain_are_one_email_address(
        self, client: httpx.AsyncClient, app: FastAPI, emulator: Emulator, mailbox: Mailbox
    ) -> None:
        await verified_caller(app, client, mailbox, "ada@xn--strae-oqa.example")
        for address in ("ada@stra\u00dfe.example", "ADA@XN--STRAE-OQA.EXAMPLE"):
            await client.post("/api/register", json=registration_body(email=address))
            mail = await wait_for_mail(app, mailbox, "ada@xn--strae-oqa.example")
            assert mail["Subject"] == "You already have an account"
        # IDNA 2008 does not map this letter, so this is another domain.
        await client.post("/api/register", json=registration_body(email="ada@strasse.example"))
        assert (await wait_for_mail(app, mailbox, "ada@strasse.example"))[
            "Subject"
        ] == "Finish your registration"

    @pytest.mark.parametrize(
        "address", ["a/b@example.com", "a?b#c%2e&d=e@example.com", "o'neil+x@example.com"]
    )
    async def test_email_with_url_characters_finds_only_its_contact(
        self, client: httpx.AsyncClient, app: FastAPI, emulator: Emulator, mailbox: Mailbox, address: str
    ) -> None:
        """The service puts the address of an existing contact into the path of a HubSpot call."""
        emulator.seed(
            {"contacts": [{"email": "a@example.com"}, {"email": address}, {"email": "b@example.com"}]}
        )
        caller = await verified_caller(app, client, mailbox, address)
        [own] = [record for record in emulator.records("contacts") if record.properties["email"] == address]
        assert caller.contact_id == own.id

    async def test_user_verified_by_secondary_email_gets_no_contact(
        self, client: httpx.AsyncClient, app: FastAPI, emulator: Emulator, mailbox: Mailbox
    ) -> None:
        owner = await verified_caller(app, client, mailbox, VICTIM)
        emulator.seed({"contacts": [{"email": "second@example.com"}]})
        [second] = [
            record
            for record in emulator.records("contacts")
            if record.properties["email"] == "second@example.com"
        ]
        # A merge gives the surviving contact both addresses.
        emulator.merge("contacts", owner.contact_id, second.id)
        await client.post("/api/register", json=registration_body(email="second@example.com"))
        token = token_of(await wait_for_mail(app, mailbox, "second@example.com"))
        response = await client.post("/api/email/verify", json={"token": token, "password": PASSWORD})
        assert response.status_code == 200, response.text
        assert response.json()["data"]["contact"] is None
        links = [user.contact_id for user in await users(app)]
        assert len([link for link in links if link is not None]) == 1
        other = await Caller.log_in(client, "second@example.com", PASSWORD, contact_id="")
        assert (await other.get(f"/api/contacts/{owner.contact_id}")).status_code in (404, 409)


class TestWithoutVerification:
    """`EMAIL_VERIFICATION=off` is for development; two users of one contact are impossible there too."""

    async def test_user_registered_by_secondary_email_gets_no_contact(
        self, customer: Caller, app: FastAPI, emulator: Emulator
    ) -> None:
        emulator.seed({"contacts": [{"email": "second@example.com"}]})
        [second] = [
            record
            for record in emulator.records("contacts")
            if record.properties["email"] == "second@example.com"
        ]
        emulator.merge("contacts", customer.contact_id, second.id)
        before = [dict(record.properties) for record in emulator.records("contacts")]
        response = await customer.client.post(
            "/api/register", json=registration_body(email="second@example.com", firstname="Mallory")
        )
        assert response.status_code == 201, response.text
        assert response.json()["data"]["contact"] is None
        assert [dict(record.properties) for record in emulator.records("contacts")] == before

    async def test_register_with_known_email_in_upper_case_returns_409(self, customer: Caller) -> None:
        response = await customer.client.post(
            "/api/register", json=registration_body(email=customer.email.upper())
        )
        assert_problem(response, 409, "user_exists")


class TestBruteForce:
    async def test_guesses_at_one_user_from_many_addresses_are_limited(
        self, customer: Caller, app: FastAPI
    ) -> None:
        statuses = []
        for number in range(33):
            transport = httpx.ASGITransport(app=app, client=(f"203.0.113.{number}", 1234))
            async with httpx.AsyncClient(transport=transport, base_url="http://crm.example") as client:
                statuses.append(await login(client, customer.email, f"guess number {number}"))
        assert statuses == [401] * 30 + [429] * 3

    async def test_guesses_at_one_user_in_many_spellings_are_limited(self, customer: Caller) -> None:
        spellings = ["CUSTOMER@example.com", "customer@EXAMPLE.com", " customer@example.com "]
        statuses = [
            await login(customer.client, spellings[number % 3], f"guess number {number}")
            for number in range(7)
        ]
        assert statuses == [401] * 5 + [429] * 2

    async def test_guesses_by_login_and_token_form_share_one_limit(self, customer: Caller) -> None:
        statuses = []
        for number in range(7):
            form = {"grant_type": "password", "username": customer.email, "password": f"guess {number}"}
            if number % 2:
                statuses.append((await customer.client.post("/api/token", data=form)).status_code)
            else:
                statuses.append(await login(customer.client, customer.email, f"guess {number}"))
        assert statuses == [401, 400, 401, 400, 401, 429, 429]

    async def test_guesses_at_many_users_from_one_address_are_limited(
        self, client: httpx.AsyncClient
    ) -> None:
        statuses = [await login(client, f"user{number}@example.com", "guess") for number in range(25)]
        assert statuses == [401] * 20 + [429] * 5

    async def test_guesses_from_one_ipv6_64_prefix_are_limited(self, app: FastAPI) -> None:
        statuses = []
        for number in range(25):
            transport = httpx.ASGITransport(app=app, client=(f"2001:db8:1:2::{number:x}", 1234))
            async with httpx.AsyncClient(transport=transport, base_url="http://crm.example") as client:
                statuses.append(await login(client, f"user{number}@example.com", "guess"))
        assert statuses == [401] * 20 + [429] * 5

    async def test_blocked_network_address_does_not_lock_users_out(
        self, customer: Caller, app: FastAPI
    ) -> None:
        transport = httpx.ASGITransport(app=app, client=("203.0.113.9", 1234))
        async with httpx.AsyncClient(transport=transport, base_url="http://crm.example") as attacker:
            for number in range(20):
                await login(attacker, f"user{number}@example.com", "guess")
            assert [await login(attacker, customer.email, "guess") for _ in range(6)] == [429] * 6
        assert await login(customer.client, customer.email, PASSWORD) == 200

    async def test_concurrent_guesses_at_one_user_are_limited(self, customer: Caller) -> None:
        statuses = await asyncio.gather(
            *(login(customer.client, customer.email, f"guess {number}") for number in range(15))
        )
        assert sorted(statuses) == [401] * 5 + [429] * 10


class TestStolenRefreshToken:
    async def refresh(self, caller: Caller, token: str) -> httpx.Response:
        return await caller.client.post("/api/token/refresh", json={"refresh_token": token})

    async def test_session_ends_if_thief_uses_refresh_token_after_owner(
        self, customer: Caller, app: FastAPI
    ) -> None:
        stolen = customer.tokens["refresh_token"]
        mine = (await self.refresh(customer, stolen)).json()["data"]
        mine = (await self.refresh(customer, mine["refresh_token"])).json()["data"]
        await end_grace_period(app)
        assert_problem(await self.refresh(customer, stolen), 401, "invalid_token")
        assert_problem(await self.refresh(customer, mine["refresh_token"]), 401, "invalid_token")
        headers = {"Authorization": f"Bearer {mine['access_token']}"}
        assert_problem(await customer.client.get("/api/me", headers=headers), 401, "invalid_token")

    async def test_session_ends_if_thief_uses_refresh_token_before_owner(
        self, customer: Caller, app: FastAPI
    ) -> None:
        stolen = customer.tokens["refresh_token"]
        thiefs = (await self.refresh(customer, stolen)).json()["data"]["refresh_token"]
        thiefs = (await self.refresh(customer, thiefs)).json()["data"]["refresh_token"]
        await end_grace_period(app)
        assert_problem(await self.refresh(customer, stolen), 401, "invalid_token")
        assert_problem(await self.refresh(customer, thiefs), 401, "invalid_token")

    async def test_session_ends_if_thief_uses_token_within_grace_period(
        self, customer: Caller, app: FastAPI
    ) -> None:
        """Thief and owner get the same successor; the second of them to use it later ends the session."""
        stolen = customer.tokens["refresh_token"]
        mine = (await self.refresh(customer, stolen)).json()["data"]["refresh_token"]
        assert (await self.refresh(customer, stolen)).json()["data"]["refresh_token"] == mine
        await end_grace_period(app)
        newest = (await self.refresh(customer, mine)).json()["data"]["refresh_token"]
        await end_grace_period(app)
        assert_problem(await self.refresh(customer, mine), 401, "invalid_token")
        assert_problem(await self.refresh(customer, newest), 401, "invalid_token")

    async def test_access_token_is_not_accepted_as_refresh_token(self, customer: Caller) -> None:
        response = await self.refresh(customer, customer.tokens["access_token"])
        assert response.status_code in (400, 401)


class TestRegistrationRules:
    @pytest.mark.parametrize(
        ("changes", "email", "status"),
        [
            ({"registration": "closed"}, "ada@example.com", 403),
            ({"registration_email_domains": ["example.org"]}, "ada@example.com", 403),
            ({"registration_email_domains": ["example.org"]}, "ada@sub.example.org", 403),
            ({"registration_email_domains": ["example.org"]}, "ada@example.org@example.com", 400),
            ({"registration_email_domains": ["example.org"]}, "ada@notexample.org", 403),
            ({"registration_email_domains": ["example.org"]}, "ada@example.org.evil.example", 403),
            ({"registration_email_domains": ["example.org"]}, "example.org@evil.example", 403),
            ({"registration_email_domains": ["example.org"]}, '"ada@example.org"@evil.example', 400),
            ({"registration_email_domains": ["example.org"]}, "ada@ex\u0430mple.org", 403),
            ({"registration_email_domains": ["example.org"]}, "ada@EXAMPLE.org", 201),
            ({"registration_email_domains": ["example.org"]}, "ada@example\u3002org", 201),
        ],
    )
    async def test_registration_settings_decide_who_may_register(
        self, settings: Settings, emulator: Emulator, changes: dict[str, Any], email: str, status: int
    ) -> None:
        async with app_client(settings.model_copy(update=changes), emulator) as client:
            response = await client.post("/api/register", json=registration_body(email=email))
        assert response.status_code == status, response.text
