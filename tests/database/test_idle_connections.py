"""Idle connections: pings, connections that a firewall forgot, and TCP keep-alive."""

import asyncio
import socket
from collections.abc import AsyncGenerator
from typing import Any

import asyncpg  # type: ignore[import-untyped]
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.database.conftest import with_port
from tests.support.tcp_proxy import TcpProxy

from crm_api.database import create_engine, create_session_factory
from crm_api.database import engine as engines

CONNECTIONS = 10

pytestmark = pytest.mark.parametrize("database_backend", ["postgresql"], indirect=True)


@pytest.fixture
async def forgotten(
    database_url: str, proxy: TcpProxy, monkeypatch: pytest.MonkeyPatch
) -> AsyncGenerator[AsyncEngine, None]:
    """Yield an engine with idle connections whose packets a firewall drops; new connections work."""
    monkeypatch.setattr(engines, "PING_AFTER_SECONDS", 0.0)
    engine = create_engine(with_port(database_url, proxy.port), pool_size=CONNECTIONS)
    connections = [await engine.connect() for _ in range(CONNECTIONS)]
    for connection in connections:
        await connection.execute(text("SELECT 1"))
        await connection.close()
    proxy.forget_connections()
    yield engine
    await engine.dispose()


async def use(engine: AsyncEngine) -> int:
    async with create_session_factory(engine)() as session:
        return int((await session.execute(text("SELECT 7"))).scalar_one())


async def test_idle_connection_is_used_again(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "PING_AFTER_SECONDS", 0.0)
    engine = create_engine(database_url)
    processes = set()
    for _ in range(3):
        async with engine.connect() as connection:
            processes.add((await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one())
    await engine.dispose()
    assert len(processes) == 1


async def test_forgotten_connections_fail_no_request_and_few_pings(
    forgotten: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed_pings = 0
    ping = engines._ping

    async def counting_ping(connection: object) -> None:
        nonlocal failed_pings
        try:
            await ping(connection)
        except Exception:
            failed_pings += 1
            raise

    monkeypatch.setattr(engines, "_ping", counting_ping)
    assert [await use(forgotten) for _ in range(CONNECTIONS)] == [7] * CONNECTIONS
    # A slow machine may fail a ping of a new connection too.
    assert 1 <= failed_pings < CONNECTIONS // 2


async def test_forgotten_connections_fail_no_parallel_request(forgotten: AsyncEngine) -> None:
    results = await asyncio.gather(*(use(forgotten) for _ in range(CONNECTIONS)))
    assert results == [7] * CONNECTIONS


async def test_forgotten_connections_are_aborted_before_close(
    forgotten: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    was_closed = []
    close = asyncpg.Connection.close

    async def recording_close(connection: Any, **arguments: Any) -> None:
        was_closed.append(connection.is_closed())
        await close(connection, **arguments)

    monkeypatch.setattr(asyncpg.Connection, "close", recording_close)
    for _ in range(CONNECTIONS):
        await use(forgotten)
    # A graceful close of an open connection would wait two seconds for the server.
    assert len(was_closed) >= CONNECTIONS
    assert all(was_closed)


async def test_ping_of_an_unresponsive_server_times_out(
    forgotten: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = []
    ping = engines._ping

    async def recording_ping(connection: object) -> None:
        try:
            await ping(connection)
        except Exception as error:
            errors.append(type(error))
            raise

    monkeypatch.setattr(engines, "_ping", recording_ping)
    await use(forgotten)
    assert errors == [TimeoutError]
    assert engines.PING_TIMEOUT_SECONDS <= 1


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ("", (1, 60, 10, 3)),
        ("?keepalives_idle=300&keepalives_interval=20&keepalives_count=5", (1, 300, 20, 5)),
        ("?keepalives=0", None),
    ],
)
@pytest.mark.skipif(not hasattr(socket, "TCP_KEEPIDLE"), reason="no TCP_KEEPIDLE on this system")
async def test_database_sockets_have_tcp_keep_alive(
    database_url: str, parameters: str, expected: tuple[int, ...] | None
) -> None:
    engine = create_engine(database_url + parameters)
    async with engine.connect() as connection:
        driver_connection = (await connection.get_raw_connection()).driver_connection
        sock = driver_connection._transport.get_extra_info("socket")  # type: ignore[union-attr]
        options = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE)]
        options += [
            (socket.IPPROTO_TCP, option)
            for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        ]
        values = tuple(sock.getsockopt(*option) for option in options)
    await engine.dispose()
    assert (values == expected) if expected else values[0] == 0
