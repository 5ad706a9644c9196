"""Outages of database, Redis and HubSpot under load, and recovery without a restart.

The environment variable OUTAGE_SECONDS makes the outages longer.
"""

import asyncio
import os
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx
import pytest
from pydantic import SecretStr
from tests.hubspot_emulator.conftest import served
from tests.support.builders import PASSWORD
from tests.support.callers import Caller, register_caller
from tests.support.emulator_transport import EmulatorTransport
from tests.support.tcp_proxy import ProxyState, TcpProxy

from crm_api.main import create_app
from crm_api.settings import Settings
from hubspot_emulator import Emulator

OUTAGE_SECONDS = float(os.environ.get("OUTAGE_SECONDS", "4"))
WORKERS = 8

pytestmark = pytest.mark.parametrize("database_backend", ["postgresql"], indirect=True)


@dataclass
class Load:
    """Workers that repeat a request, and their results."""

    results: list[tuple[float, float, httpx.Response]] = field(default_factory=list)
    """Start time, duration and response of each request."""

    @asynccontextmanager
    async def repeat(self, send: Callable[[], Awaitable[httpx.Response]]) -> AsyncGenerator[None, None]:
        """Send with several workers while the block runs."""
        done = asyncio.Event()

        async def work() -> None:
            while not done.is_set():
                started = time.monotonic()
                response = await send()
                self.results.append((started, time.monotonic() - started, response))
                await asyncio.sleep(0.02)

        tasks = [asyncio.create_task(work()) for _ in range(WORKERS)]
        try:
            yield
        finally:
            done.set()
            await asyncio.gather(*tasks)

    def statuses(self, since: float = 0.0) -> Counter[int]:
        return Counter(response.status_code for started, _, response in self.results if started >= since)

    @property
    def max_seconds(self) -> float:
        return max(seconds for _, seconds, _ in self.results)


@asynccontextmanager
async def service(
    settings: Settings, transport: httpx.AsyncBaseTransport | None
) -> AsyncGenerator[httpx.AsyncClient, None]:
    app = create_app(settings, hubspot_transport=transport)
    inner = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=inner, base_url="http://crm.example") as client,
    ):
        yield client


async def recovery_seconds(caller: Caller, path: str) -> float:
    """Return the seconds until the first 200. Fails after 15 seconds."""
    started = time.monotonic()
    while True:
        if (await caller.get(path)).status_code == 200:
            return time.monotonic() - started
        assert time.monotonic() - started < 15
        await asyncio.sleep(0.1)


@pytest.mark.parametrize("outage", ["closed", "unresponsive"])
async def test_database_outage_returns_503_and_recovers(
    settings: Settings, emulator: Emulator, outage: ProxyState
) -> None:
    parts = urlsplit(settings.database_url)
    proxy = TcpProxy(parts.port or 5432)
    await proxy.open()
    url = parts._replace(netloc=parts.netloc.rpartition("@")[0] + f"@127.0.0.1:{proxy.port}").geturl()
    changes = {"database_url": url, "rate_limit_user": "1000000 per 1 minute"}
    async with service(settings.model_copy(update=changes), EmulatorTransport(emulator)) as client:
        caller = await register_caller(client, "ada@example.com")
        load = Load()
        async with load.repeat(lambda: caller.get("/api/me")):
            await asyncio.sleep(0.3)
            await proxy.set_state(outage)
            await asyncio.sleep(OUTAGE_SECONDS)
            await proxy.open()
            await recovery_seconds(caller, "/api/me")
            recovered_at = time.monotonic()
            await asyncio.sleep(0.5)
        refusals = [response for _, _, response in load.results if response.status_code != 200]
        # If the database is unresponsive for a short time, requests wait and succeed.
        assert refusals or (outage == "unresponsive" and OUTAGE_SECONDS < 5)
        assert {response.status_code for response in refusals} <= {503}
        assert {response.json()["code"] for response in refusals} <= {"service_unavailable"}
        assert all(response.headers["retry-after"] for response in refusals)
        assert load.max_seconds < settings.request_deadline_seconds
        assert set(load.statuses(since=recovered_at + 0.2)) == {200}
    await proxy.close()


