"""Several processes on one PostgreSQL and one Valkey: rolling restarts and shared state."""

import asyncio
import signal
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from tests.hubspot_emulator.conftest import served
from tests.support.builders import PASSWORD, deal_body
from tests.support.callers import register_caller
from tests.support.emulator_transport import EmulatorTransport
from tests.support.fault_run import FaultRun
from tests.support.mail import Mailbox
from tests.support.processes import Process, service_process
from tests.support.round_robin import RoundRobin

from crm_api.hubspot import HubSpotClient, LocalQuota, StaticTokenAuth
from crm_api.main import create_app
from crm_api.services.hubspot_account.provisioning import provision
from crm_api.services.properties.categories import TICKET_CATEGORIES
from crm_api.settings import Settings
from hubspot_emulator import Emulator

USERS, DEALS, TICKETS = 10, 120, 120


@pytest.mark.parametrize("database_backend", ["postgresql"], indirect=True)
async def test_each_create_happens_once_while_processes_end(
    tmp_path: Path, database_url: str, valkey_url: str, emulator: Emulator
) -> None:
    with served(emulator) as hubspot_url:
        hubspot = HubSpotClient(
            base_url=hubspot_url, auth=StaticTokenAuth("t"), quota=LocalQuota(burst_limit=10_000)
        )
        await provision(hubspot, TICKET_CATEGORIES)
        await hubspot.aclose()
        with ExitStack() as stack:
            servers = [
                stack.enter_context(
                    service_process(
                        tmp_path,
                        database_url=database_url,
                        hubspot_url=hubspot_url,
                        REDIS_URL=valkey_url,
                        REQUEST_DEADLINE_SECONDS="2",
                        HUBSPOT_BURST_LIMIT="10000",
                        RATE_LIMIT_USER="10000 per 1 minute",
                    )
                )
                for _ in range(3)
            ]
            transport = RoundRobin(servers)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://crm.example", timeout=20
            ) as client:
                await _create_records_while_servers_end(client, servers, emulator)
    drained = transport.statuses[1]
    print("statuses by server:", transport.statuses)  # noqa: T201 - shown by pytest -s
    assert drained[201] > 0
    assert not [status for status in drained if status >= 500]


