"""What an operator's probes are told."""

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
    async def test_the_process_answers(self, client: httpx.AsyncClient) -> None:
        answer = await client.get("/healthz")
        assert (answer.status_code, answer.json()) == (200, {"status": "alive"})


class TestReadiness:
    async def test_everything_there_is_ready(self, client: httpx.AsyncClient) -> None:
        answer = await client.get("/readyz")
        assert answer.status_code == 200
        assert (answer.json()["status"], answer.json()["hubspot"]["state"]) == ("ready", "ok")

    async def test_hubspot_away_is_degraded_and_still_ready(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        emulator.fail_next("GET", "/crm/pipelines/*", status=500, times=50)
        await customer.get("/api/pipelines")
        answer = await customer.client.get("/readyz")
        assert answer.status_code == 200
        assert (answer.json()["status"], answer.json()["hubspot"]["state"]) == ("degraded", "degraded")

    @pytest.mark.parametrize(
        ("revision", "status"), [("older", 503), ("0000", 503), ("0999", 200), (None, 200)]
    )
    async def test_a_schema_that_is_behind_takes_no_requests(
        self, client: httpx.AsyncClient, app: FastAPI, revision: str | None, status: int
    ) -> None:
        """One that is ahead does: an upgrade begins with its migrations, while older processes serve."""
        async with app.state.session_factory.begin() as database:
            ours = (await database.execute(text("SELECT version_num FROM alembic_version"))).scalar_one()
            await database.execute(
                text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision or ours}
            )
        try:
            answer = await client.get("/readyz")
        finally:
            async with app.state.session_factory.begin() as database:
                await database.execute(
                    text("UPDATE alembic_version SET version_num = :revision"), {"revision": ours}
                )
        assert answer.status_code == status
        if status == 503:
            assert answer.headers["retry-after"]
            assert "crm-api migrate" in answer.json()["database"]["problem"]

    async def test_redis_is_told_as_it_is_and_never_stops_requests(
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
                await app.state.watching
                answer = await client.get("/readyz")
                assert answer.status_code == 200
                assert (answer.json()["redis"]["state"], answer.json()["status"]) == (state, status)

    async def test_draining_takes_no_requests(self, client: httpx.AsyncClient, app: FastAPI) -> None:
        app.state.draining = True
        assert (await client.get("/readyz")).status_code == 503
