"""Middleware: response headers, trace context and the time limit."""

import asyncio
from collections.abc import AsyncGenerator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import Response, StreamingResponse
from tests.support.callers import Caller, assert_problem
from tests.support.processes import service_process

from crm_api.settings import Settings
from hubspot_emulator import Emulator


class TestHeaders:
    async def test_success_and_error_responses_have_a_request_id(self, client: httpx.AsyncClient) -> None:
        for path in ("/healthz", "/api/me", "/nothing", "/docs"):
            assert len((await client.get(path)).headers["x-request-id"]) == 32

    async def test_valid_request_id_is_used_and_invalid_ones_replaced(
        self, client: httpx.AsyncClient
    ) -> None:
        response = await client.get("/healthz", headers={"X-Request-ID": "front-end-0001"})
        assert response.headers["x-request-id"] == "front-end-0001"
        for invalid in ("short", "x" * 65, "has spaces in it", "new\tline-here"):
            response = await client.get("/healthz", headers={"X-Request-ID": invalid})
            assert response.headers["x-request-id"] != invalid

    async def test_response_401_has_security_headers(self, client: httpx.AsyncClient) -> None:
        headers = (await client.get("/api/me")).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert headers["cache-control"] == "no-store"
        assert "server" not in headers

    async def test_no_cors_origin_is_allowed_by_default(self, client: httpx.AsyncClient) -> None:
        response = await client.get("/healthz", headers={"Origin": "https://elsewhere.example"})
        assert "access-control-allow-origin" not in response.headers


class TestTraces:
    TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"

    async def test_hubspot_calls_continue_traceparent_with_new_span_id(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        emulator.clear_requests()
        headers = customer.headers | {"traceparent": f"00-{self.TRACE}-{self.PARENT}-01"}
        await customer.client.get("/api/new-crm-objects", headers=headers)
        # Reads that several requests share belong to no trace.
        own_calls = [request for request in emulator.requests if request.path.startswith("/crm/objects/")]
        [sent] = {request.headers["traceparent"] for request in own_calls}
        version, trace, span, flags = sent.split("-")
        assert (version, trace, flags) == ("00", self.TRACE, "01")
        assert span != self.PARENT

    @pytest.mark.parametrize(
        "traceparent", ["", "nonsense", f"00-{'0' * 32}-{PARENT}-01", f"00-{TRACE}-{PARENT}"]
    )
    async def test_invalid_traceparent_is_not_sent_to_hubspot(
        self, customer: Caller, emulator: Emulator, traceparent: str
    ) -> None:
        await customer.client.get(
            "/api/new-crm-objects", headers=customer.headers | {"traceparent": traceparent}
        )
        assert not any("traceparent" in request.headers for request in emulator.requests)


class TestDeadline:
    """A request ends at most one second after its deadline."""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"request_deadline_seconds": 0.2})

    async def test_route_that_never_returns_gives_503(self, client: httpx.AsyncClient, app: FastAPI) -> None:
        ended = asyncio.Event()

        @app.get("/endless")
        async def endless() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

        async with asyncio.timeout(10):
            response = await client.get("/endless")
        assert_problem(response, 503, "service_unavailable")
        assert response.headers["retry-after"] == "5"
        assert ended.is_set()


