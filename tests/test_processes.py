"""The service as processes of its own: started by hand, killed, and stopped politely."""

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
from crm_api.services.properties.mapping import TICKET_CATEGORIES

KEY = {"Idempotency-Key": "the-same-key"}


async def provision_account(hubspot_url: str) -> None:
    hubspot = HubSpotClient(base_url=hubspot_url, auth=StaticTokenAuth("test-access-token"))
    try:
        await provision(hubspot, TICKET_CATEGORIES)
    finally:
        await hubspot.aclose()


async def test_a_kill_between_hubspots_commit_and_ours_makes_no_second_record(
    tmp_path: Path, database_url: str
) -> None:
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
                answers: list[httpx.Response] = []
                while not answers or answers[-1].status_code == 409:
                    answers.append(await client.post("/api/deals", json=deal_body(), headers=headers))
                    await asyncio.sleep(float(answers[-1].headers.get("retry-after", 0)))
                *refused, answer = answers
                # None, where a busy machine took longer to start the second process than the lease lasts.
                assert {each.json()["code"] for each in refused} <= {"request_in_progress"}
                assert len(refused) < 8
                assert answer.status_code == 201, answer.text
                [record] = (await client.get(f"{emulator.url}/_emulator/records/deals")).json()["results"]
                assert answer.json()["data"]["deal"]["id"] == record["id"]


@pytest.mark.parametrize("workers", [1, 2])
async def test_it_serves_with_workers_and_stops_when_told(
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
            answer = await caller.post("/api/deals", deal_body())
            assert answer.status_code == 201, answer.text
            assert (await client.get("/readyz")).json()["database"]["state"] == "ok"
        service.signal_group(signal.SIGTERM)
        assert service.wait(15) == 0
        assert service.output.count("Application shutdown complete") == workers
        assert "ada@example.com" not in service.output


def test_a_worker_does_not_look_for_garbage_in_what_it_is_made_of(tmp_path: Path) -> None:
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


def test_a_database_that_is_behind_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(AssertionError, match="crm-api migrate"),
        service_process(
            tmp_path, database_url=f"sqlite:///{tmp_path}/empty.db", hubspot_url="http://127.0.0.1:9"
        ),
    ):
        pass


def test_production_with_unsafe_settings_is_refused_with_one_list(tmp_path: Path, database_url: str) -> None:
    with (
        pytest.raises(AssertionError, match=r"(?s)SECRET_KEY is not set.*JWT_SECRET_KEY.*HUBSPOT_BASE_URL"),
        service_process(
            tmp_path, database_url=database_url, hubspot_url="http://127.0.0.1:9", ENVIRONMENT="production"
        ),
    ):
        pass


async def test_hubspot_that_never_answers_is_told_within_the_deadline(
    tmp_path: Path, database_url: str
) -> None:
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
            answers = await asyncio.gather(
                caller.get("/api/pipelines"),
                caller.get("/api/new-crm-objects"),
                caller.post("/api/deals", deal_body()),
            )
            assert [answer.json()["code"] for answer in answers] == ["hubspot_timeout"] * 3
            # Twice the deadline: a busy machine is late, a hang is for ever.
            assert time.monotonic() - started < 4
            # What needs nothing of HubSpot's goes on.
            assert (await caller.get("/api/me")).status_code == 200


async def test_it_starts_and_logs_people_in_while_hubspot_is_down(tmp_path: Path, database_url: str) -> None:
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
async def test_every_line_is_json_where_programs_read_it(tmp_path: Path, database_url: str) -> None:
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
    ours = [line for line in lines if line.get("request_id") == "front-end-0001"]
    assert {line["trace_id"] for line in ours} == {trace}
    [request] = [line for line in ours if line["logger"] == "crm_api.access"]
    assert (request["method"], request["route"], request["user_id"]) == ("POST", "/api/register", None)
    assert request["status"] in (502, 503)
    assert request["duration_ms"] > 0
    assert request["hubspot_calls"] >= 0
    assert request["hubspot_wait_ms"] >= 0
