"""Callers with a login, and the check of error responses."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Self

import httpx
from fastapi import FastAPI
from sqlalchemy import update
from tests.support.builders import PASSWORD, registration_body
from tests.support.emulator_transport import EmulatorTransport

from crm_api.main import create_app
from crm_api.models import RefreshToken, now
from crm_api.settings import Settings
from hubspot_emulator import Emulator


@dataclass(frozen=True)
class Caller:
    """A user with a login, whose requests carry the access token."""

    client: httpx.AsyncClient
    email: str
    tokens: dict[str, Any]
    contact_id: str

    @classmethod
    async def log_in(cls, client: httpx.AsyncClient, email: str, password: str, *, contact_id: str) -> Self:
        """Log in; the password must be right."""
        response = await client.post("/api/login", json={"email": email, "password": password})
        assert response.status_code == 200, response.text
        return cls(client, email, response.json()["data"], contact_id)

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.tokens['access_token']}"}

    async def get(
        self, path: str, *, headers: dict[str, str] | None = None, **arguments: Any
    ) -> httpx.Response:
        return await self.client.get(path, headers=self.headers | (headers or {}), **arguments)

    async def post(
        self, path: str, json: Any = None, *, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        return await self.client.post(path, json=json, headers=self.headers | (headers or {}))

    async def patch(
        self, path: str, json: Any = None, *, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        return await self.client.patch(path, json=json, headers=self.headers | (headers or {}))

    async def delete(self, path: str, *, headers: dict[str, str] | None = None) -> httpx.Response:
        return await self.client.delete(path, headers=self.headers | (headers or {}))


@asynccontextmanager
async def app_client(settings: Settings, emulator: Emulator) -> AsyncGenerator[httpx.AsyncClient, None]:
    """Start an application with these settings and yield a client without a login."""
    app = create_app(settings, hubspot_transport=EmulatorTransport(emulator))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app, raise_app_exceptions=False), base_url="http://crm.example"
        ) as client,
    ):
        yield client


async def register_caller(client: httpx.AsyncClient, email: str) -> Caller:
    """Register this address and log in."""
    response = await client.post("/api/register", json=registration_body(email=email))
    assert response.status_code == 201, response.text
    return await Caller.log_in(client, email, PASSWORD, contact_id=response.json()["data"]["contact"]["id"])


def assert_problem(
    response: httpx.Response, status: int, code: str, *, fields: list[str] | None = None
) -> dict[str, Any]:
    """Assert that the response is this error in the format of all errors, and return its body."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert set(problem) == {"type", "title", "status", "detail", "error", "code", "details", "request_id"}
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["type"].startswith("/problems/")
    assert problem["request_id"] == response.headers["x-request-id"]
    if fields is not None:
        assert [detail["field"] for detail in problem["details"]] == fields
    return problem


def assert_same_not_found(first: httpx.Response, second: httpx.Response) -> None:
    """Assert that both are 404 responses with equal bodies, except for the request ID."""
    bodies = [assert_problem(response, 404, "not_found") for response in (first, second)]
    assert bodies[0] | {"request_id": ""} == bodies[1] | {"request_id": ""}


async def end_grace_period(app: FastAPI) -> None:
    """Set the replacement of all replaced refresh tokens 11 seconds back."""
    async with app.state.session_factory.begin() as database:
        replaced = update(RefreshToken).where(RefreshToken.replaced_at.is_not(None))
        await database.execute(replaced.values(replaced_at=now() - timedelta(seconds=11)))
