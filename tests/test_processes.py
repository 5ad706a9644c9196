"""The service as separate processes: start, kill, graceful stop."""

import asyncio
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from tests.support.builders import PASSWORD, deal_body, registration_body
from tests.support.callers import register_caller
from tests.support.processes import emulator_process, service_process

from crm_api.hubspot import HubSpotClient, StaticTokenAuth
from crm_api.services.hubspot_account.provisioning import provision
from crm_api.services.properties.categories import TICKET_CATEGORIES

KEY = {"Idempotency-Key": "the-same-key"}


async def provision_account(hubspot_url: str) -> None:
    hubspot = HubSpotClient(base_url=hubspot_url, auth=StaticTokenAuth("test-access-token"))
    try:
        await provision(hubspot, TICKET_CATEGORIES)
    finally:
        await hubspot.aclose()


async def test_kill_after_hubspots_create_makes_no_duplicate(tmp_path: Path, database_url: str) -> None:
    with emulator_process(tmp_path) as emulator:
        await provision_account(emulator.url)
        with service_process(
            tmp_path, database_url=database_url, hubspot_url=emulator.url, REQUEST_DEADLINE_SECONDS="2"
        ) as service:
            async with httpx.AsyncClient(base_url=service.url, timeout=10) as client:
                caller = await register_caller(client, "ada@example.com")
                fault = {
                    "method": "POST",
                    "path": "/crm/objects/*/deals",
                    "kind": "hang_after",
                    "seconds": 30,
                }
                (await client.post(f"{emulator.url}/_emulator/faults", json=fault)).raise_for_status()
                lost = asyncio.create_task(caller.post("/api/deals", deal_body(), headers=KEY))
                for _ in range(100):
                    if (await client.get(f"{emulator.url}/_emulator/records/deals")).json()["results"]:
                        break
                    await asyncio.sleep(0.02)
                service.kill()
                with pytest.raises(httpx.TransportError):
                    await lost
        with service_process(
            tmp_path, database_url=database_url, hubspot_url=emulator.url, REQUEST_DEADLINE_SECONDS="2"
        ) as service:
            async with httpx.AsyncClient(base_url=service.url, timeout=10) as client:
                headers = caller.headers | KEY
                responses: list[httpx.Response] = []
                while not responses or responses[-1].status_code == 409:
                    responses.append(await client.post("/api/deals", json=deal_body(), headers=headers))
                    await asyncio.sleep(float(responses[-1].headers.get("retry-after", 0)))
                *conflicts, response = responses
                # There are none if the second process started after the end of the lease.
                assert {conflict.json()["code"] for conflict in conflicts} <= {"request_in_progress"}
                assert len(conflicts) < 8
                assert response.status_code == 201, response.text
                [record] = (await client.get(f"{emulator.url}/_emulator/records/deals")).json()["results"]
                assert response.json()["data"]["id"] == record["id"]


@pytest.mark.parametrize("workers", [1, 2])
async def test_service_serves_and_all_workers_stop_on_sigterm(
    tmp_path: Path, database_url: str, workers: int
) -> None:
    with (
        emulator_process(tmp_path) as emulator,
        service_process(
            tmp_path, database_url=database_url, hubspot_url=emulator.url, workers=workers
        ) as service,
    ):
        async with httpx.AsyncClient(base_url=service.url, timeout=10) as client:
            caller = await register_caller(client, "ada@example.com")
            response = await caller.post("/api/deals", deal_body())
            assert response.status_code == 201, response.text
            assert (await client.get("/readyz")).json()["database"]["state"] == "ok"
        service.signal_group(signal.SIGTERM)
        assert service.wait(15) == 0
        assert service.output.count("Application shutdown complete") == workers
        assert "ada@example.com" not in service.output


