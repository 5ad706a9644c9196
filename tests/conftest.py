"""Fixtures: the application with its database and the emulator, and people who call it."""

from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import event
from sqlalchemy.exc import OperationalError
from tests.support.callers import Caller, register_caller
from tests.support.emulator_transport import EmulatorTransport
from tests.support.hubspot_contract import checked_against_documents

from crm_api.main import create_app
from crm_api.settings import Settings
from hubspot_emulator import Emulator, create_emulator

pytest_plugins = ["tests.support.databases", "tests.support.valkey", "tests.support.mail"]


@pytest.fixture
def emulator() -> Generator[Emulator, None, None]:
    """A HubSpot account of its own for each test; what passes is held against HubSpot's documents, if they are here."""
    emulator = create_emulator()
    with checked_against_documents(emulator, check_requests=True):
        yield emulator
    emulator.close()


@pytest.fixture
def settings(database_url: str) -> Settings:
    """Development settings that no file and no variable of this machine changes."""
    return Settings(
        _env_file=None,
        environment="development",
        database_url=database_url,
        hubspot_base_url="http://hubspot.example",
        hubspot_access_token="test-access-token",
        bcrypt_rounds=4,
        hubspot_burst_limit=100_000,
        hubspot_search_limit=100_000,
        log_level="WARNING",
    )


@pytest.fixture
async def app(settings: Settings, emulator: Emulator) -> AsyncGenerator[FastAPI, None]:
    """The application as it runs in production, with the emulator in the network's place."""
    app = create_app(settings, hubspot_transport=EmulatorTransport(emulator))
    async with app.router.lifespan_context(app):
        await app.state.watching  # asks for the account once; tests count what comes after
        emulator.clear_requests()
        yield app


@pytest.fixture
async def client(app: FastAPI) -> AsyncGenerator[httpx.AsyncClient, None]:
    """A caller who is nobody yet."""
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://crm.example") as client:
        yield client


@pytest.fixture
async def customer(client: httpx.AsyncClient) -> Caller:
    """A customer who is logged in."""
    return await register_caller(client, "customer@example.com")


@pytest.fixture
async def other_customer(client: httpx.AsyncClient) -> Caller:
    """Another customer, who is logged in too."""
    return await register_caller(client, "stranger@example.com")


@pytest.fixture
async def staff(client: httpx.AsyncClient, app: FastAPI) -> Caller:
    """One of the company's own people."""
    from crm_api.services.accounts.profile import set_role

    caller = await register_caller(client, "staff@example.com")
    assert await set_role(app.state.session_factory, caller.email, "staff")
    return caller


@pytest.fixture
def fail_statements(app: FastAPI) -> Generator[Callable[[str], None], None, None]:
    """Makes the database fail at statements that begin so; an empty text mends it."""
    engine = app.state.session_factory.kw["bind"].sync_engine
    broken: list[str] = []

    def fail(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if broken and broken[0] and statement.startswith(broken[0]):
            raise OperationalError(statement, None, ConnectionError("the test broke it"))

    def break_at(beginning: str) -> None:
        broken[:] = [beginning]

    event.listen(engine, "before_cursor_execute", fail)
    yield break_at
    event.remove(engine, "before_cursor_execute", fail)
