"""Prometheus metrics, also of several workers and after one was killed."""

import asyncio
import os
import re
import signal
import time
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client.multiprocess import MultiProcessCollector
from pydantic import SecretStr
from tests.support.callers import Caller, register_caller
from tests.support.emulator_transport import EmulatorTransport
from tests.support.processes import Process, emulator_process, free_port, service_process

from crm_api import main as main_module
from crm_api.cli.metrics_folder import FILE_BYTES
from crm_api.hubspot.errors import HubSpotCredentialsError, HubSpotError, HubSpotGrantError
from crm_api.main import create_app
from crm_api.observability.metrics import Metrics
from crm_api.observability.worker_metrics import WorkerDeaths
from crm_api.settings import Settings
from hubspot_emulator import Emulator, create_emulator

POOL = 'crm_api_pool_size{pool="hubspot"}'
CONNECTIONS = Settings.model_fields["hubspot_max_connections"].default
REMAINING = "crm_api_hubspot_daily_remaining"
LIMIT = "crm_api_hubspot_daily_limit"
HEALTH = 'crm_api_requests_total{method="GET",route="/healthz",status="200"}'


def worker_pids(service: Process) -> list[int]:
    return [int(pid) for pid in re.findall(r"Started server process \[(\d+)\]", service.output)]


def samples(text: str) -> dict[str, float]:
    """Return the value of each sample."""
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("database_backend", ["postgresql"], indirect=True)
async def test_metrics_endpoint_sums_the_values_of_all_workers(
    tmp_path: Path, database_url: str, valkey_url: str, workers: int
) -> None:
    port = free_port()
    folder = tmp_path / "metrics"
    folder.mkdir()
    # Files of an earlier process are ignored.
    (folder / "counter_1.db").write_bytes(b"nonsense")
    with (
        emulator_process(tmp_path) as emulator,
        service_process(
            tmp_path,
            database_url=database_url,
            hubspot_url=emulator.url,
            workers=workers,
            METRICS_PORT=str(port),
            METRICS_FOLDER=str(folder),
            REDIS_URL=valkey_url,
        ) as service,
    ):
        async with httpx.AsyncClient(base_url=service.url, timeout=10) as client:
            caller = await register_caller(client, "ada@example.com")
            for _ in range(20):
                # Each request has its own connection, so that every worker serves some.
                async with httpx.AsyncClient(base_url=service.url, timeout=10) as other:
                    assert (await other.get("/api/me", headers=caller.headers)).status_code == 200
            fault = {"method": "*", "path": "/crm/pipelines/*", "status": 500, "times": 2}
            (await client.post(f"{emulator.url}/_emulator/faults", json=fault)).raise_for_status()
            assert (await caller.get("/api/pipelines")).status_code == 200
            deadline = time.monotonic() + 60
            values: dict[str, float] = {}
            # Workers set the gauges of their pools when they start.
            while values.get(POOL) != CONNECTIONS * workers:
                assert time.monotonic() < deadline, service.output
                await asyncio.sleep(0.1)
                text = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
                values = samples(text)
        service.send_signal(signal.SIGTERM)
        assert service.wait(30) == 0
    assert values['crm_api_requests_total{method="GET",route="/api/me",status="200"}'] == 20
    assert values['crm_api_request_seconds_count{method="GET",route="/api/me"}'] == 20
    assert values['crm_api_hubspot_attempts_total{operation="contacts.create",outcome="ok"}'] == 1
    assert values['crm_api_hubspot_attempt_seconds_count{operation="contacts.create"}'] == 1
    assert sum(value for name, value in values.items() if name.startswith("crm_api_hubspot_retries")) == 2
    assert values['crm_api_hubspot_wait_seconds_count{budget="burst"}'] > 3
    assert values['crm_api_hubspot_circuit{circuit="search",state="closed"}'] == workers
    assert values['crm_api_hubspot_quota_limit{budget="burst"}'] == 100
    # HubSpot reported no calls of the day.
    assert "crm_api_hubspot_daily_remaining" not in values
    assert values['crm_api_hubspot_quota_waiting{budget="search"}'] == 0
    assert values['crm_api_hubspot_quota_paused_seconds{budget="burst"}'] == 0
    assert values["crm_api_hubspot_quota_shared"] == 1
    assert values['crm_api_pool_used{pool="passwords"}'] == 0
    assert values['crm_api_pool_size{pool="database"}'] >= workers
    assert values['crm_api_build_info{version="0.1.0"}'] == 1
    assert "ada@example.com" not in text
    assert [file.name for file in folder.iterdir()] == ["counter_1.db"]


