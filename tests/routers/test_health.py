"""Routes for health probes."""

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy import text
from tests.support.callers import Caller
from tests.support.emulator_transport import EmulatorTransport

from crm_api.main import create_app
from crm_api.settings import Settings
from hubspot_emulator import Emulator


class TestHealth:
    async def test_healthz_returns_200(self, client: httpx.AsyncClient) -> None:
        response = await client.get("/healthz")
        assert (response.status_code, response.json()) == (200, {"status": "alive"})


class TestReadiness:
    async def test_readyz_is_ready_if_all_dependencies_are_available(self, client: httpx.AsyncClient) -> None:
        response = await client.get("/readyz")
        assert response.status_code == 200
        assert (response.json()["status"], response.json()["hubspot"]["state"]) == ("ready", "ok")

    async def test_readyz_is_degraded_with_200_during_hubspot_outage(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        emulator.fail_next("GET", "/crm/pipelines/*", status=500, times=50)
        await customer.get("/api/pipelines")
        response = await customer.client.get("/readyz")
        assert response.status_code == 200
        assert (response.json()["status"], response.json()["hubspot"]["state"]) == ("degraded", "degraded")

    async def test_readyz_shows_hubspot_degraded_if_search_circuit_is_open(
        self, client: httpx.AsyncClient, app: FastAPI
    ) -> None:
        circuit = app.state.hubspot.sender.circuits["search"]
        for _ in range(10):
            circuit.finish(circuit.enter(), failed=True)
        response = await client.get("/readyz")
        hubspot = response.json()["hubspot"]
        assert (response.status_code, hubspot["state"]) == (200, "degraded")
        assert hubspot["problem"] == "circuit breaker open: search"

    async def test_readyz_is_degraded_with_200_while_calls_are_paused(
        self, client: httpx.AsyncClient, app: FastAPI
    ) -> None:
        app.state.hubspot.sender.quota.on_rate_limited("burst", 9.5)
        response = await client.get("/readyz")
        hubspot = response.json()["hubspot"]
        assert (response.status_code, response.json()["status"], hubspot["state"]) == (
            200,
            "degraded",
            "degraded",
        )
        assert hubspot["problem"] == "burst limit reached: calls are paused for 10 s"

    @pytest.mark.parametrize(
        ("revision", "status"), [("older", 503), ("0000", 503), ("0999", 200), (None, 200)]
    )
    async def test_readyz_is_503_only_for_an_older_database_schema(
        self, client: httpx.AsyncClient, app: FastAPI, revision: str | None, status: int
    ) -> None:
        """A newer schema is fine: an upgrade migrates first, while older processes still serve."""
        async with app.state.session_factory.begin() as database:
            current = (await database.execute(text("SELECT version_num FROM alembic_version"))).scalar_one()
            await database.execute(
                text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision or current}
            )
        try:
            response = await client.get("/readyz")
        finally:
            async with app.state.session_factory.begin() as database:
                await database.execute(
                    text("UPDATE alembic_version SET version_num = :revision"), {"revision": current}
                )
        assert response.status_code == status
        if status == 503:
            assert response.headers["retry-after"]
            assert "crm-api migrate" in response.json()["database"]["problem"]

    async def test_readyz_is_degraded_with_200_during_redis_outage(
        self, settings: Settings, emulator: Emulator, valkey_url: str
    ) -> None:
        for url, state, status in (
            (valkey_url, "ok", "ready"),
            ("redis://127.0.0.1:9/0", "degraded", "degraded"),
        ):
            with_redis = settings.model_copy(update={"redis_url": SecretStr(url)})
            app = create_app(with_redis, hubspot_transport=EmulatorTransport(emulator))
            transport = httpx.ASGITransport(app=app)
            async with (
                app.router.lifespan_context(app),
                httpx.AsyncClient(transport=transport, base_url="http://crm.example") as client,
            ):
                await app.state.startup_checks
                response = await client.get("/readyz")
                assert response.status_code == 200
                assert (response.json()["redis"]["state"], response.json()["status"]) == (state, status)

    async def test_readyz_returns_503_while_draining(self, client: httpx.AsyncClient, app: FastAPI) -> None:
        app.state.draining = True
        assert (await client.get("/readyz")).status_code == 503
