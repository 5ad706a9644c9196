"""Error responses for invalid requests and unexpected errors."""

import logging

import httpx
import pytest
from fastapi import FastAPI
from tests.support.callers import Caller, assert_problem


class TestErrors:
    async def test_an_unknown_route_is_a_404(self, client: httpx.AsyncClient) -> None:
        problem = assert_problem(await client.get("/api/nothing"), 404, "not_found")
        assert problem["error"] == "Resource not found"

    async def test_a_wrong_method_names_the_right_ones(self, client: httpx.AsyncClient) -> None:
        answer = await client.put("/api/deals")
        assert_problem(answer, 405, "method_not_allowed")
        assert "POST" in answer.headers["allow"]

    @pytest.mark.parametrize("body", ["{", "not json", '{"email": }', "[1, 2", '"' + "\\ud800" * 3])
    async def test_malformed_json_is_a_400(self, client: httpx.AsyncClient, body: str) -> None:
        answer = await client.post("/api/login", content=body, headers={"Content-Type": "application/json"})
        problem = assert_problem(answer, 400, "malformed_body")
        assert problem["error"] == "Validation error"

    async def test_bytes_that_are_no_text_are_a_400(self, client: httpx.AsyncClient) -> None:
        answer = await client.post(
            "/api/login", content=b"\xff\xfe\x00", headers={"Content-Type": "application/json"}
        )
        assert_problem(answer, 400, "malformed_body")

    async def test_json_nested_too_deep_is_a_400(self, client: httpx.AsyncClient) -> None:
        answer = await client.post(
            "/api/login", content="[" * 100_000, headers={"Content-Type": "application/json"}
        )
        assert_problem(answer, 400, "malformed_body")

    @pytest.mark.parametrize("body", [[], "text", 7, None, True])
    async def test_json_that_is_no_object_is_a_400(self, client: httpx.AsyncClient, body: object) -> None:
        answer = await client.post("/api/login", json=body)
        assert_problem(answer, 400, "validation_error", fields=["body"])

    async def test_no_body_is_a_400(self, client: httpx.AsyncClient) -> None:
        assert_problem(await client.post("/api/login"), 400, "validation_error", fields=["body"])

    async def test_another_media_type_is_a_415(self, client: httpx.AsyncClient) -> None:
        answer = await client.post("/api/login", content="email=a", headers={"Content-Type": "text/plain"})
        assert_problem(answer, 415, "unsupported_media_type")

    @pytest.mark.parametrize("chunked", [False, True])
    async def test_a_body_over_the_limit_is_a_413(self, client: httpx.AsyncClient, chunked: bool) -> None:
        async def chunks() -> object:
            for _ in range(40):
                yield b" " * 65_536

        body = chunks() if chunked else b" " * 2_000_000
        answer = await client.post("/api/login", content=body, headers={"Content-Type": "application/json"})  # type: ignore[arg-type]
        assert_problem(answer, 413, "request_too_large")

    async def test_what_nobody_foresaw_is_a_500_that_says_nothing(
        self, client: httpx.AsyncClient, app: FastAPI, caplog: pytest.LogCaptureFixture
    ) -> None:
        @app.get("/broken")
        async def broken() -> None:
            raise RuntimeError(" ".join(("a", "secret", "value")))

        with caplog.at_level(logging.ERROR):
            answer = await client.get("/broken")
        assert_problem(answer, 500, "internal_server_error")
        assert "secret value" not in answer.text + caplog.text
        assert "RuntimeError" in caplog.text


class TestDatabaseAway:
    async def test_it_is_a_503_that_says_when_to_come_back(
        self, customer: Caller, break_commits: object, caplog: pytest.LogCaptureFixture
    ) -> None:
        break_commits("SELECT")  # type: ignore[operator]
        answer = await customer.get("/api/me")
        # Thousands of requests meet an outage: a line each, no traceback.
        [line] = [each for each in caplog.messages if "dependency unavailable" in each]
        assert len(line.splitlines()) == 1
        assert "ConnectionError" in line
        assert_problem(answer, 503, "service_unavailable")
        assert answer.headers["retry-after"] == "5"
