"""The engine and its sessions, set up for PostgreSQL or an SQLite file."""

from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

Sessions = async_sessionmaker[AsyncSession]


class DatabaseUrlError(ValueError):
    """DATABASE_URL names no database that can be used."""


def async_url(url: str) -> str:
    """The URL with its async driver; plain `postgresql://`, `postgres://` and `sqlite:///` are accepted.

    Raises `DatabaseUrlError`, which does not repeat the URL: it holds a password.
    """
    if url.startswith("postgres://"):
        url = "postgresql://" + url.removeprefix("postgres://")
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # the latter for a port that is no number
        raise DatabaseUrlError(
            "DATABASE_URL: write postgresql://user:password@host/name or sqlite:///path"
        ) from None
    drivers = {"postgresql": "postgresql+asyncpg", "sqlite": "sqlite+aiosqlite"}
    backend = parsed.get_backend_name()
    if backend not in drivers:
        raise DatabaseUrlError(f"DATABASE_URL: {backend} is not supported; use postgresql or sqlite")
    if backend == "sqlite" and parsed.database in (None, "", ":memory:"):
        # Its connections would each have a database of their own, or lose rows sharing one.
        raise DatabaseUrlError("DATABASE_URL: SQLite needs a file, such as sqlite:///crm-api.db")
    return parsed.set(drivername=drivers[backend]).render_as_string(hide_password=False)


def create_engine(url: str, *, pool_size: int = 10) -> AsyncEngine:
    """An engine for the URL; `hide_parameters` keeps personal data out of exceptions and logs."""
    url = async_url(url)
    if url.startswith("sqlite"):
        # A read that turns into a write fails at once with SQLITE_BUSY_SNAPSHOT, whatever the timeout says:
        # so one connection, and every transaction begins as a writer (https://www.sqlite.org/isolation.html).
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
    return create_async_engine(
        url,
        hide_parameters=True,
        pool_size=pool_size,
        max_overflow=0,
        # A server that hangs costs a wait for a connection, a ping, 2 s in which SQLAlchemy closes what is broken, and
        # a new connection: 9 s, within a request's deadline.
        pool_timeout=2,
        pool_pre_ping=True,
        connect_args={"timeout": 2, "command_timeout": 3},
    )


def create_sessions(engine: AsyncEngine) -> Sessions:
    """The sessions of an engine; objects stay readable after their session is closed."""
    return async_sessionmaker(engine, expire_on_commit=False)


def _set_up_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "busy_timeout=5000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_immediate(connection: Any) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
