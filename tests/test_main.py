"""What holds for every request, whatever it asks for."""

import asyncio
import errno
import io
import json
import logging
import re
from collections.abc import AsyncGenerator

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from tests.support.builders import PASSWORD, deal_body, registration_body
from tests.support.callers import Caller, app_client, assert_problem, register_caller
from tests.support.emulator_transport import EmulatorTransport

from crm_api.main import create_app
from crm_api.settings import Settings
from hubspot_emulator import Emulator


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


class TestHeaders:
    async def test_every_answer_has_a_request_id(self, client: httpx.AsyncClient) -> None:
        for path in ("/healthz", "/api/me", "/nothing", "/docs"):
            assert len((await client.get(path)).headers["x-request-id"]) == 32

    async def test_a_good_request_id_is_kept_and_another_replaced(self, client: httpx.AsyncClient) -> None:
        kept = await client.get("/healthz", headers={"X-Request-ID": "front-end-0001"})
        assert kept.headers["x-request-id"] == "front-end-0001"
        for bad in ("short", "x" * 65, "has spaces in it", "new\tline-here"):
            answer = await client.get("/healthz", headers={"X-Request-ID": bad})
            assert answer.headers["x-request-id"] != bad

    async def test_answers_are_hardened(self, client: httpx.AsyncClient) -> None:
        headers = (await client.get("/api/me")).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert headers["cache-control"] == "no-store"
        assert "server" not in headers

    async def test_no_origin_is_allowed_by_default(self, client: httpx.AsyncClient) -> None:
        answer = await client.get("/healthz", headers={"Origin": "https://elsewhere.example"})
        assert "access-control-allow-origin" not in answer.headers


class TestTraces:
    TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"

    async def test_a_trace_is_passed_on_with_a_span_of_our_own(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        emulator.clear_requests()
        headers = customer.headers | {"traceparent": f"00-{self.TRACE}-{self.PARENT}-01"}
        await customer.client.get("/api/new-crm-objects", headers=headers)
        # What is read for everybody at once belongs to nobody's trace.
        own = [request for request in emulator.requests if request.path.startswith("/crm/objects/")]
        [sent] = {request.headers["traceparent"] for request in own}
        version, trace, span, flags = sent.split("-")
        assert (version, trace, flags) == ("00", self.TRACE, "01")
        assert span != self.PARENT

    @pytest.mark.parametrize(
        "offered", ["", "nonsense", f"00-{'0' * 32}-{PARENT}-01", f"00-{TRACE}-{PARENT}"]
    )
    async def test_what_is_no_trace_is_left_alone(
        self, customer: Caller, emulator: Emulator, offered: str
    ) -> None:
        await customer.client.get("/api/new-crm-objects", headers=customer.headers | {"traceparent": offered})
        assert not any("traceparent" in request.headers for request in emulator.requests)


class TestDocs:
    async def test_the_page_needs_nobody_else(self, client: httpx.AsyncClient) -> None:
        page = await client.get("/docs")
        assert page.status_code == 200
        assert "http" not in page.text.replace("<!doctype html>", "")
        policy = page.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
        assert "unsafe" not in policy
        # No script or style stands in the page itself, where the policy would stop it.
        assert not re.search(r"<style|<script(?![^>]* src=)|\bstyle=|\bon\w+=", page.text)
        parts = re.findall(r'(?:src|href|data-openapi)="([^"]+)"', page.text)
        assert {part.rpartition(".")[2] for part in parts} == {"css", "js", "png", "json"}
        for part in parts:
            assert (await client.get(f"/{part}")).status_code == 200, part
        assert (await client.get("/docs/assets/..%2f..%2fmain.py")).status_code == 404
        assert (await client.get("/")).headers["location"] == "docs"

    async def test_it_can_be_switched_off(self, settings: Settings, emulator: Emulator) -> None:
        quiet = settings.model_copy(update={"docs_enabled": False})
        app = create_app(quiet, hubspot_transport=EmulatorTransport(emulator))
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app), base_url="http://crm.example"
        ) as client:
            assert (await client.get("/docs")).status_code == 404
            for path in ("/", "/openapi.json", "/docs/assets/start.js"):
                assert_problem(await client.get(path), 404, "not_found")