@pytest.mark.parametrize("database_backend", ["sqlite"], indirect=True)
async def test_latest_report_of_any_worker_is_the_calls_of_the_day(tmp_path: Path, database_url: str) -> None:
    port = free_port()
    with (
        emulator_process(tmp_path) as emulator,
        service_process(
            tmp_path,
            database_url=database_url,
            hubspot_url=emulator.url,
            workers=2,
            METRICS_PORT=str(port),
            METRICS_FOLDER=str(tmp_path),
            READ_CACHE_SECONDS="0",
        ) as service,
    ):

        async def set_limit(daily: int) -> None:
            async with httpx.AsyncClient() as client:
                response = await client.patch(f"{emulator.url}/_emulator/settings", json={"daily": daily})
                response.raise_for_status()

        async def call_hubspot() -> None:
            # A new connection, so that any worker may serve it.
            async with httpx.AsyncClient(base_url=service.url, timeout=30) as client:
                assert (await client.get("/api/contacts/1", headers=caller.headers)).status_code == 404

        def remaining_by_worker() -> list[float]:
            files = tmp_path.glob("crm-api-metrics-*/gauge_mostrecent_*.db")
            metrics = (metric for file in files for metric in MultiProcessCollector.merge([str(file)]))  # type: ignore[no-untyped-call]
            return [
                sample.value for metric in metrics for sample in metric.samples if sample.name == REMAINING
            ]

        async def scrape() -> dict[str, float]:
            async with httpx.AsyncClient(timeout=30) as client:
                return samples((await client.get(f"http://127.0.0.1:{port}/metrics")).text)

        await set_limit(10_000)
        async with httpx.AsyncClient(base_url=service.url, timeout=30) as client:
            caller = await register_caller(client, "ada@example.com")
        deadline = time.monotonic() + 120
        while len(remaining_by_worker()) < 2:
            assert time.monotonic() < deadline, service.output
            await call_hubspot()
            await asyncio.sleep(0.1)
        # One worker gets a report of the next day, the other one keeps its old report.
        await set_limit(20_000)
        await call_hubspot()
        while (await scrape())[REMAINING] < 10_000:
            assert time.monotonic() < deadline, remaining_by_worker()
            await asyncio.sleep(0.1)
        assert "crm_api_hubspot_quota_shared" not in await scrape()  # there is no Redis
        low, high = sorted(remaining_by_worker())
        assert low < 10_000 < high
        assert (await scrape())[LIMIT] == 20_000


@pytest.mark.parametrize("database_backend", ["sqlite"], indirect=True)
def test_killed_worker_keeps_counters_but_not_gauges(tmp_path: Path, database_url: str) -> None:
    port = free_port()
    with service_process(
        tmp_path,
        database_url=database_url,
        hubspot_url="http://127.0.0.1:9",
        workers=2,
        METRICS_PORT=str(port),
        METRICS_FOLDER=str(tmp_path),
    ) as service:

        def scrape() -> dict[str, float]:
            return samples(httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text)

        def wait_for(count: int) -> None:
            deadline = time.monotonic() + 60
            while (len(worker_pids(service)), scrape().get(POOL)) != (count, 2.0 * CONNECTIONS):
                assert time.monotonic() < deadline, service.output
                time.sleep(0.1)

        wait_for(2)
        before = scrape()[HEALTH]
        for _ in range(10):
            assert httpx.get(service.url + "/healthz").status_code == 200
        os.kill(worker_pids(service)[0], signal.SIGKILL)
        wait_for(3)
        assert scrape()[HEALTH] == before + 10
        assert scrape()["crm_api_worker_deaths_total"] == 1
        killed = worker_pids(service)[0]
        assert f"worker died: pid={killed} cause=SIGKILL" in service.output
        [folder] = tmp_path.glob("crm-api-metrics-*")
        # A dead worker's files need no space for further series.
        assert (folder / f"counter_{killed}.db").stat().st_size < FILE_BYTES["counter"]
        for pid in worker_pids(service)[1:]:
            for name, size in FILE_BYTES.items():
                # A write to a sparse page kills the process if the disk is full.
                assert (folder / f"{name}_{pid}.db").stat().st_blocks * 512 >= size


@pytest.mark.parametrize("database_backend", ["sqlite"], indirect=True)
def test_metrics_port_in_use_is_reported(tmp_path: Path, database_url: str) -> None:
    with (
        service_process(tmp_path, database_url=database_url, hubspot_url="http://127.0.0.1:9") as other,
        pytest.raises(AssertionError, match=r"METRICS_PORT: cannot listen on"),
        service_process(
            tmp_path,
            database_url=database_url,
            hubspot_url="http://127.0.0.1:9",
            METRICS_PORT=other.url.rpartition(":")[2],
        ),
    ):
        pass


