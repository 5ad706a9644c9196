"""List of the caller's sessions, and the end of one of them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from annotated_types import Le
from fastapi import FastAPI
from sqlalchemy import select, update
from tests.support.builders import PASSWORD
from tests.support.callers import Caller, assert_problem, assert_same_not_found

from crm_api.models import AuditEntry, Session, now
from crm_api.schemas.common import parse_rfc3339
from crm_api.schemas.sessions import MAX_SESSIONS
from crm_api.settings import Settings

PHONE = ("203.0.113.7", "Phone/1.0")
LAPTOP = ("2001:db8::1", "Laptop/2.0")


@asynccontextmanager
async def client_at(app: FastAPI, address: str, user_agent: Any) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=app, client=(address, 1234))
    headers = {"User-Agent": user_agent}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://crm.example", headers=headers
    ) as client:
        yield client


async def log_in_at(app: FastAPI, caller: Caller, address: str, user_agent: Any) -> Caller:
    async with client_at(app, address, user_agent) as client:
        other = await Caller.log_in(client, caller.email, PASSWORD, contact_id=caller.contact_id)
    return Caller(caller.client, caller.email, other.tokens, caller.contact_id)


async def sessions_of(caller: Caller) -> list[dict[str, Any]]:
    response = await caller.get("/api/me/sessions")
    assert response.status_code == 200, response.text
    assert response.json()["message"] == "Sessions retrieved successfully"
    results: list[dict[str, Any]] = response.json()["data"]["results"]
    return results


async def current_id(caller: Caller) -> str:
    [current] = [session["id"] for session in await sessions_of(caller) if session["is_current"]]
    return str(current)


async def refresh(caller: Caller) -> int:
    body = {"refresh_token": caller.tokens["refresh_token"]}
    return (await caller.client.post("/api/token/refresh", json=body)).status_code


async def set_back(app: FastAPI, **values: timedelta) -> None:
    """Set these timestamps of all sessions to earlier times."""
    async with app.state.session_factory.begin() as database:
        times = {name: now() - duration for name, duration in values.items()}
        await database.execute(update(Session).values(**times))


async def audited(app: FastAPI, *events: str) -> list[tuple[str, str, str | None]]:
    query = select(AuditEntry).where(AuditEntry.event.in_(events)).order_by(AuditEntry.at)
    async with app.state.session_factory() as database:
        return [
            (entry.event, entry.actor, entry.detail) for entry in (await database.execute(query)).scalars()
        ]


class TestListSessions:
    async def test_session_list_without_token_returns_401(self, client: httpx.AsyncClient) -> None:
        assert_problem(await client.get("/api/me/sessions"), 401, "invalid_token")

    async def test_list_shows_client_and_times_of_each_session(self, customer: Caller, app: FastAPI) -> None:
        await set_back(app, created_at=timedelta(hours=3), last_used_at=timedelta(hours=2))
        phone = await log_in_at(app, customer, *PHONE)
        started = now()
        first, second = await sessions_of(phone)
        assert list(first) == ["id", "created_at", "last_used_at", "address", "user_agent", "is_current"]
        assert (first["address"], first["user_agent"], first["is_current"]) == (*PHONE, True)
        assert (second["address"], second["is_current"]) == ("127.0.0.1", False)
        assert first["id"] != second["id"]
        for shown, expected in (
            (first["created_at"], started),
            (first["last_used_at"], started),
            (second["created_at"], started - timedelta(hours=3)),
            (second["last_used_at"], started - timedelta(hours=2)),
        ):
            assert abs(parse_rfc3339(shown) - expected) < timedelta(minutes=5)
        # The same list, requested in the other session.
        assert [session["is_current"] for session in await sessions_of(customer)] == [False, True]

    @pytest.mark.parametrize("operation", ["refreshToken", "createToken"])
    async def test_refresh_updates_client_and_last_use(
        self, customer: Caller, app: FastAPI, operation: str
    ) -> None:
        await set_back(app, created_at=timedelta(hours=3), last_used_at=timedelta(hours=3))
        body = {"refresh_token": customer.tokens["refresh_token"]}
        async with client_at(app, *LAPTOP) as laptop:
            if operation == "refreshToken":
                response = await laptop.post("/api/token/refresh", json=body)
            else:
                response = await laptop.post("/api/token", data=body | {"grant_type": "refresh_token"})
            assert response.status_code == 200
            [session] = await sessions_of(customer)
            assert (session["address"], session["user_agent"]) == LAPTOP
            assert now() - parse_rfc3339(session["last_used_at"]) < timedelta(hours=1)
            assert now() - parse_rfc3339(session["created_at"]) > timedelta(hours=2)
        # A replaced token gets the same successor for 10 seconds, and the client that sends it is shown.
        async with client_at(app, *PHONE) as phone:
            assert (await phone.post("/api/token/refresh", json=body)).status_code == 200
        [session] = await sessions_of(customer)
        assert (session["address"], session["user_agent"]) == PHONE

    async def test_password_grant_starts_a_listed_session(self, customer: Caller, app: FastAPI) -> None:
        form = {"grant_type": "password", "username": customer.email, "password": PASSWORD}
        async with client_at(app, *LAPTOP) as laptop:
            assert (await laptop.post("/api/token", data=form)).status_code == 200
        [started, _] = await sessions_of(customer)
        assert (started["address"], started["user_agent"], started["is_current"]) == (*LAPTOP, False)

    async def test_refused_refresh_changes_no_session(self, customer: Caller, app: FastAPI) -> None:
        before = await sessions_of(customer)
        async with client_at(app, *LAPTOP) as laptop:
            refused = await laptop.post("/api/token/refresh", json={"refresh_token": "rt_" + "x" * 40})
        assert_problem(refused, 401, "invalid_token")
        assert await sessions_of(customer) == before

    async def test_last_used_session_is_first(self, customer: Caller, app: FastAPI) -> None:
        await set_back(app, created_at=timedelta(hours=3), last_used_at=timedelta(hours=3))
        await log_in_at(app, customer, *PHONE)
        assert [session["is_current"] for session in await sessions_of(customer)] == [False, True]
        assert await refresh(customer) == 200
        assert [session["is_current"] for session in await sessions_of(customer)] == [True, False]

    async def test_ended_expired_and_others_sessions_are_not_listed(
        self, customer: Caller, other_customer: Caller, app: FastAPI
    ) -> None:
        ended = await log_in_at(app, customer, *PHONE)
        assert (await ended.post("/api/logout")).status_code == 204
        expired = UUID(await current_id(await log_in_at(app, customer, *LAPTOP)))
        async with app.state.session_factory.begin() as database:
            await database.execute(update(Session).where(Session.id == expired).values(expires_at=now()))
        [own] = await sessions_of(customer)
        [other] = await sessions_of(other_customer)
        assert (own["is_current"], other["is_current"]) == (True, True)
        assert own["id"] != other["id"]

    async def test_session_of_earlier_version_shows_its_login(self, customer: Caller, app: FastAPI) -> None:
        async with app.state.session_factory.begin() as database:
            await database.execute(update(Session).values(last_used_at=None, address=None, user_agent=None))
        [session] = await sessions_of(customer)
        assert session["last_used_at"] == session["created_at"]
        assert (session["address"], session["user_agent"]) == (None, None)

    @pytest.mark.parametrize(
        ("sent", "shown"),
        [
            (b"", None),
            (b" \t ", None),
            (b"a\x00b\x1b[31mc\x7f\x85d\te", "ab[31mcde"),
            (b"x" * 5000, "x" * 200),
            (b"<b>&\"'</b>", "<b>&\"'</b>"),
        ],
    )
    async def test_user_agent_is_bounded_and_without_controls(
        self, customer: Caller, app: FastAPI, sent: bytes, shown: str | None
    ) -> None:
        caller = await log_in_at(app, customer, "203.0.113.7", sent)
        [session] = [session for session in await sessions_of(caller) if session["is_current"]]
        assert session["user_agent"] == shown

    async def test_export_shows_client_and_last_use_of_sessions(self, customer: Caller, app: FastAPI) -> None:
        phone = await log_in_at(app, customer, *PHONE)
        listed = await sessions_of(phone)
        exported = (await phone.get("/api/me/export")).json()["data"]["sessions"]
        keys = ("created_at", "last_used_at", "address", "user_agent")
        shown = [[session[key] for key in keys] for session in exported]
        assert sorted(shown) == sorted([session[key] for key in keys] for session in listed)

    def test_list_is_as_long_as_the_setting_allows(self) -> None:
        bounds = Settings.model_fields["max_sessions_per_user"].metadata
        assert [bound.le for bound in bounds if isinstance(bound, Le)] == [MAX_SESSIONS]


class TestEndSession:
    async def test_end_session_without_token_returns_401(self, client: httpx.AsyncClient) -> None:
        assert_problem(await client.delete(f"/api/me/sessions/{uuid4()}"), 401, "invalid_token")

    async def test_ended_session_is_refused_and_others_stay(self, customer: Caller, app: FastAPI) -> None:
        phone = await log_in_at(app, customer, *PHONE)
        response = await customer.delete(f"/api/me/sessions/{await current_id(phone)}")
        assert (response.status_code, response.content) == (204, b"")
        assert_problem(await phone.get("/api/me"), 401, "invalid_token")
        assert await refresh(phone) == 401
        assert [session["is_current"] for session in await sessions_of(customer)] == [True]
        assert await refresh(customer) == 200
        detail = "by the user in another session"
        assert await audited(app, "session_revoked", "logged_out") == [("session_revoked", "user", detail)]

    async def test_end_of_the_current_session_is_a_logout(self, customer: Caller, app: FastAPI) -> None:
        phone = await log_in_at(app, customer, *PHONE)
        response = await customer.delete(f"/api/me/sessions/{await current_id(customer)}")
        assert (response.status_code, response.content) == (204, b"")
        assert_problem(await customer.get("/api/me"), 401, "invalid_token")
        assert await refresh(customer) == 401
        assert (await phone.get("/api/me")).status_code == 200
        assert await audited(app, "session_revoked", "logged_out") == [("logged_out", "user", None)]

    @pytest.mark.parametrize("state", ["other user", "ended", "expired"])
    async def test_session_that_is_not_listed_returns_same_404(
        self, customer: Caller, other_customer: Caller, app: FastAPI, state: str
    ) -> None:
        target = other_customer if state == "other user" else await log_in_at(app, customer, *PHONE)
        session_id = await current_id(target)
        if state == "ended":
            assert (await target.post("/api/logout")).status_code == 204
        elif state == "expired":
            async with app.state.session_factory.begin() as database:
                expired = update(Session).where(Session.id == UUID(session_id)).values(expires_at=now())
                await database.execute(expired)
        before = await self.revocations(app)
        response = await customer.delete(f"/api/me/sessions/{session_id}")
        assert_same_not_found(response, await customer.delete(f"/api/me/sessions/{uuid4()}"))
        assert await self.revocations(app) == before
        assert await audited(app, "session_revoked") == []
        if state == "other user":
            assert (await other_customer.get("/api/me")).status_code == 200
            assert await refresh(other_customer) == 200

    async def revocations(self, app: FastAPI) -> dict[UUID, Any]:
        async with app.state.session_factory() as database:
            rows = await database.execute(select(Session.id, Session.revoked_at))
            return {row.id: row.revoked_at for row in rows}

    @pytest.mark.parametrize("session_id", ["1", "current", "0" * 32, "G" * 36, str(uuid4()).upper() + "x"])
    async def test_malformed_session_id_returns_400(self, customer: Caller, session_id: str) -> None:
        response = await customer.delete(f"/api/me/sessions/{session_id}")
        assert_problem(response, 400, "validation_error", fields=["id"])
        assert (await customer.get("/api/me")).status_code == 200
