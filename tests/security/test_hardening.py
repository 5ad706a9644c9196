"""CORS, security headers, body size, Host header, and secrets in repr."""

from dataclasses import fields, is_dataclass

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from tests.support.callers import Caller, assert_problem
from tests.support.emulator_transport import EmulatorTransport
from tests.support.mail import Mailbox

from crm_api.bootstrap import account_rules
from crm_api.mail import MailQueue
from crm_api.main import EXPOSED_HEADERS, create_app
from crm_api.settings import Settings
from hubspot_emulator import Emulator

ORIGIN = "https://portal.example"


class TestCors:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"cors_origins": [ORIGIN]})

    async def test_allowed_cors_origin_can_read_response_headers(self, client: httpx.AsyncClient) -> None:
        response = await client.get("/api/me", headers={"Origin": ORIGIN})
        assert response.headers["access-control-allow-origin"] == ORIGIN
        exposed = {name.strip() for name in response.headers["access-control-expose-headers"].split(",")}
        assert exposed == set(EXPOSED_HEADERS)
        # Tokens are sent in a header, not in a cookie.
        assert "access-control-allow-credentials" not in response.headers

    async def test_errors_500_413_404_have_cors_header_for_allowed_origin(
        self, client: httpx.AsyncClient, app: FastAPI
    ) -> None:
        @app.get("/broken")
        async def broken() -> None:
            raise RuntimeError

        headers = {"Origin": ORIGIN, "Content-Type": "application/json"}
        responses = [
            await client.get("/broken", headers=headers),
            await client.post("/api/login", content=b" " * 2_000_000, headers=headers),
            await client.get("/nothing", headers=headers),
            await client.options("/api/me", headers=headers | {"Access-Control-Request-Method": "GET"}),
        ]
        assert [response.status_code for response in responses] == [500, 413, 404, 200]
        for response in responses:
            assert response.headers["access-control-allow-origin"] == ORIGIN
            assert response.headers["x-request-id"]
            assert response.headers["x-content-type-options"] == "nosniff"

    @pytest.mark.parametrize("method", ["HEAD", "POST", "PATCH", "DELETE"])
    async def test_preflight_of_allowed_method_and_headers_returns_200(
        self, client: httpx.AsyncClient, method: str
    ) -> None:
        headers = {
            "Origin": ORIGIN,
            "Access-Control-Request-Method": method,
            "Access-Control-Request-Headers": "authorization, content-type, idempotency-key, if-match",
        }
        response = await client.options("/api/me", headers=headers)
        assert response.status_code == 200
        assert response.headers["access-control-allow-origin"] == ORIGIN

    @pytest.mark.parametrize(
        "added",
        [
            "traceparent, tracestate, baggage",
            "sentry-trace, baggage",
            "if-none-match, cache-control, pragma",
            "x-request-id, x-requested-with",
        ],
    )
    async def test_preflight_allows_headers_of_browser_tools(
        self, client: httpx.AsyncClient, added: str
    ) -> None:
        headers = {
            "Origin": ORIGIN,
            "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": f"authorization, {added}",
        }
        response = await client.options("/api/deals", headers=headers)
        assert response.status_code == 200, response.text
        allowed = {
            name.strip() for name in response.headers["access-control-allow-headers"].lower().split(",")
        }
        assert set(added.split(", ")) <= allowed

    @pytest.mark.parametrize(
        "origin", ["https://portal.example.evil", "http://portal.example", "https://evil.example", "null"]
    )
    async def test_origin_not_allowed_gets_no_allow_origin_header(
        self, client: httpx.AsyncClient, origin: str
    ) -> None:
        response = await client.get("/healthz", headers={"Origin": origin})
        assert "access-control-allow-origin" not in response.headers


class TestHeaders:
    async def test_success_and_error_responses_have_security_headers(
        self, client: httpx.AsyncClient, customer: Caller
    ) -> None:
        responses = [
            await client.get("/api/me"),
            await customer.get("/api/me"),
            await client.get("/nothing"),
            await client.put("/api/me"),
            await client.post("/api/login", content="{", headers={"Content-Type": "application/json"}),
            await client.post("/api/login", content=b" " * 2_000_000),
        ]
        for response in responses:
            assert response.headers["x-content-type-options"] == "nosniff"
            assert response.headers["x-frame-options"] == "DENY"
            assert response.headers["referrer-policy"] == "no-referrer"
            assert response.headers["cache-control"] == "no-store"
            assert "default-src 'none'" in response.headers["content-security-policy"]
            assert "strict-transport-security" not in response.headers
            assert "server" not in response.headers

    async def test_production_sends_strict_transport_security_header(
        self, settings: Settings, emulator: Emulator
    ) -> None:
        production = settings.model_copy(
            update={
                "environment": "production",
                "secret_key": SecretStr("Zk4fQw8yT2mX6vB1nR7cL3pD9sH5jG0a"),
                "jwt_secret_key": SecretStr("uE7rY1qW9oP3iA5sD2fG8hJ4kL6zX0cV"),
                "hubspot_base_url": "https://api.hubapi.com",
                "bcrypt_rounds": 10,
                "registration": "closed",
            }
        )
        app = create_app(production, hubspot_transport=EmulatorTransport(emulator))
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app), base_url="https://crm.example"
        ) as client:
            response = await client.get("/healthz")
        assert response.headers["strict-transport-security"].startswith("max-age=31536000")

    async def test_oversized_form_returns_413(self, client: httpx.AsyncClient) -> None:
        form = {"grant_type": "password", "username": "a" * 2_000_000, "password": "x"}
        assert_problem(await client.post("/api/token", data=form), 413, "request_too_large")


class TestHostHeader:
    @pytest.mark.parametrize("path", ["/api/me/", "/api/deals/", "/docs/", "/healthz/"])
    async def test_path_with_trailing_slash_returns_404_without_redirect(
        self, client: httpx.AsyncClient, path: str
    ) -> None:
        response = await client.get(path, headers={"Host": "evil.example"})
        assert_problem(response, 404, "not_found")
        assert "location" not in response.headers


class TestRepr:
    async def test_repr_of_application_objects_contains_no_secret(
        self, settings: Settings, app: FastAPI, mailbox: Mailbox
    ) -> None:
        secret = settings.model_copy(
            update={"smtp_url": SecretStr("smtp://user:hidden-password@localhost:25")}
        )
        key = settings.jwt_secret_key.get_secret_value()
        queue = MailQueue(secret)
        shown = [
            repr(item)
            for item in (
                settings,
                account_rules(settings),
                queue,
                queue._server,
                app.state.hubspot,
                app.state.session_factory,
                app.state.session_factory.kw["bind"],
                app.state.passwords,
                app.state.rate_limits,
                app.state.cursors,
            )
        ]
        assert is_dataclass(queue._server)
        assert {field.name for field in fields(queue._server) if not field.repr} == {"username", "password"}
        for hidden in (key, "hidden-password", "test-access-token"):
            assert not any(hidden in text for text in shown)
