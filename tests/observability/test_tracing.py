"""OpenTelemetry traces: spans sent to a collector, without personal data, and tracing switched off."""

import asyncio
import sys
import threading
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from fastapi import FastAPI
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from tests.support.builders import deal_body
from tests.support.callers import register_caller
from tests.support.emulator_transport import EmulatorTransport

from crm_api.main import create_app
from crm_api.settings import Settings
from hubspot_emulator import Emulator

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"

pytestmark = pytest.mark.parametrize("database_backend", ["sqlite"], indirect=True)


class Collector:
    """Stub of an OpenTelemetry collector."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                assert self.path == "/v1/traces"
                collector.bodies.append(self.rfile.read(int(self.headers["content-length"])))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Log nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def requests(self) -> list[ExportTraceServiceRequest]:
        return [ExportTraceServiceRequest.FromString(body) for body in self.bodies]

    def spans(self, name: str) -> list[Span]:
        """Return the exported spans whose names begin with `name`."""
        return [
            span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
            if span.name.startswith(name)
        ]


def attributes(span: Span) -> dict[str, str | int]:
    return {item.key: item.value.string_value or item.value.int_value for item in span.attributes}


@pytest.fixture
def collector() -> Generator[Collector, None, None]:
    collector = Collector()
    yield collector
    collector.close()


@asynccontextmanager
async def served(
    settings: Settings, emulator: Emulator, endpoint: str | None
) -> AsyncGenerator[tuple[FastAPI, httpx.AsyncClient], None]:
    """Serve the application; when it ends, it sends the remaining spans."""
    settings = settings.model_copy(update={"otel_exporter_otlp_endpoint": endpoint})
    app = create_app(settings, hubspot_transport=EmulatorTransport(emulator))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app, raise_app_exceptions=False), base_url="http://crm.example"
        ) as client,
    ):
        await app.state.startup_checks
        yield app, client


async def test_request_and_hubspot_attempts_share_one_trace(
    settings: Settings, emulator: Emulator, collector: Collector, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = settings.model_copy(update={"log_level": "INFO", "log_format": "json"})
    async with served(settings, emulator, collector.url) as (_, client):
        caller = await register_caller(client, "ada@example.com")
        await caller.get("/api/pipelines")
        emulator.clear_requests()
        emulator.fail_next("POST", "/crm/objects/*/deals", status=429, times=1)
        headers = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
        assert (await caller.post("/api/deals", deal_body(), headers=headers)).status_code == 201
        await client.get("/readyz")
    [span] = collector.spans("POST /api/deals")
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
    assert attributes(span)["http.route"] == "/api/deals"
    events = [event.name for any_span in collector.spans("") for event in any_span.events]
    # A busy machine may add waits.
    assert [name for name in events if not name.startswith("waited")] == ["retry"]
    refused, created = collector.spans("HubSpot deals.create")
    assert {attempt.trace_id.hex() for attempt in (refused, created)} == {TRACE}
    assert attributes(refused)["error.type"] == "HubSpotQuotaError"
    assert attributes(created) == {"hubspot.operation": "deals.create", "hubspot.attempt": 2}
    assert span.start_time_unix_nano <= created.start_time_unix_nano <= created.end_time_unix_nano
    assert not collector.spans("GET /readyz")
    # The log and the calls to HubSpot have the same trace ID.
    calls = [call for call in emulator.requests if call.path.startswith("/crm/objects/")]
    assert {call.headers["traceparent"].split("-")[1] for call in calls} == {TRACE}
    assert f'"trace_id": "{TRACE}"' in capsys.readouterr().out


async def test_traces_contain_no_personal_data(
    settings: Settings, emulator: Emulator, collector: Collector
) -> None:
    async with served(settings, emulator, collector.url) as (app, client):

        @app.get("/broken")
        async def broken() -> None:
            raise RuntimeError("a secret value")

        caller = await register_caller(client, "ada@example.com")
        deal = (await caller.post("/api/deals", deal_body())).json()["data"]["id"]
        await caller.get(f"/api/deals/{deal}")
        await caller.get("/api/search", params={"q": "Lovelace"})
        await caller.post("/api/deals", {"dealname": "Something private"})
        await client.get("/broken")
    sent = b"".join(collector.bodies)
    assert collector.spans("GET /api/deals/{id}")
    assert b"/api/search" in sent
    for secret in (deal, "Lovelace", "ada@example.com", "private", "a secret value", "test-access-token"):
        assert secret.encode() not in sent, secret


async def test_otel_environment_overrides_the_service_name(
    settings: Settings, emulator: Emulator, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = []
    for variable in (None, "our-crm"):
        if variable is not None:
            monkeypatch.setenv("OTEL_SERVICE_NAME", variable)
        collector.bodies.clear()
        async with served(settings, emulator, collector.url + "/") as (_, client):
            await client.get("/api/me")
        [request] = collector.requests
        resource = {
            item.key: item.value.string_value for item in request.resource_spans[0].resource.attributes
        }
        names.append(resource["service.name"])
        assert resource["service.version"] == "0.1.0"
    assert names == ["crm-api", "our-crm"]


async def test_tracing_is_off_without_the_endpoint_setting(
    settings: Settings, emulator: Emulator, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    # FastAPI's own switch would send queries and invalid values.
    monkeypatch.setenv("FASTAPI_OTEL_AUTO_CONFIGURE", "true")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    async with served(settings, emulator, None) as (app, client):
        assert app.state.tracing is None
        await register_caller(client, "ada@example.com")
        assert not any("traceparent" in request.headers for request in emulator.requests)
    assert collector.bodies == []


async def test_unreachable_trace_collector_does_not_fail_requests(
    settings: Settings, emulator: Emulator
) -> None:
    async with asyncio.timeout(60):
        async with served(settings, emulator, "http://127.0.0.1:9") as (_, client):
            caller = await register_caller(client, "ada@example.com")
            assert (await caller.post("/api/deals", deal_body())).status_code == 201
            started = time.monotonic()
        assert time.monotonic() - started < 20


async def test_service_starts_and_logs_if_otel_extra_is_missing(
    settings: Settings,
    emulator: Emulator,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    collector: Collector,
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    async with served(settings, emulator, collector.url) as (_, client):
        assert (await client.get("/healthz")).status_code == 200
    assert "install crm-api[otel]" in capsys.readouterr().out
    assert collector.bodies == []