@pytest.mark.parametrize("database_backend", ["sqlite"], indirect=True)
async def test_metrics_count_hubspot_token_requests(settings: Settings, emulator: Emulator) -> None:
    oauth = {
        "hubspot_access_token": None,
        "hubspot_client_id": "demo-client-id",
        "hubspot_client_secret": SecretStr("demo-client-secret"),
        "hubspot_refresh_token": SecretStr("demo-refresh-token"),
    }
    app = create_app(settings.model_copy(update=oauth), hubspot_transport=EmulatorTransport(emulator))
    async with app.router.lifespan_context(app):
        await app.state.startup_checks
    registry = app.state.metrics.registry
    assert registry.get_sample_value("crm_api_hubspot_token_refreshes_total", {"outcome": "ok"}) == 1


@pytest.mark.parametrize("database_backend", ["sqlite"], indirect=True)
async def test_metric_shows_refused_credentials_until_accepted(
    customer: Caller, app: FastAPI, emulator: Emulator
) -> None:
    def refused() -> float | None:
        value: float | None = app.state.metrics.registry.get_sample_value(
            "crm_api_hubspot_credentials_refused"
        )
        return value

    assert refused() == 0
    emulator.fail_next("GET", "/crm/pipelines/*", status=401)
    await app.state.hubspot.account.details()
    with pytest.raises(HubSpotCredentialsError):
        await app.state.hubspot.pipelines.list("deals", max_age_seconds=0)
    assert refused() == 1
    emulator.fail_next("GET", "/crm/pipelines/*", status=500, times=10)
    with pytest.raises(HubSpotError):
        await app.state.hubspot.pipelines.list("deals", max_age_seconds=0)
    # A server error says nothing about the credentials.
    assert refused() == 1
    await app.state.hubspot.account.details()
    assert refused() == 0


@pytest.mark.parametrize("database_backend", ["sqlite"], indirect=True)
async def test_metric_shows_a_dead_refresh_token(settings: Settings) -> None:
    emulator = create_emulator()
    oauth = {
        "hubspot_access_token": None,
        "hubspot_client_id": "demo-client-id",
        "hubspot_client_secret": SecretStr("demo-client-secret"),
        "hubspot_refresh_token": SecretStr("revoked-refresh-token"),
    }
    app = create_app(settings.model_copy(update=oauth), hubspot_transport=EmulatorTransport(emulator))
    async with app.router.lifespan_context(app):
        with pytest.raises(HubSpotGrantError):
            await app.state.hubspot.account.details()
        assert app.state.metrics.registry.get_sample_value("crm_api_hubspot_credentials_refused") == 1


@pytest.mark.parametrize("database_backend", ["sqlite"], indirect=True)
async def test_metrics_count_failed_logins_and_rate_limited_requests(customer: Caller, app: FastAPI) -> None:
    registry = app.state.metrics.registry
    wrong = {"email": customer.email, "password": "not the one"}
    form = {"grant_type": "password", "username": customer.email, "password": "not the one"}
    assert (await customer.client.post("/api/token", data=form)).status_code == 400
    while (await customer.client.post("/api/login", json=wrong)).status_code == 401:
        pass
    assert registry.get_sample_value("crm_api_failed_logins_total") == 5
    labels = {"route": "/api/login"}
    assert registry.get_sample_value("crm_api_rate_limited_requests_total", labels) == 1


@pytest.mark.parametrize("database_backend", ["sqlite"], indirect=True)
async def test_metric_shows_a_wrong_hubspot_account(
    customer: Caller, settings: Settings, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(main_module, "GAUGE_INTERVAL_SECONDS", 0.02)
    other = create_emulator(portal_id=emulator.portal_id + 1)
    app = create_app(settings, hubspot_transport=EmulatorTransport(other))
    async with app.router.lifespan_context(app):
        deadline = time.monotonic() + 30
        while app.state.metrics.registry.get_sample_value("crm_api_hubspot_account_mismatch") != 1:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)


def test_unknown_http_methods_share_one_metric_series() -> None:
    metrics = Metrics()
    for number in range(3):
        metrics.request_finished(method=f"MADE-UP-{number}", route="unknown", status=405, seconds=0.1)
    assert (
        metrics.registry.get_sample_value(
            "crm_api_requests_total", {"method": "other", "route": "unknown", "status": "405"}
        )
        == 3
    )


def test_monitoring_document_lists_every_metric() -> None:
    page = (Path(__file__).parents[2] / "docs" / "monitoring.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| `crm_api_")]
    named = {name for row in rows for name in re.findall(r"`(crm_api_\w+)`", row)}
    metrics = Metrics()
    metrics.quota({"shared": 1.0})
    families = [*metrics.registry.collect(), *WorkerDeaths().collect()]
    known = {f"{family.name}_total" if family.type == "counter" else family.name for family in families}
    assert named == known
