"""Connections and transactions on both databases."""

import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import closing

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from crm_api.database import autocommit_engine, create_engine, create_session_factory
from crm_api.database import engine as engines

on_sqlite = pytest.mark.parametrize("database_backend", ["sqlite"], indirect=True)
on_postgresql = pytest.mark.parametrize("database_backend", ["postgresql"], indirect=True)


@pytest.fixture
async def engine(database_url: str) -> AsyncGenerator[AsyncEngine, None]:
    engine = create_engine(database_url)
    yield engine
    await engine.dispose()


@on_sqlite
async def test_autocommit_session_does_not_wait_for_a_writer(engine: AsyncEngine, database_url: str) -> None:
    with closing(sqlite3.connect(database_url.removeprefix("sqlite:///"), isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        async with create_session_factory(autocommit_engine(engine))() as reading:
            started = time.monotonic()
            assert (await reading.execute(text("SELECT count(*) FROM users"))).scalar_one() == 0
            assert time.monotonic() - started < 2  # a transaction would wait for five seconds and fail
        writer.execute("ROLLBACK")


@on_postgresql
@pytest.mark.parametrize("single", [True, False])
async def test_only_autocommit_session_runs_without_a_transaction(
    engine: AsyncEngine, *, single: bool
) -> None:
    async with create_session_factory(autocommit_engine(engine) if single else engine)() as reading:
        transactions = [(await reading.execute(text("SELECT txid_current()"))).scalar_one() for _ in range(2)]
    assert (transactions[0] != transactions[1]) is single


async def test_autocommit_session_leaves_other_sessions_transactional(engine: AsyncEngine) -> None:
    async with create_session_factory(autocommit_engine(engine))() as reading:
        await reading.execute(text("SELECT 1"))
    async with create_session_factory(engine)() as writing:
        await writing.execute(
            text("INSERT INTO record_leases VALUES ('deals', '1', :id, CURRENT_TIMESTAMP)"), {"id": "0" * 32}
        )
        await writing.rollback()
    async with create_session_factory(autocommit_engine(engine))() as reading:
        assert (await reading.execute(text("SELECT count(*) FROM record_leases"))).scalar_one() == 0


@on_postgresql
@pytest.mark.parametrize(("after_seconds", "pings"), [(0.0, 3), (60.0, 0)])
async def test_only_idle_database_connections_are_pinged(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch, after_seconds: float, pings: int
) -> None:
    monkeypatch.setattr(engines, "PING_AFTER_SECONDS", after_seconds)
    ping_count = 0
    ping = engines._ping

    async def counting_ping(connection: object) -> None:
        nonlocal ping_count
        ping_count += 1
        await ping(connection)

    monkeypatch.setattr(engines, "_ping", counting_ping)
    for _ in range(4):
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
    assert ping_count == pings


@on_postgresql
async def test_closed_idle_database_connections_are_replaced(
    engine: AsyncEngine, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "PING_AFTER_SECONDS", 0.0)
    async with engine.connect() as one, engine.connect() as another:
        pids = [
            (await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one()
            for connection in (one, another)
        ]
    administrator = create_engine(database_url)
    async with administrator.connect() as connection:
        for pid in pids:
            await connection.execute(text("SELECT pg_terminate_backend(:pid, 1000)"), {"pid": pid})
    await administrator.dispose()
    for _ in range(3):
        async with engine.connect() as connection:
            assert (await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one() not in pids


@pytest.mark.parametrize("module", ["redis", "cryptography.hazmat"])
def test_large_module_is_not_imported_by_default(module: str) -> None:
    program = f"import sys, crm_api.main, crm_api.cli.serve; sys.exit({module!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
