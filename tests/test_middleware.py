"""Middleware: response headers, trace context and the time limit."""

import asyncio
from collections.abc import AsyncGenerator

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from tests.support.callers import Caller, assert_problem

from crm_api.settings import Settings
from hubspot_emulator import Emulator


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
