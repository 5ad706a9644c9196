"""Login, refresh and logout."""

import asyncio
from dataclasses import replace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from jose import jwt
from pydantic import SecretStr
from sqlalchemy import select, text, update
from tests.support.builders import PASSWORD, registration_body
from tests.support.callers import Caller, assert_problem, end_grace_period

from crm_api.models import RefreshToken, Session, User, now
from crm_api.security.crypto import KeyRing
from crm_api.security.tokens import successor_of
from crm_api.services.accounts.profile import set_role
from crm_api.services.accounts.sessions import end_sessions
from crm_api.services.audit import OPERATOR
from crm_api.settings import Settings


def claims_of(settings: Settings, token: str) -> dict[str, Any]:
    return jwt.decode(
        token,
        settings.jwt_secret_key.get_secret_value(),
        algorithms=["HS256"],
        audience="crm-api",
        issuer="crm-api",
    )


class TestLogIn:
    async def test_login_returns_working_access_and_refresh_tokens(self, customer: Caller) -> None:
        response = await customer.client.post(
            "/api/login", json={"email": customer.email, "password": PASSWORD}
        )
        assert response.status_code == 200
        assert response.headers["cache-control"] == "no-store"
        assert response.json()["message"] == "User authenticated successfully"
        tokens = response.json()["data"]
        assert set(tokens) == {"access_token", "token_type", "expires_in", "refresh_token"}
        assert (tokens["token_type"], tokens["expires_in"]) == ("bearer", 1800)
        me = await customer.client.get(
            "/api/me", headers={"Authorization": f"Bearer {tokens['access_token']}"}
        )
        assert me.status_code == 200
        refresh = {"refresh_token": tokens["refresh_token"]}
        assert (await customer.client.post("/api/token/refresh", json=refresh)).status_code == 200

    async def test_login_error_is_same_for_wrong_password_and_unknown_user(self, customer: Caller) -> None:
        wrong = await customer.client.post(
            "/api/login", json={"email": customer.email, "password": "wrong-one"}
        )
        unknown = await customer.client.post(
            "/api/login", json={"email": "no@example.com", "password": PASSWORD}
        )
        one, other = (
            assert_problem(wrong, 401, "invalid_credentials"),
            assert_problem(unknown, 401, "invalid_credentials"),
        )
        del one["request_id"], other["request_id"]
        assert one == other

    async def test_login_accepts_composed_and_combining_accents(self, client: httpx.AsyncClient) -> None:
        body = registration_body(password="caf\u00e9 in the harbour")
        assert (await client.post("/api/register", json=body)).status_code == 201
        for spelling in ("caf\u00e9 in the harbour", "cafe\u0301 in the harbour"):
            login = {"email": body["email"], "password": spelling}
            assert (await client.post("/api/login", json=login)).status_code == 200

    async def test_sixth_failed_login_of_one_user_returns_429(self, customer: Caller) -> None:
        bad = {"email": customer.email, "password": "wrong-one"}
        for _ in range(5):
            assert_problem(await customer.client.post("/api/login", json=bad), 401, "invalid_credentials")
        refused = await customer.client.post("/api/login", json=bad)
        problem = assert_problem(refused, 429, "rate_limit_exceeded")
        assert problem["error"] == "ratelimit exceeded 5 per 1 minute"
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert refused.headers["ratelimit-policy"] == '"default";q=5;w=60'

    async def test_concurrent_failed_logins_after_the_fifth_return_429(self, customer: Caller) -> None:
        bad = {"email": customer.email, "password": "wrong-one"}
        responses = await asyncio.gather(*(customer.client.post("/api/login", json=bad) for _ in range(15)))
        assert sorted(response.status_code for response in responses) == [401] * 5 + [429] * 10

    async def test_login_deletes_expired_sessions(self, customer: Caller, app: FastAPI) -> None:
        async with app.state.session_factory.begin() as database:
            await database.execute(update(Session).values(expires_at=now()))
        again = await Caller.log_in(customer.client, customer.email, PASSWORD, contact_id="")
        assert (await again.get("/api/me")).status_code == 200
        async with app.state.session_factory() as database:
            assert len((await database.execute(select(Session))).all()) == 1
            assert len((await database.execute(select(RefreshToken))).all()) == 1

    async def test_eight_successful_logins_are_not_rate_limited(self, customer: Caller) -> None:
        good = {"email": customer.email, "password": PASSWORD}
        statuses = [(await customer.client.post("/api/login", json=good)).status_code for _ in range(8)]
        assert statuses == [200] * 8


