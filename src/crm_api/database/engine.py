"""Engine and session factories for PostgreSQL or an SQLite file."""

import math
import time
from typing import Any, Final

import asyncpg  # type: ignore[import-untyped]
from sqlalchemy import event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from crm_api.database.sqlstates import reaction_to
from crm_api.database.url import parse_database_url

SessionFactory = async_sessionmaker[AsyncSession]
"""Factory of database sessions; none may stay open during a HubSpot call."""

_WITHOUT_TRANSACTION: Final = "crm_api_without_transaction"
# Connections used within this time are not pinged; if one of them is closed, one request fails.
PING_AFTER_SECONDS: Final = 1.0
PING_TIMEOUT_SECONDS: Final = 1.0
# A firewall that dropped the connection causes a timeout, which is an `OSError`.
_PING_ERRORS: Final = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError)


def create_engine(url: str, *, pool_size: int = 10) -> AsyncEngine:
    """Return an engine; `hide_parameters` keeps personal data out of exceptions and logs."""
    target = parse_database_url(url)
    if target.url.get_backend_name() == "sqlite":
        # SQLite fails a read transaction that later writes with SQLITE_BUSY_SNAPSHOT, without waiting, so there is
        # one connection, and every transaction begins as a writer (https://www.sqlite.org/isolation.html).
        engine = create_async_engine(
            target.url,
            hide_parameters=True,
            pool_size=1,
            max_overflow=0,
            pool_timeout=10,
            connect_args=target.connect_args,
        )
        event.listen(engine.sync_engine, "connect", _set_up_sqlite)
        event.listen(engine.sync_engine, "begin", _begin_immediate)
        return engine
    engine = create_async_engine(
        target.url,
        hide_parameters=True,
        pool_size=pool_size,
        max_overflow=0,
        # An unresponsive server takes 9 s, within a request's deadline: the wait for a connection, a statement, 2 s in
        # which SQLAlchemy closes the broken connection, and a new connection.
        pool_timeout=2,
        connect_args={**target.connect_args, "command_timeout": 3},
    )
    pings = _IdlePings()
    event.listen(engine.sync_engine, "checkin", pings.on_checkin)
    event.listen(engine.sync_engine, "checkout", pings.on_checkout)
    event.listen(engine.sync_engine, "close", pings.on_close)
    event.listen(engine.sync_engine, "handle_error", _replace_unusable_connections)
    return engine


def create_session_factory(engine: AsyncEngine) -> SessionFactory:
    """Return the session factory; objects stay readable after their session is closed."""
    return async_sessionmaker(engine, expire_on_commit=False)


def autocommit_engine(engine: AsyncEngine) -> AsyncEngine:
    """Return an engine with the same pool for single statements, without the round trips of a transaction."""
    options = (
        {_WITHOUT_TRANSACTION: True} if engine.dialect.name == "sqlite" else {"isolation_level": "AUTOCOMMIT"}
    )
    return engine.execution_options(**options)


class _IdlePings:
    """Pings of idle connections at checkout; `pool_pre_ping` would ping before every use."""

    def __init__(self) -> None:
        self._failed_at = -math.inf

    def on_checkin(self, _connection: Any, record: Any) -> None:
        record.info["used_at"] = time.monotonic()

    def on_checkout(self, connection: Any, record: Any, _proxy: Any) -> None:
        if time.monotonic() - record.info.get("used_at", math.inf) < PING_AFTER_SECONDS:
            return
        try:
            connection.run_async(_ping)
        except _PING_ERRORS as error:
            self._failed_at = time.monotonic()
            # The pool then closes this connection and all older ones and opens a new one.
            raise InvalidatePoolError from error

    def on_close(self, connection: Any, record: Any) -> None:
        """Abort a connection that was last used before a failed ping: a graceful close would wait 2 s for each."""
        if record.info.get("used_at", math.inf) <= self._failed_at:
            connection.driver_connection.terminate()


async def _ping(connection: asyncpg.Connection) -> None:
    # asyncpg 0.32 raises an `AttributeError` for an empty query, because the response has no status.
    await connection.execute("SELECT 1", timeout=PING_TIMEOUT_SECONDS)


def _replace_unusable_connections(context: ExceptionContext) -> None:
    """Let the pool replace its connections after some errors: a server that becomes a standby does not close them."""
    if reaction_to(context.original_exception) == "reconnect":
        context.is_disconnect = True


def _set_up_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "busy_timeout=5000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_immediate(connection: Any) -> None:
    if not connection.get_execution_options().get(_WITHOUT_TRANSACTION):
        connection.exec_driver_sql("BEGIN IMMEDIATE")
