"""Three processes over one PostgreSQL and one Valkey: one is killed and one drained while people work."""

import asyncio
import itertools
import signal
from collections import Counter
from contextlib import AsyncExitStack, ExitStack
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr
from tests.hubspot_emulator.conftest import served
from tests.support.builders import deal_body
from tests.support.callers import Caller, register_caller
from tests.support.emulator_transport import EmulatorTransport
from tests.support.fault_run import FaultRun
from tests.support.processes import Process, service_process

from crm_api.hubspot import HubSpotClient, LocalQuota, StaticTokenAuth
from crm_api.main import create_app
from crm_api.services.hubspot_account.provisioning import provision
from crm_api.services.properties.mapping import TICKET_CATEGORIES
from crm_api.settings import Settings
from hubspot_emulator import Emulator

USERS, DEALS, TICKETS = 10, 120, 120


class RoundRobin(httpx.AsyncBaseTransport):
    """Sends each request to the next server, and to the one after it where nobody listens."""

    def __init__(self, servers: list[Process]) -> None:
        self._servers = servers
        self._turn = itertools.cycle(range(len(servers)))
        self._inner = httpx.AsyncHTTPTransport()
        self.answers: dict[int, Counter[int]] = {number: Counter() for number in range(len(servers))}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        for _ in self._servers:
            number = next(self._turn)
            target = httpx.URL(self._servers[number].url)
            request.url = request.url.copy_with(host=target.host, port=target.port, scheme=target.scheme)
            try:
                answer = await self._inner.handle_async_request(request)
            except httpx.ConnectError:
                continue
            self.answers[number][answer.status_code] += 1
            return answer
        raise httpx.ConnectError("no server is left")

    async def aclose(self) -> None:
        await self._inner.aclose()


@pytest.mark.parametrize("database_backend", ["postgresql"], indirect=True)
async def test_no_write_is_lost_or_doubled_while_processes_come_and_go(
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
                await _work_while_servers_go(client, servers, emulator)
    drained = transport.answers[1]
    print("answers by server:", transport.answers)  # noqa: T201 - counts, for whoever runs it with -s
    assert drained[201] > 0
    assert not [status for status in drained if status >= 500]


async def _work_while_servers_go(
    client: httpx.AsyncClient, servers: list[Process], emulator: Emulator
) -> None:
    """A quarter through the first server is killed, half through the second is told to stop."""
    callers: list[Caller] = [
        await register_caller(client, f"user{number}@example.com") for number in range(USERS)
    ]
    run = FaultRun()
    working = asyncio.create_task(run.create_all(callers, deals=DEALS, tickets=TICKETS))
    await run.wait_for_deals(DEALS // 4)
    servers[0].kill()
    await run.wait_for_deals(DEALS // 2)
    servers[1].signal_group(signal.SIGTERM)
    await working
    assert servers[1].wait(15) == 0
    print("answers to the creating requests:", run.outcomes)  # noqa: T201
    assert (len(run.deals), len(run.tickets)) == (DEALS, TICKETS)
    run.assert_each_created_once(emulator)
    # Sessions go on with whoever is left.
    assert {(await caller.get("/api/me")).status_code for caller in callers} == {200}


@pytest.mark.parametrize("database_backend", ["postgresql"], indirect=True)
async def test_what_one_process_did_the_other_knows_at_once(
    settings: Settings, emulator: Emulator, valkey_url: str
) -> None:
    shared = settings.model_copy(update={"redis_url": SecretStr(valkey_url)})
    async with AsyncExitStack() as stack:
        one, other = [await _replica(stack, shared, emulator) for _ in range(2)]
        caller = await register_caller(one, "replicas@example.com")
        elsewhere = replace(caller, client=other)
        assert (await elsewhere.get("/api/me")).status_code == 200
        # One key is one record, one after the other and both at once.
        key = {"Idempotency-Key": "first-of-two"}
        first = await caller.post("/api/deals", deal_body(), headers=key)
        again = await elsewhere.post("/api/deals", deal_body(), headers=key)
        assert (first.status_code, again.status_code) == (201, 201)
        assert again.headers["idempotency-replayed"] == "true"
        assert again.json() == first.json()
        key = {"Idempotency-Key": "both-at-once"}
        both = await asyncio.gather(
            caller.post("/api/deals", deal_body(), headers=key),
            elsewhere.post("/api/deals", deal_body(), headers=key),
        )
        assert sorted(answer.status_code for answer in both) in ([201, 201], [201, 409])
        deals = (await elsewhere.get("/api/deals")).json()["data"]["results"]
        assert len(deals) == 2
        # A session that ends in one has ended in the other.
        assert (await elsewhere.post("/api/logout", {})).status_code == 204
        assert (await caller.get("/api/me")).status_code == 401
        # Guesses count wherever they are made.
        wrong = {"email": caller.email, "password": "not the password"}
        statuses = [
            (await client.post("/api/login", json=wrong)).status_code
            for client in (one, other, one, other, one, other)
        ]
        assert statuses == [401] * 5 + [429]


async def _replica(stack: AsyncExitStack, settings: Settings, emulator: Emulator) -> httpx.AsyncClient:
    app = create_app(settings, hubspot_transport=EmulatorTransport(emulator))
    await stack.enter_async_context(app.router.lifespan_context(app))
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    return await stack.enter_async_context(
        httpx.AsyncClient(transport=transport, base_url="http://crm.example")
    )
