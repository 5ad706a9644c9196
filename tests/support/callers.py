"""Somebody who is logged in, and what they may be answered."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self

import httpx
from tests.support.builders import PASSWORD, registration_body
from tests.support.emulator_transport import EmulatorTransport

from crm_api.main import create_app
from crm_api.settings import Settings
from hubspot_emulator import Emulator


@dataclass(frozen=True)
class Caller:
    """A client that sends its access token."""

    client: httpx.AsyncClient
    email: str
    tokens: dict[str, Any]
    contact_id: str

    @classmethod
    async def log_in(cls, client: httpx.AsyncClient, email: str, password: str, *, contact_id: str) -> Self:
        """Log in with a password that fits."""
        answer = await client.post("/api/login", json={"email": email, "password": password})
        assert answer.status_code == 200, answer.text
        return cls(client, email, answer.json()["data"], contact_id)

    @property
    def headers(self) -> dict[str, str]:
        """The header that says who calls."""
        return {"Authorization": f"Bearer {self.tokens['access_token']}"}

    async def get(
        self, path: str, *, headers: dict[str, str] | None = None, **arguments: Any
    ) -> httpx.Response:
        """GET as this caller."""
        return await self.client.get(path, headers=self.headers | (headers or {}), **arguments)

    async def post(
        self, path: str, json: Any = None, *, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        """POST JSON as this caller."""
        return await self.client.post(path, json=json, headers=self.headers | (headers or {}))

    async def patch(
        self, path: str, json: Any = None, *, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        """PATCH JSON as this caller."""
        return await self.client.patch(path, json=json, headers=self.headers | (headers or {}))

    async def delete(self, path: str, *, headers: dict[str, str] | None = None) -> httpx.Response:
        """DELETE as this caller."""
        return await self.client.delete(path, headers=self.headers | (headers or {}))


@asynccontextmanager
async def app_client(settings: Settings, emulator: Emulator) -> AsyncGenerator[httpx.AsyncClient, None]:
    """A caller who is nobody yet, of an application of their own, from its start to its end."""
    app = create_app(settings, hubspot_transport=EmulatorTransport(emulator))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app, raise_app_exceptions=False), base_url="http://crm.example"
        ) as client,
    ):
        yield client


async def register_caller(client: httpx.AsyncClient, email: str) -> Caller:
    """Somebody who has just registered and logged in."""
    answer = await client.post("/api/register", json=registration_body(email=email))
    assert answer.status_code == 201, answer.text
    return await Caller.log_in(client, email, PASSWORD, contact_id=answer.json()["data"]["contact"]["id"])


def assert_problem(
    answer: httpx.Response, status: int, code: str, *, fields: list[str] | None = None
) -> dict[str, Any]:
    """The answer is this error, in the one body that errors have."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert set(problem) == {"type", "title", "status", "detail", "error", "code", "details", "request_id"}
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["type"].startswith("/problems/")
    assert problem["request_id"] == answer.headers["x-request-id"]
    if fields is not None:
        assert [detail["field"] for detail in problem["details"]] == fields
    return problem