class TestToken:
    async def test_password_grant_returns_tokens_without_envelope(self, customer: Caller) -> None:
        form = {"grant_type": "password", "username": customer.email, "password": PASSWORD}
        response = await customer.client.post("/api/token", data=form)
        assert response.status_code == 200
        assert set(response.json()) == {"access_token", "token_type", "expires_in", "refresh_token"}
        assert response.headers["cache-control"] == "no-store"

    async def test_refresh_grant_returns_new_refresh_token(self, customer: Caller) -> None:
        form = {"grant_type": "refresh_token", "refresh_token": customer.tokens["refresh_token"]}
        response = await customer.client.post("/api/token", data=form)
        assert response.status_code == 200
        assert response.json()["refresh_token"] != customer.tokens["refresh_token"]

    @pytest.mark.parametrize(
        ("form", "code"),
        [
            (
                {"grant_type": "password", "username": "customer@example.com", "password": "wrong-one"},
                "invalid_grant",
            ),
            ({"grant_type": "password", "username": "nonsense", "password": "wrong-one"}, "invalid_grant"),
            ({"grant_type": "refresh_token", "refresh_token": "rt_" + "x" * 40}, "invalid_grant"),
            ({"grant_type": "refresh_token"}, "invalid_request"),
            ({"grant_type": "password", "username": "customer@example.com"}, "invalid_request"),
            ({}, "invalid_request"),
            ({"grant_type": "client_credentials"}, "unsupported_grant_type"),
            (
                {
                    "grant_type": "password",
                    "username": ["nobody@example.com", "customer@example.com"],
                    "password": PASSWORD,
                },
                "invalid_request",
            ),
            ({"scope": ["", ""], "grant_type": "password"}, "invalid_request"),
        ],
    )
    async def test_token_endpoint_error_returns_400_with_oauth2_code(
        self, customer: Caller, form: dict[str, Any], code: str
    ) -> None:
        response = await customer.client.post("/api/token", data=form)
        assert assert_problem(response, 400, code)["error"] == code

    async def test_malformed_form_returns_invalid_request(self, customer: Caller) -> None:
        headers = {"Content-Type": "multipart/form-data"}
        response = await customer.client.post("/api/token", content=b"a=b", headers=headers)
        assert assert_problem(response, 400, "invalid_request")["error"] == "invalid_request"


