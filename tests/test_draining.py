"""Graceful shutdown of processes: notice on /readyz, running requests, closed sockets."""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import pytest
from tests.support.builders import deal_body
from tests.support.callers import register_caller
from tests.support.processes import emulator_process, service_process

from crm_api.cli.serve import drain_seconds
from crm_api.draining import end_tasks
from crm_api.settings import Settings


async def wait_until(condition: Callable[[], Awaitable[bool]]) -> None:
    deadline = time.monotonic() + 30
    while not await condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("database_backend", ["postgresql"], indirect=True)
async def test_running_request_finishes_during_shutdown(
    tmp_path: Path, database_url: str, workers: int
) -> None:
    with (
        emulator_process(tmp_path, "--latency-ms", "3000") as emulator,
        service_process(
            tmp_path,
            database_url=database_url,
            hubspot_url=emulator.url,
            workers=workers,
            # The request makes at least two HubSpot calls, so it takes twice as long as the notice.
            SHUTDOWN_NOTICE_SECONDS="3",
            REQUEST_DEADLINE_SECONDS="30",
        ) as service,
    ):

        async def new_connection(path: str) -> httpx.Response:
            async with httpx.AsyncClient(base_url=service.url, timeout=5) as client:
                return await client.get(path)

        async def is_unready() -> bool:
            return (await new_connection("/readyz")).status_code == 503

        async def is_refused() -> bool:
            try:
                await new_connection("/healthz")
            except httpx.ConnectError:
                return True
            return False

        async with (
            httpx.AsyncClient(base_url=service.url, timeout=60) as client,
            httpx.AsyncClient(base_url=service.url) as idle,
        ):
            # An idle connection must not delay the shutdown.
            await idle.get("/healthz")
            caller = await register_caller(client, "ada@example.com")
            running = asyncio.create_task(caller.post("/api/deals", deal_body()))
            await asyncio.sleep(0.2)
            service.send_signal(signal.SIGTERM)
            await wait_until(is_unready)
            # During the notice, requests get responses that close their connection.
            response = await caller.get("/api/me")
            assert (response.status_code, response.headers["connection"]) == (200, "close")
            await wait_until(is_refused)
            # The server stopped listening while the HubSpot call was running.
            assert not running.done()
            assert (await running).status_code == 201
        assert service.wait(40) == 0


@pytest.mark.parametrize("database_backend", ["sqlite"], indirect=True)
async def test_second_sigterm_does_not_shorten_the_shutdown_notice(tmp_path: Path, database_url: str) -> None:
    with service_process(
        tmp_path,
        database_url=database_url,
        hubspot_url="http://127.0.0.1:9",
        SHUTDOWN_NOTICE_SECONDS="3",
    ) as service:
        started = time.monotonic()
        service.send_signal(signal.SIGTERM)
        service.send_signal(signal.SIGTERM)
        assert service.wait(15) == 0
        assert time.monotonic() - started >= 3


@pytest.mark.parametrize("database_backend", ["sqlite"], indirect=True)
async def test_ctrl_c_skips_the_shutdown_notice(tmp_path: Path, database_url: str) -> None:
    with service_process(
        tmp_path,
        database_url=database_url,
        hubspot_url="http://127.0.0.1:9",
        SHUTDOWN_NOTICE_SECONDS="300",
    ) as service:
        service.send_signal(signal.SIGINT)
        assert service.wait(30) == 0


@pytest.mark.parametrize(("deadline", "drain"), [(1.0, 15), (10.0, 15), (10.6, 16), (120.0, 125)])
def test_drain_time_exceeds_the_request_deadline(settings: Settings, deadline: float, drain: int) -> None:
    assert drain_seconds(settings.model_copy(update={"request_deadline_seconds": deadline})) == drain


def test_only_production_has_a_shutdown_notice_by_default(settings: Settings) -> None:
    assert settings.shutdown_notice_seconds == 0
    production = Settings(_env_file=None, environment="production")
    assert production.shutdown_notice_seconds == 5


async def test_task_that_loses_a_cancellation_is_cancelled_again() -> None:
    lost = 0

    async def lose_one_cancellation() -> None:
        nonlocal lost
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                if lost == 1:
                    raise
                lost += 1

    task = asyncio.create_task(lose_one_cancellation())
    await asyncio.sleep(0)
    await end_tasks([task])
    assert task.cancelled()
    await end_tasks([])