class TestSlowNetwork:
    """Time passes in the loop's clock only, so that a busy machine does not reach the deadline."""

    DEADLINE_SECONDS = 60.0

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"request_deadline_seconds": self.DEADLINE_SECONDS})

    async def test_slow_upload_and_download_do_not_time_out(
        self, client: httpx.AsyncClient, app: FastAPI, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        loop = asyncio.get_running_loop()
        real_time, passed = loop.time, 0.0
        monkeypatch.setattr(loop, "time", lambda: real_time() + passed)

        async def wait_for_network() -> None:
            nonlocal passed
            passed += self.DEADLINE_SECONDS * 2 / 3
            # Timers that are due run before the next step.
            await asyncio.sleep(0)
            await asyncio.sleep(0)

        @app.post("/echo")
        async def echo(request: Request) -> StreamingResponse:
            body = await request.body()

            async def chunks() -> AsyncGenerator[bytes, None]:
                for byte in body:
                    await wait_for_network()
                    yield bytes([byte])

            return StreamingResponse(chunks())

        async def upload() -> AsyncGenerator[bytes, None]:
            for chunk in (b"a", b"b", b"c"):
                await wait_for_network()
                yield chunk

        response = await client.post("/echo", content=upload(), headers={"Content-Type": "application/json"})
        assert (response.status_code, response.text) == (200, "abc")
        assert passed == 4 * self.DEADLINE_SECONDS


class TestHead:
    @pytest.mark.parametrize("role", ["anonymous", "customer", "staff"])
    async def test_head_has_status_and_headers_of_get_without_body(
        self, client: httpx.AsyncClient, customer: Caller, staff: Caller, app: FastAPI, role: str
    ) -> None:
        headers = {"anonymous": {}, "customer": customer.headers, "staff": staff.headers}[role]
        document = (await client.get("/openapi.json")).json()
        paths = [path for path, item in document["paths"].items() if "get" in item]
        assert {"/healthz", "/readyz", "/api/deals", "/api/deals/{id}"} <= set(paths)
        for template in (*paths, "/", "/docs", "/openapi.json", "/docs/assets/start.js"):
            path = template.replace("{id}", "1").replace("{object_type}", "deals")
            head = await client.head(path, headers=headers)
            get = await client.get(path, headers=headers)
            assert (head.status_code, head.content) == (get.status_code, b""), path
            changing = {"x-request-id", "content-length"}
            assert set(head.headers) == set(get.headers), path
            for name in set(get.headers) - changing:
                assert head.headers[name] == get.headers[name], (path, name)

    async def test_head_of_path_without_get_returns_405(self, client: httpx.AsyncClient) -> None:
        response = await client.head("/api/login")
        assert (response.status_code, response.headers["allow"]) == (405, "POST")
        assert (await client.head("/nothing")).status_code == 404

    async def test_allow_lists_head_where_get_is_allowed(self, client: httpx.AsyncClient) -> None:
        assert (await client.put("/healthz")).headers["allow"] == "GET, HEAD"
        assert (await client.put("/api/deals")).headers["allow"] == "GET, HEAD, POST"

    async def test_head_is_counted_with_its_method_and_route(self, customer: Caller, app: FastAPI) -> None:
        await customer.client.head("/api/deals/1", headers=customer.headers)
        labels = {"method": "HEAD", "route": "/api/deals/{id}", "status": "404"}
        assert app.state.metrics.registry.get_sample_value("crm_api_requests_total", labels) == 1

    @pytest.mark.parametrize("database_backend", ["sqlite"])
    async def test_served_head_sends_no_body(self, database_url: str, tmp_path: Path) -> None:
        with service_process(
            tmp_path, database_url=database_url, hubspot_url="http://127.0.0.1:9"
        ) as service:
            connection = HTTPConnection(httpx.URL(service.url).netloc.decode(), timeout=30)
            # A body would be read as the beginning of the next response on this connection.
            for method in ("HEAD", "HEAD", "GET"):
                connection.request(method, "/healthz")
                response = connection.getresponse()
                assert (response.status, response.headers["Content-Length"]) == (200, "18")
                assert response.read() == (b'{"status":"alive"}' if method == "GET" else b"")
            connection.close()


class TestLargeResponses:
    """A server returns from the second `send` of a body when the client has read most of the first."""

    @pytest.mark.parametrize(
        ("size", "expected"), [(65_536, [(65_536, False)]), (65_537, [(65_537, True), (0, False)])]
    )
    async def test_end_of_large_response_is_sent_separately(
        self, app: FastAPI, size: int, expected: list[tuple[int, bool]]
    ) -> None:
        @app.get("/large")
        async def large() -> Response:
            return Response(b"a" * size)

        messages: list[dict[str, Any]] = []

        async def record(scope: Any, receive: Any, send: Any) -> None:
            async def send_and_record(message: Any) -> None:
                messages.append(message)
                await send(message)

            await app(scope, receive, send_and_record)

        transport = httpx.ASGITransport(app=record)
        async with httpx.AsyncClient(transport=transport, base_url="http://crm.example") as client:
            response = await client.get("/large")
        assert len(response.content) == size
        bodies = [message for message in messages if message["type"] == "http.response.body"]
        sent = [(len(message.get("body", b"")), message.get("more_body", False)) for message in bodies]
        assert sent == expected