class TestRefresh:
    async def refresh(self, caller: Caller, token: str) -> httpx.Response:
        return await caller.client.post("/api/token/refresh", json={"refresh_token": token})

    async def test_later_use_of_replaced_refresh_token_ends_session(
        self, customer: Caller, app: FastAPI
    ) -> None:
        first = customer.tokens["refresh_token"]
        second = (await self.refresh(customer, first)).json()["data"]["refresh_token"]
        assert second != first
        third = await self.refresh(customer, second)
        assert third.status_code == 200
        await end_grace_period(app)
        assert_problem(await self.refresh(customer, first), 401, "invalid_token")
        assert_problem(
            await self.refresh(customer, third.json()["data"]["refresh_token"]), 401, "invalid_token"
        )
        assert_problem(await customer.get("/api/me"), 401, "invalid_token")

    async def test_later_use_ends_session_with_unused_successor(self, customer: Caller, app: FastAPI) -> None:
        first = customer.tokens["refresh_token"]
        second = (await self.refresh(customer, first)).json()["data"]["refresh_token"]
        await end_grace_period(app)
        assert_problem(await self.refresh(customer, first), 401, "invalid_token")
        assert_problem(await self.refresh(customer, second), 401, "invalid_token")

    @pytest.mark.parametrize("tabs", [2, 4, 8])
    async def test_tabs_that_refresh_at_once_stay_logged_in(
        self, customer: Caller, app: FastAPI, tabs: int
    ) -> None:
        shared = customer.tokens["refresh_token"]
        for _ in range(3):
            responses = await asyncio.gather(*(self.refresh(customer, shared) for _ in range(tabs)))
            assert [response.status_code for response in responses] == [200] * tabs
            issued = [response.json()["data"] for response in responses]
            [successor] = {tokens["refresh_token"] for tokens in issued}
            assert successor != shared
            for tokens in issued:
                headers = {"Authorization": f"Bearer {tokens['access_token']}"}
                assert (await customer.client.get("/api/me", headers=headers)).status_code == 200
            await end_grace_period(app)
            shared = successor

    async def test_use_within_grace_period_returns_the_used_successor(self, customer: Caller) -> None:
        first = customer.tokens["refresh_token"]
        second = (await self.refresh(customer, first)).json()["data"]["refresh_token"]
        third = (await self.refresh(customer, second)).json()["data"]["refresh_token"]
        late = await self.refresh(customer, first)
        assert (late.status_code, late.json()["data"]["refresh_token"]) == (200, second)
        assert (await self.refresh(customer, second)).json()["data"]["refresh_token"] == third

    async def test_token_grant_returns_the_same_successor(self, customer: Caller) -> None:
        first = customer.tokens["refresh_token"]
        second = (await self.refresh(customer, first)).json()["data"]["refresh_token"]
        grant = {"grant_type": "refresh_token", "refresh_token": first}
        response = await customer.client.post("/api/token", data=grant)
        assert (response.status_code, response.json()["refresh_token"]) == (200, second)

    async def test_successor_salt_is_stored_until_a_later_refresh(
        self, customer: Caller, app: FastAPI
    ) -> None:
        first = customer.tokens["refresh_token"]
        second = (await self.refresh(customer, first)).json()["data"]["refresh_token"]
        query = select(RefreshToken.successor_salt).where(RefreshToken.successor_salt.is_not(None))
        async with app.state.session_factory() as database:
            [stored] = (await database.execute(query)).scalars()
        assert second not in stored
        await end_grace_period(app)
        assert (await self.refresh(customer, second)).status_code == 200
        async with app.state.session_factory() as database:
            [later] = (await database.execute(query)).scalars()
        assert later != stored

    async def test_successor_is_not_computed_without_the_replaced_token(
        self, customer: Caller, app: FastAPI, settings: Settings
    ) -> None:
        first = customer.tokens["refresh_token"]
        second = (await self.refresh(customer, first)).json()["data"]["refresh_token"]
        async with app.state.session_factory() as database:
            query = select(RefreshToken).where(RefreshToken.successor_salt.is_not(None))
            stored = (await database.execute(query)).scalar_one()
        key = settings.secret_key.get_secret_value()
        salt = stored.successor_salt
        assert successor_of(first, salt=salt, key=key) == second
        for guess in ("", stored.token_hash, str(stored.id), second):
            assert successor_of(guess, salt=salt, key=key) != second
        for wrong_key in ("", "x" * 64):
            assert successor_of(first, salt=salt, key=wrong_key) != second
        assert successor_of(first, salt="", key=key) != second

    async def test_refresh_after_secret_key_change_returns_401_once(
        self, customer: Caller, app: FastAPI
    ) -> None:
        first = customer.tokens["refresh_token"]
        second = (await self.refresh(customer, first)).json()["data"]["refresh_token"]
        app.state.account_rules = replace(
            app.state.account_rules, secret_keys=KeyRing("another secret key, long enough")
        )
        assert_problem(await self.refresh(customer, first), 401, "invalid_token")
        assert (await self.refresh(customer, second)).status_code == 200

    @pytest.mark.parametrize("database_backend", ["postgresql"])
    async def test_database_deadlock_on_refresh_gives_503_and_retry_works(
        self, customer: Caller, app: FastAPI
    ) -> None:
        """A concurrent deletion of the user locks the session first and then its tokens."""
        waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
        first = customer.tokens["refresh_token"]
        async with app.state.session_factory() as database, asyncio.timeout(20):
            # A long timeout on this side makes PostgreSQL report the deadlock to the other side.
            await database.execute(text("SET LOCAL deadlock_timeout = '1min'"))
            await database.execute(select(Session).with_for_update())
            refreshing = asyncio.create_task(self.refresh(customer, first))
            async with app.state.session_factory() as watching:
                while not (await watching.execute(waiting)).scalar_one():  # noqa: ASYNC110 - a database has no event
                    await asyncio.sleep(0.01)
            await database.execute(select(RefreshToken).with_for_update())
            response = await refreshing
        assert_problem(response, 503, "service_unavailable")
        assert "retry-after" in response.headers
        assert (await self.refresh(customer, first)).status_code == 200

    @pytest.mark.parametrize("ends", ["logout", "everywhere", "password", "operator", "deletion"])
    async def test_refresh_while_the_session_ends_returns_no_valid_token(
        self, customer: Caller, app: FastAPI, ends: str
    ) -> None:
        other = await Caller.log_in(customer.client, customer.email, PASSWORD, contact_id="")

        async def end() -> None:
            change = {"current_password": PASSWORD, "new_password": "a harbour in the morning"}
            if ends == "logout":
                assert (await other.post("/api/logout")).status_code == 204
            elif ends == "everywhere":
                assert (await customer.post("/api/logout", {"everywhere": True})).status_code == 204
            elif ends == "password":
                assert (await customer.post("/api/me/password", change)).status_code == 204
            elif ends == "operator":
                assert await end_sessions(app.state.session_factory, customer.email, origin=OPERATOR)
            else:
                assert (await customer.delete("/api/me")).status_code == 204

        response, _ = await asyncio.gather(self.refresh(other, other.tokens["refresh_token"]), end())
        assert response.status_code in (200, 401)
        if response.status_code == 200:
            tokens = response.json()["data"]
            assert_problem(await self.refresh(other, tokens["refresh_token"]), 401, "invalid_token")
            headers = {"Authorization": f"Bearer {tokens['access_token']}"}
            assert_problem(await customer.client.get("/api/me", headers=headers), 401, "invalid_token")

    async def test_refresh_deletes_expired_refresh_tokens(self, customer: Caller, app: FastAPI) -> None:
        second = (await self.refresh(customer, customer.tokens["refresh_token"])).json()["data"]
        async with app.state.session_factory.begin() as database:
            used = update(RefreshToken).where(RefreshToken.replaced_at.is_not(None))
            await database.execute(used.values(expires_at=now()))
        third = await self.refresh(customer, second["refresh_token"])
        assert third.status_code == 200
        async with app.state.session_factory() as database:
            assert len((await database.execute(select(RefreshToken))).all()) == 2
        # The expired token is refused without ending the session.
        assert_problem(await self.refresh(customer, customer.tokens["refresh_token"]), 401, "invalid_token")
        assert (await self.refresh(customer, third.json()["data"]["refresh_token"])).status_code == 200

    async def test_tokens_of_expired_session_return_401(self, customer: Caller, app: FastAPI) -> None:
        async with app.state.session_factory.begin() as database:
            await database.execute(update(Session).values(expires_at=now()))
        assert_problem(await self.refresh(customer, customer.tokens["refresh_token"]), 401, "invalid_token")
        assert_problem(await customer.get("/api/me"), 401, "invalid_token")


