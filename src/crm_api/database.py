"""Engine and session factories for PostgreSQL or an SQLite file."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from sqlalchemy import event
from sqlalchemy.engine import Dialect, make_url
from sqlalchemy.exc import ArgumentError, InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

SessionFactory = async_sessionmaker[AsyncSession]
"""Factory of database sessions; none may stay open during a HubSpot call."""

_WITHOUT_TRANSACTION: Final = "crm_api_without_transaction"
# Connections used within this time are not pinged; if one of them is closed, one request fails.
PING_AFTER_SECONDS: Final = 1.0


class DatabaseUrlError(ValueError):
    """DATABASE_URL that names no usable database."""


def async_url(url: str) -> str:
    """Return the URL with its async driver; it may start with `postgresql://`, `postgres://` or `sqlite:///`.

    Raises `DatabaseUrlError` for an unusable URL and does not quote it, because it may contain a password.
    """
    if url.startswith("postgres://"):
        url = "postgresql://" + url.removeprefix("postgres://")
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # ValueError: the port is not a number
        raise DatabaseUrlError(
            "DATABASE_URL: write postgresql://user:password@host/name or sqlite:///path"
        ) from None
    drivers = {"postgresql": "postgresql+asyncpg", "sqlite": "sqlite+aiosqlite"}
    backend = parsed.get_backend_name()
    if backend not in drivers:
        raise DatabaseUrlError(f"DATABASE_URL: {backend} is not supported; use postgresql or sqlite")
    if backend == "sqlite" and parsed.database in (None, "", ":memory:"):
        # Each connection would have its own in-memory database, or lose rows if they share one.
        raise DatabaseUrlError("DATABASE_URL: SQLite needs a file, such as sqlite:///crm-api.db")
    if backend == "sqlite" and not Path(str(parsed.database)).absolute().parent.is_dir():
        raise DatabaseUrlError(f"DATABASE_URL: the folder of {parsed.database} does not exist")
    return parsed.set(drivername=drivers[backend]).render_as_string(hide_password=False)


def create_engine(url: str, *, pool_size: int = 10) -> AsyncEngine:
    """Return an engine; `hide_parameters` keeps personal data out of exceptions and logs."""
    url = async_url(url)
    if url.startswith("sqlite"):
        # SQLite fails a read transaction that later writes with SQLITE_BUSY_SNAPSHOT, without waiting, so there is
        # one connection, and every transaction begins as a writer (https://www.sqlite.org/isolation.html).
        engine = create_async_engine(
            url,
            hide_parameters=True,
            pool_size=1,
            max_overflow=0,
            pool_timeout=10,
            connect_args={"timeout": 5.0},
        )
        event.listen(engine.sync_engine, "connect", _set_up_sqlite)
        event.listen(engine.sync_engine, "begin", _begin_immediate)
        return engine
    engine = create_async_engine(
        url,
        hide_parameters=True,
        pool_size=pool_size,
        max_overflow=0,
        # An unresponsive server takes 9 s, within a request's deadline: the wait for a connection, a ping, 2 s in which
        # SQLAlchemy closes the broken connection, and a new connection.
        pool_timeout=2,
        connect_args={"timeout": 2, "command_timeout": 3},
    )
    event.listen(engine.sync_engine, "checkin", _note_use)
    event.listen(engine.sync_engine, "checkout", _ping_if_idle(engine.dialect))
    return engine


def create_session_factory(engine: AsyncEngine) -> SessionFactory:
    """Return the session factory; objects stay readable after their session is closed."""
    return async_sessionmaker(engine, expire_on_commit=False)


def create_read_session_factory(engine: AsyncEngine) -> SessionFactory:
    """Return a session factory for single reads, without the round trips that begin and end a transaction."""
    options = (
        {_WITHOUT_TRANSACTION: True} if engine.dialect.name == "sqlite" else {"isolation_level": "AUTOCOMMIT"}
    )
    return create_session_factory(engine.execution_options(**options))


def _note_use(_connection: Any, record: Any) -> None:
    record.info["used_at"] = time.monotonic()


def _ping_if_idle(dialect: Dialect) -> Callable[[Any, Any, Any], None]:
    """Return a checkout listener that pings idle connections; `pool_pre_ping` would ping before every use."""

    def ping(connection: Any, record: Any, _proxy: Any) -> None:
        used_at = record.info.get("used_at")
        if used_at is None or time.monotonic() - used_at < PING_AFTER_SECONDS:
            return
        try:
            dialect.do_ping(connection)
        except dialect.loaded_dbapi.Error as error:
            if dialect.is_disconnect(error, connection, None):
                # The pool then closes this connection and all older ones and opens a new one.
                raise InvalidatePoolError from error
            raise

    return ping


def _set_up_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "busy_timeout=5000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_immediate(connection: Any) -> None:
    if not connection.get_execution_options().get(_WITHOUT_TRANSACTION):
        connection.exec_driver_sql("BEGIN IMMEDIATE")