async def _create_records_while_servers_end(
    client: httpx.AsyncClient, servers: list[Process], emulator: Emulator
) -> None:
    """Kill the first server after a quarter of the deals, and stop the second after half of them."""
    callers = [await register_caller(client, f"user{number}@example.com") for number in range(USERS)]
    run = FaultRun()
    creation = asyncio.create_task(run.create_all(callers, deals=DEALS, tickets=TICKETS))
    await run.wait_for_deals(DEALS // 4)
    servers[0].kill()
    await run.wait_for_deals(DEALS // 2)
    servers[1].signal_group(signal.SIGTERM)
    await creation
    assert servers[1].wait(15) == 0
    print("outcomes of the creates:", run.outcomes)  # noqa: T201
    assert (len(run.deals), len(run.tickets)) == (DEALS, TICKETS)
    run.assert_each_created_once(emulator)
    # Sessions remain valid on the remaining server.
    assert {(await caller.get("/api/me")).status_code for caller in callers} == {200}


@pytest.mark.parametrize("database_backend", ["postgresql"], indirect=True)
async def test_two_applications_share_keys_sessions_and_rate_limits(
    settings: Settings, emulator: Emulator, valkey_url: str
) -> None:
    shared = settings.model_copy(update={"redis_url": SecretStr(valkey_url)})
    async with AsyncExitStack() as stack:
        first, second = [await _replica(stack, shared, emulator) for _ in range(2)]
        caller = await register_caller(first, "replicas@example.com")
        elsewhere = replace(caller, client=second)
        assert (await elsewhere.get("/api/me")).status_code == 200
        # One key creates one record, also if both processes get it at the same time.
        key = {"Idempotency-Key": "sequential"}
        created = await caller.post("/api/deals", deal_body(), headers=key)
        replayed = await elsewhere.post("/api/deals", deal_body(), headers=key)
        assert (created.status_code, replayed.status_code) == (201, 201)
        assert replayed.headers["idempotency-replayed"] == "true"
        assert replayed.json() == created.json()
        key = {"Idempotency-Key": "concurrent"}
        responses = await asyncio.gather(
            caller.post("/api/deals", deal_body(), headers=key),
            elsewhere.post("/api/deals", deal_body(), headers=key),
        )
        assert sorted(response.status_code for response in responses) in ([201, 201], [201, 409])
        deals = (await elsewhere.get("/api/deals")).json()["data"]["results"]
        assert len(deals) == 2
        # A logout on one process ends the session on the other.
        assert (await elsewhere.post("/api/logout", {})).status_code == 204
        assert (await caller.get("/api/me")).status_code == 401
        # Failed logins on both processes count together.
        wrong = {"email": caller.email, "password": "not the password"}
        statuses = [
            (await client.post("/api/login", json=wrong)).status_code for client in (first, second) * 3
        ]
        assert statuses == [401] * 5 + [429]


async def _replica(stack: AsyncExitStack, settings: Settings, emulator: Emulator) -> httpx.AsyncClient:
    app = create_app(settings, hubspot_transport=EmulatorTransport(emulator))
    await stack.enter_async_context(app.router.lifespan_context(app))
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    return await stack.enter_async_context(
        httpx.AsyncClient(transport=transport, base_url="http://crm.example")
    )


@pytest.mark.parametrize("database_backend", ["postgresql"], indirect=True)
async def test_three_processes_share_the_limits_of_users_and_logins(
    tmp_path: Path, database_url: str, valkey_url: str, emulator: Emulator, mailbox: Mailbox
) -> None:
    limits = {
        "REDIS_URL": valkey_url,
        "HUBSPOT_DAILY_LIMIT_PER_USER": "6",
        "RATE_LIMIT_LOGINS_PER_ADDRESS": "14 per 1 hour",
        "RATE_LIMIT_FAILED_LOGINS_PER_ACCOUNT": "4 per 1 hour",
        "RATE_LIMIT_MAILS_PER_RECIPIENT": "4 per 1 hour",
    }
    async with three_processes(tmp_path, database_url, emulator, mailbox, limits) as client:
        caller = await register_caller(client, "caller@example.com")
        other = await register_caller(client, "other@example.com")
        # HubSpot calls of one user: at least one for each list.
        statuses = [(await caller.get("/api/deals")).status_code for _ in range(9)]
        assert statuses == sorted(statuses)
        assert statuses.count(200) <= 7
        assert statuses[-1] == 429
        assert (await other.get("/api/deals")).status_code == 200
        # Mails to one recipient.
        statuses = [await request_mail(client) for _ in range(6)]
        assert statuses == [202] * 4 + [429] * 2
        # Failed logins of one account; two logins came before.
        statuses = [await log_in(client, caller.email, "guess") for _ in range(6)]
        assert statuses == [401] * 4 + [429] * 2
        # Logins from one address: eight came before, and 14 are allowed. The first session of the user has ended,
        # because two sessions are allowed.
        statuses = [await log_in(client, other.email, PASSWORD) for _ in range(8)]
        assert statuses == [200] * 6 + [429] * 2
        assert (await other.get("/api/me")).status_code == 401


@pytest.mark.parametrize("database_backend", ["postgresql"], indirect=True)
async def test_without_redis_each_of_three_processes_has_all_limits(
    tmp_path: Path, database_url: str, emulator: Emulator, mailbox: Mailbox
) -> None:
    limits = {
        "HUBSPOT_DAILY_LIMIT_PER_USER": "4",
        "RATE_LIMIT_FAILED_LOGINS_PER_ACCOUNT": "2 per 1 hour",
        "RATE_LIMIT_MAILS_PER_RECIPIENT": "2 per 1 hour",
    }
    async with three_processes(tmp_path, database_url, emulator, mailbox, limits) as client:
        caller = await register_caller(client, "caller@example.com")
        # Each of the three processes gets every third request, and counts alone.
        statuses = [(await caller.get("/api/deals")).status_code for _ in range(15)]
        assert statuses[:3] == [200] * 3
        assert statuses[-3:] == [429] * 3
        statuses = [await request_mail(client) for _ in range(9)]
        assert statuses == [202] * 6 + [429] * 3
        statuses = [await log_in(client, caller.email, "guess") for _ in range(9)]
        assert statuses == [401] * 6 + [429] * 3
        # Sessions are in the database: the third login ends the first session in all processes.
        other = await register_caller(client, "other@example.com")
        for _ in range(2):
            assert await log_in(client, other.email, PASSWORD) == 200
        assert [(await other.get("/api/me")).status_code for _ in range(3)] == [401] * 3


@asynccontextmanager
async def three_processes(
    folder: Path, database_url: str, emulator: Emulator, mailbox: Mailbox, limits: dict[str, Any]
) -> AsyncGenerator[httpx.AsyncClient, None]:
    """Start three processes with these limits and yield a client that uses them in turn."""
    with served(emulator) as hubspot_url, ExitStack() as stack:
        servers = [
            stack.enter_context(
                service_process(
                    folder,
                    database_url=database_url,
                    hubspot_url=hubspot_url,
                    SMTP_URL=mailbox.url,
                    MAX_SESSIONS_PER_USER="2",
                    **limits,
                )
            )
            for _ in range(3)
        ]
        async with httpx.AsyncClient(
            transport=RoundRobin(servers), base_url="http://crm.example", timeout=30
        ) as client:
            yield client


async def request_mail(client: httpx.AsyncClient) -> int:
    response = await client.post("/api/password/forgot", json={"email": "recipient@example.com"})
    return response.status_code


async def log_in(client: httpx.AsyncClient, email: str, password: str) -> int:
    return (await client.post("/api/login", json={"email": email, "password": password})).status_code
