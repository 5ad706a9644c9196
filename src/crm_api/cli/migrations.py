"""Database migrations with Alembic, from the installed package or the checkout."""

import asyncio
import os
from pathlib import Path

import click
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

import crm_api
from crm_api.database import create_engine
from crm_api.services.health import is_schema_missing


class NewerSchemaError(click.ClickException):
    """Database schema that is newer than this version of the service."""

    exit_code = 3


def upgrade(database_url: str) -> tuple[str | None, str]:
    """Migrate the database to the newest revision and return the revisions before and after.

    A second run changes nothing. Raises `NewerSchemaError` if a newer version has migrated the database.
    """
    config = alembic_config()
    known = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    before = asyncio.run(_read_revision(database_url))
    if before is not None and before not in known:
        raise NewerSchemaError(
            f"the database is at revision {before}, and this version of crm-api knows revisions up to {known[0]}: "
            "run migrate with the newer version. This version runs on the schema of the next version"
        )
    os.environ["DATABASE_URL"] = database_url  # read by alembic/env.py
    command.upgrade(config, "head")
    return before, known[0]


async def _read_revision(database_url: str) -> str | None:
    """Return the revision of the database, or None if it has no schema yet."""
    engine = create_engine(database_url)
    try:
        async with engine.connect() as connection:
            revision: str | None = (
                await connection.execute(text("SELECT version_num FROM alembic_version"))
            ).scalar()
            return revision
    except DBAPIError as error:
        if is_schema_missing(error):
            return None
        raise
    finally:
        await engine.dispose()


def alembic_config() -> Config:
    """Return Alembic's configuration with the folder of the migrations."""
    package = Path(crm_api.__file__).parent
    packaged, checkout = package / "migrations", package.parents[1] / "alembic"
    location = packaged if packaged.is_dir() else checkout
    config = Config()
    config.set_main_option("script_location", str(location).replace("%", "%%"))
    return config