def test_worker_excludes_startup_objects_from_garbage_collection(tmp_path: Path) -> None:
    code = (
        "import gc; from crm_api.cli.serve import create_worker; create_worker();"
        "print(gc.get_freeze_count() > 50_000, len(gc.get_objects()) < 1_000, gc.get_threshold()[0])"
    )
    environment = {"ENVIRONMENT": "development", "HUBSPOT_ACCESS_TOKEN": "none"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert done.stdout == "True True 5000\n"


def test_unmigrated_database_prevents_the_start(tmp_path: Path) -> None:
    with (
        pytest.raises(AssertionError, match="crm-api migrate"),
        service_process(
            tmp_path, database_url=f"sqlite:///{tmp_path}/empty.db", hubspot_url="http://127.0.0.1:9"
        ),
    ):
        pass


def test_unsafe_production_settings_prevent_the_start(tmp_path: Path, database_url: str) -> None:
    with (
        pytest.raises(AssertionError, match=r"(?s)SECRET_KEY is not set.*JWT_SECRET_KEY.*HUBSPOT_BASE_URL"),
        service_process(
            tmp_path, database_url=database_url, hubspot_url="http://127.0.0.1:9", ENVIRONMENT="production"
        ),
    ):
        pass


async def test_hanging_hubspot_gives_hubspot_timeout_near_deadline(tmp_path: Path, database_url: str) -> None:
    with (
        emulator_process(tmp_path) as emulator,
        service_process(
            tmp_path, database_url=database_url, hubspot_url=emulator.url, REQUEST_DEADLINE_SECONDS="2"
        ) as service,
    ):
        async with httpx.AsyncClient(base_url=service.url, timeout=20) as client:
            caller = await register_caller(client, "ada@example.com")
            fault = {"method": "*", "path": "/crm/*", "kind": "hang_before", "seconds": 60, "times": 50}
            (await client.post(f"{emulator.url}/_emulator/faults", json=fault)).raise_for_status()
            started = time.monotonic()
            responses = await asyncio.gather(
                caller.get("/api/pipelines"),
                caller.get("/api/new-crm-objects"),
                caller.post("/api/deals", deal_body()),
            )
            assert [response.json()["code"] for response in responses] == ["hubspot_timeout"] * 3
            # Twice the deadline, because a busy machine may be slow.
            assert time.monotonic() - started < 4
            # Requests that need no HubSpot call still work.
            assert (await caller.get("/api/me")).status_code == 200


async def test_start_and_login_work_without_hubspot(tmp_path: Path, database_url: str) -> None:
    with emulator_process(tmp_path) as emulator:
        with service_process(tmp_path, database_url=database_url, hubspot_url=emulator.url) as service:
            async with httpx.AsyncClient(base_url=service.url, timeout=20) as client:
                await register_caller(client, "ada@example.com")
        with service_process(
            tmp_path, database_url=database_url, hubspot_url="http://127.0.0.1:9"
        ) as service:
            async with httpx.AsyncClient(base_url=service.url, timeout=20) as client:
                login = {"email": "ada@example.com", "password": PASSWORD}
                tokens = (await client.post("/api/login", json=login)).json()["data"]
                headers = {"Authorization": f"Bearer {tokens['access_token']}"}
                assert (await client.get("/api/me", headers=headers)).status_code == 200
                assert (await client.get("/api/pipelines", headers=headers)).status_code in (502, 503)
                readiness = await client.get("/readyz")
                assert (readiness.status_code, readiness.json()["status"]) == (200, "degraded")


@pytest.mark.parametrize("database_backend", ["sqlite"], indirect=True)
async def test_json_log_format_applies_to_every_line(tmp_path: Path, database_url: str) -> None:
    with service_process(
        tmp_path,
        database_url=database_url,
        hubspot_url="http://127.0.0.1:9",
        workers=2,
        LOG_FORMAT="json",
    ) as service:
        trace = "4bf92f3577b34da6a3ce929d0e0e4736"
        headers = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01", "X-Request-ID": "front-end-0001"}
        async with httpx.AsyncClient(base_url=service.url, timeout=20) as client:
            await client.post("/api/register", json=registration_body(), headers=headers)
        service.send_signal(signal.SIGTERM)
        assert service.wait(20) == 0
    lines = [json.loads(line) for line in service.output.splitlines()]
    assert {"Started parent process", "Started server process"} <= {
        line["event"].partition(" [")[0] for line in lines
    }
    lines_of_request = [line for line in lines if line.get("request_id") == "front-end-0001"]
    assert {line["trace_id"] for line in lines_of_request} == {trace}
    [request] = [line for line in lines_of_request if line["logger"] == "crm_api.access"]
    assert (request["method"], request["route"], request["user_id"]) == ("POST", "/api/register", None)
    assert request["status"] in (502, 503)
    assert request["duration_ms"] > 0
    assert request["hubspot_calls"] >= 0
    assert request["hubspot_wait_ms"] >= 0
