"""Binding of the database to one HubSpot account, and storage of the newest refresh token."""

import asyncio
from contextlib import AsyncExitStack

import httpx
from fastapi import FastAPI
from sqlalchemy import delete, select
from tests.support.callers import Caller, assert_problem
from tests.support.emulator_transport import EmulatorTransport

from crm_api.main import create_app
from crm_api.models import HubSpotAccount
from crm_api.security.crypto import KeyRing
from crm_api.services.hubspot_account.binding import (
    AccountBinding,
    encrypt_with_current_key,
    store_refresh_token,
    stored_refresh_token,
)
from crm_api.settings import Settings
from hubspot_emulator import Emulator, create_emulator

SECRET = KeyRing("a secret key of the service, long enough")


async def test_credentials_of_another_hubspot_account_return_503(
    customer: Caller, settings: Settings, emulator: Emulator
) -> None:
    other = create_emulator(portal_id=emulator.portal_id + 1)
    app = create_app(settings, hubspot_transport=EmulatorTransport(other))
    transport = httpx.ASGITransport(app=app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://crm.example") as client,
    ):
        await app.state.startup_checks
        other.clear_requests()
        response = await client.get("/api/pipelines", headers=customer.headers)
        assert_problem(response, 503, "service_unavailable")
        assert other.requests == []
        assert (await client.get("/api/me", headers=customer.headers)).status_code == 200
        response = await client.get("/readyz")
        readiness = response.json()
        assert (response.status_code, readiness["status"]) == (503, "unavailable")
        assert readiness["hubspot"]["state"] == "down"
        assert "belongs to HubSpot account" in readiness["hubspot"]["problem"]


async def test_same_hubspot_account_is_accepted_after_restart(
    customer: Caller, settings: Settings, emulator: Emulator
) -> None:
    app = create_app(settings, hubspot_transport=EmulatorTransport(emulator))
    async with app.router.lifespan_context(app):
        await app.state.startup_checks
        assert app.state.account_binding.mismatch is None


async def test_unreadable_hubspot_account_id_is_no_mismatch(settings: Settings, emulator: Emulator) -> None:
    emulator.fail_next("GET", "/account-info/*", status=403, times=10)
    app = create_app(settings, hubspot_transport=EmulatorTransport(emulator))
    async with app.router.lifespan_context(app):
        await app.state.startup_checks
        assert app.state.account_binding.mismatch is None


async def test_changed_refresh_token_is_stored_encrypted(app: FastAPI) -> None:
    session_factory = app.state.session_factory
    await store_refresh_token(session_factory, SECRET, "na1-configured", "na1-changed")
    assert await stored_refresh_token(session_factory, SECRET, "na1-configured") == "na1-changed"
    async with session_factory() as database:
        row = await database.get(HubSpotAccount, 1)
        assert row is not None
        assert "na1-changed" not in str(row.refresh_token)


async def test_stored_refresh_token_is_ignored_after_settings_change(app: FastAPI) -> None:
    session_factory = app.state.session_factory
    await store_refresh_token(session_factory, SECRET, "na1-configured", "na1-changed")
    assert await stored_refresh_token(session_factory, SECRET, "na1-new") is None
    assert (
        await stored_refresh_token(
            session_factory, KeyRing("another secret key of the service"), "na1-configured"
        )
        is None
    )


async def test_stored_refresh_token_survives_a_key_rotation(app: FastAPI) -> None:
    session_factory = app.state.session_factory
    old, new = "the old key of the service, long enough", "the new key of the service, also long"
    await store_refresh_token(session_factory, KeyRing(old), "na1-configured", "na1-changed")
    both = KeyRing(new, old)
    assert await stored_refresh_token(session_factory, both, "na1-configured") == "na1-changed"
    assert await stored_refresh_token(session_factory, KeyRing(new), "na1-configured") is None
    await encrypt_with_current_key(session_factory, both, "na1-configured")
    assert await stored_refresh_token(session_factory, KeyRing(new), "na1-configured") == "na1-changed"


async def test_concurrent_changes_of_hubspot_account_row_succeed(app: FastAPI, emulator: Emulator) -> None:
    session_factory = app.state.session_factory
    async with session_factory.begin() as database:
        await database.execute(delete(HubSpotAccount))
    if "postgresql" in app.state.settings.database_url:  # SQLite has one connection, so no race
        async with AsyncExitStack() as stack:  # opens all connections first, so that the tasks start together
            for _ in range(8):
                await (await stack.enter_async_context(session_factory())).execute(select(1))
    await asyncio.gather(
        *(
            store_refresh_token(session_factory, SECRET, "na1-configured", f"na1-changed-{n}")
            for n in range(4)
        ),
        *(AccountBinding(session_factory, app.state.hubspot).bind() for _ in range(4)),
    )
    async with session_factory() as database:
        [row] = (await database.execute(select(HubSpotAccount))).scalars()
    assert row.portal_id == str(emulator.portal_id)
    stored = await stored_refresh_token(session_factory, SECRET, "na1-configured")
    assert stored is not None
    assert stored.startswith("na1-changed-")


def oauth_settings(database_url: str) -> Settings:
    return Settings(
        _env_file=None,
        environment="development",
        database_url=database_url,
        hubspot_base_url="http://hubspot.example",
        hubspot_client_id="demo-client-id",
        hubspot_client_secret="demo-client-secret",
        hubspot_refresh_token="demo-refresh-token",
        log_level="WARNING",
    )


async def test_restarted_service_uses_the_rotated_refresh_token(database_url: str) -> None:
    emulator = create_emulator(rotate_refresh_tokens=True)
    settings = oauth_settings(database_url)
    for _ in range(3):  # each start uses the token of the previous one
        app = create_app(settings, hubspot_transport=EmulatorTransport(emulator))
        async with app.router.lifespan_context(app):
            await app.state.startup_checks
            assert await app.state.hubspot.pipelines.list("deals")
    assert {request.status for request in emulator.requests} == {200}


async def test_processes_share_rotated_refresh_token(database_url: str) -> None:
    emulator = create_emulator(rotate_refresh_tokens=True)
    settings = oauth_settings(database_url)
    async with AsyncExitStack() as stack:
        apps = [create_app(settings, hubspot_transport=EmulatorTransport(emulator)) for _ in range(3)]
        for app in apps:
            await stack.enter_async_context(app.router.lifespan_context(app))
            await app.state.startup_checks
        for _ in range(2):
            for app in apps:
                emulator.expire_access_tokens()
                assert await app.state.hubspot.pipelines.list("deals", max_age_seconds=0)


async def test_account_binding_is_retried_after_401(app: FastAPI, emulator: Emulator) -> None:
    """The new credentials may belong to another HubSpot account."""
    emulator.fail_next("GET", "/account-info/*", status=401, times=2)
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    binding = AccountBinding(app.state.session_factory, app.state.hubspot)
    await binding.watch(sleep=sleep)
    assert len(waits) == 2
