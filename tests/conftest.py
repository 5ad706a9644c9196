"""Fixtures: the application with its database and the emulator, and its callers."""

from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any, get_args

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import event
from sqlalchemy.exc import OperationalError
from tests.support.callers import Caller, register_caller
from tests.support.emulator_transport import EmulatorTransport
from tests.support.foreign_changes import read_cache_seconds
from tests.support.hubspot_contract import checked_against_documents

from crm_api.main import create_app
from crm_api.settings import CustomerOperation, Settings
from hubspot_emulator import Emulator, create_emulator

pytest_plugins = ["tests.support.databases", "tests.support.valkey", "tests.support.mail"]


@pytest.fixture
def emulator() -> Generator[Emulator, None, None]:
    """Yield an emulator; its traffic is checked against HubSpot's OpenAPI documents if they are available."""
    emulator = create_emulator()
    with checked_against_documents(emulator, check_requests=True):
        yield emulator
    emulator.close()


@pytest.fixture
def settings(database_url: str, request: pytest.FixtureRequest) -> Settings:
    """Return development settings that do not depend on this machine's files and variables."""
    return Settings(
        _env_file=None,
        environment="development",
        database_url=database_url,
        hubspot_base_url="http://hubspot.example",
        hubspot_access_token="test-access-token",
        bcrypt_rounds=4,
        hubspot_burst_limit=100_000,
        hubspot_search_limit=100_000,
        customer_operations=list(get_args(CustomerOperation)),
        # Tests count HubSpot calls, so the cache is off unless TEST_READ_CACHE_SECONDS is set.
        read_cache_seconds=read_cache_seconds(request.node.nodeid),
        log_level="WARNING",
    )


@pytest.fixture
async def app(settings: Settings, emulator: Emulator) -> AsyncGenerator[FastAPI, None]:
    """Yield the started application with the emulator as its HubSpot."""
    app = create_app(settings, hubspot_transport=EmulatorTransport(emulator))
    async with app.router.lifespan_context(app):
        await app.state.startup_checks  # its calls at start are not part of what tests count
        emulator.clear_requests()
        yield app


@pytest.fixture
async def client(app: FastAPI) -> AsyncGenerator[httpx.AsyncClient, None]:
    """Yield a client without a login."""
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://crm.example") as client:
        yield client


@pytest.fixture
async def customer(client: httpx.AsyncClient) -> Caller:
    """Return a customer with a login."""
    return await register_caller(client, "customer@example.com")


@pytest.fixture
async def other_customer(client: httpx.AsyncClient) -> Caller:
    """Return a second customer with a login."""
    return await register_caller(client, "stranger@example.com")


@pytest.fixture
async def staff(client: httpx.AsyncClient, app: FastAPI) -> Caller:
    """Return a staff user with a login."""
    from crm_api.services.accounts.profile import set_role

    caller = await register_caller(client, "staff@example.com")
    assert await set_role(app.state.session_factory, caller.email, "staff")
    return caller


@pytest.fixture
def fail_statements(app: FastAPI) -> Generator[Callable[[str], None], None, None]:
    """Yield a function that makes statements with this prefix fail; an empty prefix ends the failures."""
    engine = app.state.session_factory.kw["bind"].sync_engine
    failing_prefix = ""

    def fail(_connection: Any, _cursor: Any, statement: str, *_arguments: Any) -> None:
        if failing_prefix and statement.startswith(failing_prefix):
            raise OperationalError(statement, None, ConnectionError("simulated by the test"))

    def set_prefix(prefix: str) -> None:
        nonlocal failing_prefix
        failing_prefix = prefix

    event.listen(engine, "before_cursor_execute", fail)
    yield set_prefix
    event.remove(engine, "before_cursor_execute", fail)
