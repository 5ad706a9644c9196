"""The database belongs to one HubSpot account, and keeps the refresh token that HubSpot last gave."""

import httpx
from fastapi import FastAPI
from tests.support.callers import Caller, assert_problem
from tests.support.emulator_transport import EmulatorTransport

from crm_api.hubspot_emulator import Emulator, create_emulator
from crm_api.main import create_app
from crm_api.models import HubSpotAccount
from crm_api.services.account import store_refresh_token, stored_refresh_token
from crm_api.settings import Settings

SECRET = "a secret key of the service, long enough"


async def test_another_account_is_refused(customer: Caller, settings: Settings, emulator: Emulator) -> None:
    other = create_emulator(portal_id=emulator.portal_id + 1)
    app = create_app(settings, hubspot_transport=EmulatorTransport(other))
    transport = httpx.ASGITransport(app=app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://crm.example") as client,
    ):
        await app.state.watching
        other.clear_requests()
        answer = await client.get("/api/pipelines", headers=customer.headers)
        assert_problem(answer, 503, "service_unavailable")
        assert other.requests == []
        assert (await client.get("/api/me", headers=customer.headers)).status_code == 200
        readiness = (await client.get("/readyz")).json()
        assert "belongs to HubSpot account" in readiness["hubspot"]["problem"]


async def test_the_same_account_is_taken_up_again(
    customer: Caller, settings: Settings, emulator: Emulator
) -> None:
    app = create_app(settings, hubspot_transport=EmulatorTransport(emulator))
    async with app.router.lifespan_context(app):
        await app.state.watching
        assert app.state.account.refused is None


async def test_an_account_that_may_not_be_read_is_not_checked(settings: Settings, emulator: Emulator) -> None:
    emulator.fail_next("GET", "/account-info/*", status=403, times=10)
    app = create_app(settings, hubspot_transport=EmulatorTransport(emulator))
    async with app.router.lifespan_context(app):
        await app.state.watching
        assert app.state.account.refused is None


async def test_a_changed_refresh_token_is_kept_and_nobody_can_read_it(app: FastAPI) -> None:
    sessions = app.state.sessions
    await store_refresh_token(sessions, SECRET, "na1-configured", "na1-changed")
    assert await stored_refresh_token(sessions, SECRET, "na1-configured") == "na1-changed"
    async with sessions() as database:
        row = await database.get(HubSpotAccount, 1)
        assert row is not None
        assert "na1-changed" not in str(row.refresh_token)


async def test_a_newly_configured_token_goes_before_an_older_ones_successor(app: FastAPI) -> None:
    sessions = app.state.sessions
    await store_refresh_token(sessions, SECRET, "na1-configured", "na1-changed")
    assert await stored_refresh_token(sessions, SECRET, "na1-new") is None
    assert await stored_refresh_token(sessions, "another secret key of the service", "na1-configured") is None


async def test_oauth_keeps_a_token_that_hubspot_rotates(database_url: str) -> None:
    emulator = create_emulator(rotate_refresh_tokens=True)
    settings = Settings(
        _env_file=None,
        environment="development",
        database_url=database_url,
        hubspot_base_url="http://hubspot.example",
        hubspot_client_id="demo-client-id",
        hubspot_client_secret="demo-client-secret",
        hubspot_refresh_token="demo-refresh-token",
        log_level="WARNING",
    )
    for _ in range(3):  # each start takes up the token of the one before
        app = create_app(settings, hubspot_transport=EmulatorTransport(emulator))
        async with app.router.lifespan_context(app):
            await app.state.watching
            assert await app.state.hubspot.pipelines.list("deals")
    assert {request.status for request in emulator.requests} == {200}