class TestDatabaseAway:
    async def test_it_is_a_503_that_says_when_to_come_back(
        self, customer: Caller, fail_statements: object, caplog: pytest.LogCaptureFixture
    ) -> None:
        fail_statements("SELECT")  # type: ignore[operator]
        answer = await customer.get("/api/me")
        # Thousands of requests meet an outage: a line each, no traceback.
        [line] = [each for each in caplog.messages if "does not answer" in each]
        assert len(line.splitlines()) == 1
        assert "ConnectionError" in line
        assert_problem(answer, 503, "service_unavailable")
        assert answer.headers["retry-after"] == "5"


class TestDeadline:
    """Nothing takes longer than the deadline and a second, whatever it waits for."""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"request_deadline_seconds": 0.2})

    async def test_what_never_ends_is_a_503(self, client: httpx.AsyncClient, app: FastAPI) -> None:
        ended = asyncio.Event()

        @app.get("/endless")
        async def endless() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

        async with asyncio.timeout(10):
            answer = await client.get("/endless")
        assert_problem(answer, 503, "service_unavailable")
        assert answer.headers["retry-after"] == "5"
        assert ended.is_set()

    async def test_a_slow_network_is_given_its_time(self, client: httpx.AsyncClient, app: FastAPI) -> None:
        @app.post("/echo")
        async def echo(request: Request) -> StreamingResponse:
            body = await request.body()

            async def pieces() -> AsyncGenerator[bytes, None]:
                for piece in body:
                    await asyncio.sleep(0.5)
                    yield bytes([piece])

            return StreamingResponse(pieces())

        async def upload() -> AsyncGenerator[bytes, None]:
            for piece in (b"a", b"b", b"c"):
                await asyncio.sleep(0.5)
                yield piece

        answer = await client.post("/echo", content=upload(), headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.text) == (200, "abc")


class TestLogs:
    @pytest.mark.parametrize("level", ["INFO", "WARNING"])
    async def test_a_line_for_each_request_is_information(
        self, settings: Settings, emulator: Emulator, capsys: pytest.CaptureFixture[str], level: str
    ) -> None:
        changed = settings.model_copy(update={"log_level": level, "log_format": "json"})
        app = create_app(changed, hubspot_transport=EmulatorTransport(emulator))
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app), base_url="http://crm.example"
        ) as client:
            answer = await client.get("/api/nothing?q=private")
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert [line["event"] for line in lines] == (["request"] if level == "INFO" else [])
        for line in lines:
            assert line["request_id"] == answer.headers["x-request-id"]
            assert (line["level"], line["logger"]) == ("info", "crm_api.access")
            assert (line["method"], line["route"], line["status"]) == ("GET", "unknown", 404)
            assert line["timestamp"].endswith("Z")

    async def test_a_full_disk_costs_nobody_an_answer(
        self, settings: Settings, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        refused = []

        class FullDisk(io.StringIO):
            def write(self, text: str) -> int:
                refused.append(text)
                raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr("sys.stdout", FullDisk())
        changed = settings.model_copy(update={"log_level": "INFO"})
        app = create_app(changed, hubspot_transport=EmulatorTransport(emulator))
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app), base_url="http://crm.example"
        ) as client:
            assert (await client.get("/healthz")).status_code == 200
        assert "/healthz" in "".join(refused)

    async def test_they_hold_no_personal_data(
        self, settings: Settings, emulator: Emulator, capsys: pytest.CaptureFixture[str]
    ) -> None:
        changed = settings.model_copy(update={"log_level": "DEBUG"})
        async with app_client(changed, emulator) as client:
            caller = await register_caller(client, "ada@example.com")
            await client.post("/api/register", json=registration_body(phone="nonsense"))
            await caller.post("/api/deals", deal_body(description="private"))
        written = "".join(capsys.readouterr())
        assert written.count("/api/register") == 2
        for secret in (
            "ada@example.com",
            "Lovelace",
            "20 7946 0018",
            PASSWORD,
            caller.tokens["access_token"],
            "test-access-token",
            "private",
        ):
            assert secret not in written
