"""Runs the migrations on the database in DATABASE_URL."""

import asyncio
import os
from typing import Any

from alembic import context
from sqlalchemy import Connection, event
from sqlalchemy.ext.asyncio import create_async_engine

from crm_api.database import parse_database_url
from crm_api.models import Base, UtcDateTime


def run(connection: Connection) -> None:
    """Run the migrations on an open connection."""
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        # SQLite cannot alter a table, so Alembic copies it.
        render_as_batch=True,
        compare_type=True,
        render_item=_render_plain_types,
    )
    with context.begin_transaction():
        context.run_migrations()


def _render_plain_types(item_type: str, item: Any, _context: Any) -> str | bool:
    # Migrations use plain types, so that they do not change with the code of the models.
    return "sa.DateTime(timezone=True)" if item_type == "type" and isinstance(item, UtcDateTime) else False


async def run_online() -> None:
    """Connect and run all migrations in one transaction."""
    target = parse_database_url(os.environ["DATABASE_URL"])
    engine = create_async_engine(target.url, connect_args=target.connect_args)
    if engine.dialect.name == "sqlite":
        # Copying a table with foreign keys enabled would delete the rows that refer to it.
        event.listen(engine.sync_engine, "connect", _without_foreign_keys)
    async with engine.begin() as connection:
        await connection.run_sync(run)
    await engine.dispose()


def _without_foreign_keys(connection: object, _record: object) -> None:
    cursor = connection.cursor()  # type: ignore[attr-defined]
    cursor.execute("PRAGMA foreign_keys=OFF")
    cursor.close()


if context.is_offline_mode():
    raise SystemExit("offline migrations are not supported, run them with a database connection")
asyncio.run(run_online())