class TestAccessToken:
    """Validation of access tokens."""

    def forged(self, settings: Settings, token: str, defect: str) -> str:
        claims, key = claims_of(settings, token), settings.jwt_secret_key.get_secret_value()
        if defect == "expired":
            return str(jwt.encode(claims | {"exp": claims["iat"] - 1}, key, algorithm="HS256"))
        if defect == "other key":
            return str(jwt.encode(claims, "another-secret-key-of-enough-length", algorithm="HS256"))
        if defect == "other algorithm":
            return str(jwt.encode(claims, key, algorithm="HS512"))
        if defect == "wrong audience":
            return str(jwt.encode(claims | {"aud": "somebody-else"}, key, algorithm="HS256"))
        if defect == "wrong issuer":
            return str(jwt.encode(claims | {"iss": "somebody-else"}, key, algorithm="HS256"))
        if defect.startswith("without "):
            claims.pop(defect.removeprefix("without "))
            return str(jwt.encode(claims, key, algorithm="HS256"))
        if defect == "unsigned":
            import base64

            head = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').rstrip(b"=").decode()
            return f"{head}.{token.split('.')[1]}."
        if defect == "nested":
            import base64

            return base64.urlsafe_b64encode(b"[" * 1400).rstrip(b"=").decode() + ".e30.c2ln"
        return defect

    @pytest.mark.parametrize(
        "defect",
        [
            "expired",
            "other key",
            "other algorithm",
            "wrong audience",
            "wrong issuer",
            "unsigned",
            "nested",
            "without exp",
            "without sub",
            "without iat",
            "without jti",
            "without aud",
            "without iss",
            "without sid",
            "nonsense",
            "a.b.c",
            "x" * 5000,
        ],
    )
    async def test_invalid_access_token_returns_401(
        self, customer: Caller, settings: Settings, defect: str
    ) -> None:
        token = self.forged(settings, customer.tokens["access_token"], defect)
        response = await customer.client.get("/api/me", headers={"Authorization": f"Bearer {token}"})
        assert_problem(response, 401, "invalid_token")

    async def test_cached_access_token_returns_401_after_its_expiry(
        self, customer: Caller, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert (await customer.get("/api/me")).status_code == 200
        expires_at = claims_of(settings, customer.tokens["access_token"])["exp"]
        monkeypatch.setattr("crm_api.security.tokens.time.time", lambda: expires_at + 0.9)
        assert (await customer.get("/api/me")).status_code == 200
        monkeypatch.setattr("crm_api.security.tokens.time.time", lambda: expires_at + 1.0)
        assert_problem(await customer.get("/api/me"), 401, "invalid_token")

    async def test_cached_access_token_returns_401_after_a_key_change(
        self, customer: Caller, settings: Settings, app: FastAPI
    ) -> None:
        assert (await customer.get("/api/me")).status_code == 200
        other = {"jwt_secret_key": SecretStr("another-secret-key-of-enough-length")}
        app.state.settings = settings.model_copy(update=other)
        assert_problem(await customer.get("/api/me"), 401, "invalid_token")

    async def test_access_token_with_basic_scheme_returns_401(self, customer: Caller) -> None:
        token = customer.tokens["access_token"]
        response = await customer.client.get("/api/me", headers={"Authorization": f"Basic {token}"})
        assert_problem(response, 401, "invalid_token")

    async def test_role_change_applies_to_next_request(self, customer: Caller, app: FastAPI) -> None:
        async with app.state.session_factory.begin() as database:
            await database.execute(update(User).values(role="staff"))
        assert (await customer.get("/api/me")).json()["data"]["role"] == "staff"


class TestLogOut:
    async def test_logout_without_token_returns_401(self, client: httpx.AsyncClient) -> None:
        assert_problem(await client.post("/api/logout"), 401, "invalid_token")

    async def again(self, caller: Caller) -> Caller:
        return await Caller.log_in(caller.client, caller.email, PASSWORD, contact_id=caller.contact_id)

    async def refresh(self, caller: Caller) -> int:
        body = {"refresh_token": caller.tokens["refresh_token"]}
        return (await caller.client.post("/api/token/refresh", json=body)).status_code

    @pytest.mark.parametrize("body", [None, {}, {"everywhere": False}])
    async def test_logout_ends_only_the_session_of_its_token(
        self, customer: Caller, body: dict[str, Any] | None
    ) -> None:
        other = await self.again(customer)
        response = await customer.client.post("/api/logout", headers=customer.headers, json=body)
        assert (response.status_code, response.content) == (204, b"")
        assert_problem(await customer.get("/api/me"), 401, "invalid_token")
        assert await self.refresh(customer) == 401
        assert (await other.get("/api/me")).status_code == 200
        assert await self.refresh(other) == 200

    async def test_logout_without_body_ends_the_session(self, customer: Caller) -> None:
        response = await customer.client.post("/api/logout", headers=customer.headers)
        assert response.status_code == 204
        assert_problem(await customer.get("/api/me"), 401, "invalid_token")

    async def test_logout_everywhere_ends_all_sessions_of_the_user(
        self, customer: Caller, other_customer: Caller
    ) -> None:
        other = await self.again(customer)
        response = await customer.post("/api/logout", {"everywhere": True})
        assert response.status_code == 204
        for caller in (customer, other):
            assert_problem(await caller.get("/api/me"), 401, "invalid_token")
            assert await self.refresh(caller) == 401
        assert (await other_customer.get("/api/me")).status_code == 200

    async def test_login_works_after_logout_everywhere(self, customer: Caller) -> None:
        await customer.post("/api/logout", {"everywhere": True})
        assert (await (await self.again(customer)).get("/api/me")).status_code == 200


class TestEffectOnTheNextRequest:
    async def test_login_during_password_change_gets_no_valid_session(self, customer: Caller) -> None:
        login = {"email": customer.email, "password": PASSWORD}
        change = {"current_password": PASSWORD, "new_password": "a harbour in the morning"}
        changed, *responses = await asyncio.gather(
            customer.post("/api/me/password", change),
            *(customer.client.post("/api/login", json=login) for _ in range(4)),
        )
        assert changed.status_code == 204
        for response in responses:
            assert response.status_code in (200, 401)
            if response.status_code == 200:
                headers = {"Authorization": f"Bearer {response.json()['data']['access_token']}"}
                again = await customer.client.get("/api/me", headers=headers)
                assert_problem(again, 401, "invalid_token")

    async def test_demoted_staff_lose_staff_access_on_next_request(self, staff: Caller, app: FastAPI) -> None:
        assert (await staff.get("/api/contacts")).status_code == 200
        everybody = (await staff.get("/api/new-crm-objects")).json()["data"]["data"]["contacts"]
        assert await set_role(app.state.session_factory, staff.email, "customer")
        assert (await staff.get("/api/me")).json()["data"]["role"] == "customer"
        assert_problem(await staff.post("/api/contacts", {"email": "new@example.com"}), 403, "forbidden")
        own = (await staff.get("/api/new-crm-objects")).json()["data"]["data"]["contacts"]
        assert [contact["id"] for contact in own] == [staff.contact_id]
        assert everybody

    async def test_access_token_returns_401_after_operator_ends_sessions(
        self, customer: Caller, app: FastAPI
    ) -> None:
        assert await end_sessions(app.state.session_factory, customer.email, origin=OPERATOR)
        assert_problem(await customer.get("/api/me"), 401, "invalid_token")

    async def test_login_returns_401_if_password_changes_during_login(
        self, customer: Caller, app: FastAPI
    ) -> None:
        """Another request changes the password while the login verifies the old one."""
        verify = app.state.passwords.verify

        async def slow_verify(password: str, password_hash: str | None) -> tuple[bool, str | None]:
            result: tuple[bool, str | None] = await verify(password, password_hash)
            async with app.state.session_factory.begin() as database:
                await database.execute(update(User).values(password_hash="changed"))
            return result

        app.state.passwords.verify = slow_verify
        body = {"email": customer.email, "password": PASSWORD}
        assert_problem(await customer.client.post("/api/login", json=body), 401, "invalid_credentials")
