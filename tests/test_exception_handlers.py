"""Error responses for invalid requests and unexpected errors."""

import logging

import httpx
import pytest
from fastapi import FastAPI
from tests.support.callers import Caller, assert_problem


class TestErrors:
    async def test_unknown_route_returns_404(self, client: httpx.AsyncClient) -> None:
        problem = assert_problem(await client.get("/api/nothing"), 404, "not_found")
        assert problem["error"] == "Resource not found"

    async def test_wrong_method_returns_405_with_allow(self, client: httpx.AsyncClient) -> None:
        response = await client.put("/api/deals")
        assert_problem(response, 405, "method_not_allowed")
        assert "POST" in response.headers["allow"]

    @pytest.mark.parametrize("body", ["{", "not json", '{"email": }', "[1, 2", '"' + "\\ud800" * 3])
    async def test_malformed_json_body_returns_400(self, client: httpx.AsyncClient, body: str) -> None:
        response = await client.post("/api/login", content=body, headers={"Content-Type": "application/json"})
        problem = assert_problem(response, 400, "malformed_body")
        assert problem["error"] == "Validation error"

    async def test_body_with_invalid_utf8_returns_400(self, client: httpx.AsyncClient) -> None:
        response = await client.post(
            "/api/login", content=b"\xff\xfe\x00", headers={"Content-Type": "application/json"}
        )
        assert_problem(response, 400, "malformed_body")

    async def test_deeply_nested_json_body_returns_400(self, client: httpx.AsyncClient) -> None:
        response = await client.post(
            "/api/login", content="[" * 16_000, headers={"Content-Type": "application/json"}
        )
        assert_problem(response, 400, "malformed_body")

    @pytest.mark.parametrize("body", [[], "text", 7, None, True])
    async def test_json_other_than_an_object_returns_400(
        self, client: httpx.AsyncClient, body: object
    ) -> None:
        response = await client.post("/api/login", json=body)
        assert_problem(response, 400, "validation_error", fields=["body"])

    async def test_missing_body_returns_400(self, client: httpx.AsyncClient) -> None:
        assert_problem(await client.post("/api/login"), 400, "validation_error", fields=["body"])

    async def test_text_plain_body_returns_415(self, client: httpx.AsyncClient) -> None:
        response = await client.post("/api/login", content="email=a", headers={"Content-Type": "text/plain"})
        assert_problem(response, 415, "unsupported_media_type")

    @pytest.mark.parametrize("chunked", [False, True])
    async def test_too_large_body_returns_413(self, client: httpx.AsyncClient, chunked: bool) -> None:
        async def chunks() -> object:
            for _ in range(40):
                yield b" " * 65_536

        body = chunks() if chunked else b" " * 2_000_000
        response = await client.post("/api/login", content=body, headers={"Content-Type": "application/json"})  # type: ignore[arg-type]
        assert_problem(response, 413, "request_too_large")

    async def test_unexpected_error_returns_500_without_its_message(
        self, client: httpx.AsyncClient, app: FastAPI, caplog: pytest.LogCaptureFixture
    ) -> None:
        @app.get("/broken")
        async def broken() -> None:
            raise RuntimeError(" ".join(("a", "secret", "value")))

        with caplog.at_level(logging.ERROR):
            response = await client.get("/broken")
        assert_problem(response, 500, "internal_server_error")
        assert "secret value" not in response.text + caplog.text
        assert "RuntimeError" in caplog.text


class TestDatabaseOutage:
    async def test_database_outage_returns_503_with_retry_after(
        self, customer: Caller, fail_statements: object, caplog: pytest.LogCaptureFixture
    ) -> None:
        fail_statements("SELECT")  # type: ignore[operator]
        response = await customer.get("/api/me")
        # An outage fails thousands of requests, so each logs one line without a traceback.
        [line] = [message for message in caplog.messages if "dependency unavailable" in message]
        assert len(line.splitlines()) == 1
        assert "ConnectionError" in line
        assert_problem(response, 503, "service_unavailable")
        assert response.headers["retry-after"] == "5"