@asynccontextmanager
async def refusing_server(sqlstate: str) -> AsyncGenerator[int, None]:
    """Serve a port that refuses every connection, as PostgreSQL does while it starts or is full."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(8)  # the request for TLS
        writer.write(b"N")
        await reader.read(4096)
        fields = b"SFATAL\0VFATAL\0C" + sqlstate.encode() + b"\0Mnot now\0\0"
        writer.write(b"E" + (len(fields) + 4).to_bytes(4, "big") + fields)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize(
    ("sqlstate", "problem"),
    [
        ("57P03", "CannotConnectNowError"),
        ("53300", "TooManyConnectionsError"),
        ("28P01", "InvalidPasswordError"),
        ("3D000", "InvalidCatalogNameError"),
    ],
)
async def test_refused_database_connections_return_503(
    settings: Settings, emulator: Emulator, sqlstate: str, problem: str
) -> None:
    async with refusing_server(sqlstate) as port:
        url = f"postgresql://crm:hidden@127.0.0.1:{port}/crm"
        changed = settings.model_copy(update={"database_url": url})
        async with service(changed, EmulatorTransport(emulator)) as client:
            login = {"email": "ada@example.com", "password": PASSWORD}
            response = await client.post("/api/login", json=login)
            assert (response.status_code, response.json()["code"]) == (503, "service_unavailable")
            readiness = await client.get("/readyz")
            assert (readiness.status_code, readiness.json()["database"]["problem"]) == (503, problem)


async def test_unknown_database_host_returns_503(settings: Settings, emulator: Emulator) -> None:
    changed = settings.model_copy(update={"database_url": "postgresql://crm@nowhere.invalid/crm"})
    async with service(changed, EmulatorTransport(emulator)) as client:
        login = {"email": "ada@example.com", "password": PASSWORD}
        response = await client.post("/api/login", json=login)
        assert (response.status_code, response.json()["code"]) == (503, "service_unavailable")
        assert (await client.get("/readyz")).json()["database"]["problem"] == "gaierror"


async def test_unresponsive_database_returns_503_near_the_deadline(
    settings: Settings, emulator: Emulator
) -> None:
    parts = urlsplit(settings.database_url)
    proxy = TcpProxy(parts.port or 5432)
    await proxy.open()
    url = parts._replace(netloc=parts.netloc.rpartition("@")[0] + f"@127.0.0.1:{proxy.port}").geturl()
    changes = {"database_url": url, "request_deadline_seconds": 0.5}
    async with service(settings.model_copy(update=changes), EmulatorTransport(emulator)) as client:
        caller = await register_caller(client, "ada@example.com")
        await proxy.set_state("unresponsive")
        started = time.monotonic()
        response = await caller.get("/api/me")
        assert (response.status_code, response.json()["code"]) == (503, "service_unavailable")
        # The deadline, one second, and 2 s in which SQLAlchemy closes the connection; the timeouts alone are 7 s.
        assert time.monotonic() - started < 6
        await proxy.open()
        await recovery_seconds(caller, "/api/me")
    await proxy.close()


@pytest.mark.parametrize("outage", ["closed", "unresponsive"])
async def test_requests_succeed_during_a_redis_outage(
    settings: Settings, emulator: Emulator, valkey_url: str, outage: ProxyState
) -> None:
    proxy = TcpProxy(urlsplit(valkey_url).port or 6379)
    await proxy.open()
    changes = {
        "redis_url": SecretStr(f"redis://127.0.0.1:{proxy.port}/0"),
        "rate_limit_user": "1000000 per 1 minute",
    }
    async with service(settings.model_copy(update=changes), EmulatorTransport(emulator)) as client:
        caller = await register_caller(client, "ada@example.com")
        load = Load()
        async with load.repeat(lambda: caller.get("/api/new-crm-objects")):
            await asyncio.sleep(0.3)
            await proxy.set_state(outage)
            await asyncio.sleep(OUTAGE_SECONDS)
            # Rate limits still apply, in this process.
            wrong_login = {"email": caller.email, "password": "wrong-one"}
            statuses = [(await client.post("/api/login", json=wrong_login)).status_code for _ in range(6)]
            assert statuses == [401] * 5 + [429]
            assert (await client.get("/readyz")).json()["status"] == "degraded"
            await proxy.open()
            await asyncio.sleep(1.5)
        assert set(load.statuses()) == {200}
        assert load.max_seconds < settings.request_deadline_seconds
        assert (await client.get("/readyz")).json()["status"] == "ready"
    await proxy.close()


@pytest.mark.parametrize("outage", ["closed", "unresponsive"])
async def test_login_refresh_and_me_succeed_during_hubspot_outage(
    settings: Settings, emulator: Emulator, outage: ProxyState
) -> None:
    with served(emulator) as url:
        proxy = TcpProxy(urlsplit(url).port or 80)
        await proxy.open()
        changes = {
            "hubspot_base_url": f"http://127.0.0.1:{proxy.port}",
            "rate_limit_user": "1000000 per 1 minute",
        }
        async with service(settings.model_copy(update=changes), None) as client:
            caller = await register_caller(client, "ada@example.com")
            load = Load()
            async with load.repeat(lambda: caller.get("/api/new-crm-objects")):
                await asyncio.sleep(0.3)
                await proxy.set_state(outage)
                await asyncio.sleep(OUTAGE_SECONDS)
                # Operations without HubSpot calls still succeed.
                login_body = {"email": caller.email, "password": PASSWORD}
                login = await client.post("/api/login", json=login_body)
                assert login.status_code == 200
                refresh = {"refresh_token": login.json()["data"]["refresh_token"]}
                assert (await client.post("/api/token/refresh", json=refresh)).status_code == 200
                assert (await caller.get("/api/me")).status_code == 200
                sent = len(emulator.requests)
                await proxy.open()
                await recovery_seconds(caller, "/api/new-crm-objects")
                recovered_at = time.monotonic()
                await asyncio.sleep(0.5)
            assert set(load.statuses()) <= {200, 502, 503, 504}
            # If HubSpot is unresponsive for a short time, too few calls time out to open the circuit breaker.
            assert load.statuses()[503] > 0 or (outage == "unresponsive" and OUTAGE_SECONDS < 10)
            assert load.max_seconds < settings.request_deadline_seconds + 0.5
            assert set(load.statuses(since=recovered_at + 0.2)) == {200}
            assert len(emulator.requests) > sent
        await proxy.close()
