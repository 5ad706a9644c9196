"""A fail-over that leaves the service connected to a standby."""

import asyncio
import logging
from collections.abc import Callable
from urllib.parse import urlsplit

import httpx
import pytest
from tests.database.conftest import with_port
from tests.support.builders import PASSWORD
from tests.support.callers import Caller, app_client, register_caller
from tests.support.postgres import PostgresServer
from tests.support.tcp_proxy import TcpProxy

from crm_api.settings import Settings
from hubspot_emulator import Emulator

pytestmark = pytest.mark.parametrize("database_backend", ["postgresql"], indirect=True)


async def log_in(caller: Caller) -> httpx.Response:
    return await caller.client.post("/api/login", json={"email": caller.email, "password": PASSWORD})


async def test_standby_is_an_outage_until_the_primary_is_back(
    settings: Settings,
    emulator: Emulator,
    proxy: TcpProxy,
    start_standby: Callable[[], PostgresServer],
    caplog: pytest.LogCaptureFixture,
) -> None:
    primary_port = proxy.target_port
    changes = {"database_url": with_port(settings.database_url, proxy.port)}
    async with app_client(settings.model_copy(update=changes), emulator) as client:
        caller = await register_caller(client, "ada@example.com")
        standby = await asyncio.to_thread(start_standby)
        proxy.target_port = urlsplit(standby.url).port or 0
        proxy.drop_connections()
        with caplog.at_level(logging.WARNING):
            refusals = [await log_in(caller) for _ in range(4)]
            readiness = await client.get("/readyz")
        assert {(refusal.status_code, refusal.json()["code"]) for refusal in refusals} == {
            (503, "service_unavailable")
        }
        assert all(refusal.headers["retry-after"] for refusal in refusals)
        assert readiness.status_code == 503
        assert readiness.json()["database"]["problem"] == "it is read-only, perhaps a standby"
        assert not [
            record for record in caplog.records if record.exc_info or record.levelno > logging.WARNING
        ]
        # The connections to the standby stay open, as those through a load balancer or to a demoted server do.
        assert (await caller.get("/api/me")).status_code == 200
        proxy.target_port = primary_port
        statuses = [(await log_in(caller)).status_code for _ in range(3)]
        assert statuses[1:] == [200, 200]
        assert (await client.get("/readyz")).status_code == 200


async def test_readiness_probes_alone_leave_the_standby(
    settings: Settings, emulator: Emulator, proxy: TcpProxy, start_standby: Callable[[], PostgresServer]
) -> None:
    primary_port = proxy.target_port
    standby = await asyncio.to_thread(start_standby)
    proxy.target_port = urlsplit(standby.url).port or 0
    changes = {"database_url": with_port(settings.database_url, proxy.port)}
    async with app_client(settings.model_copy(update=changes), emulator) as client:
        assert (await client.get("/readyz")).status_code == 503
        proxy.target_port = primary_port
        # A load balancer sends no other requests while `/readyz` is 503.
        assert (await client.get("/readyz")).status_code == 200
