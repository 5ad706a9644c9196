"""Runs Alembic on the migrations that come with the package or stand in the checkout."""

import os
from pathlib import Path

from alembic import command
from alembic.config import Config

import crm_api


def upgrade(database_url: str) -> None:
    """Bring the database to the newest revision; running it again changes nothing."""
    os.environ["DATABASE_URL"] = database_url  # what alembic/env.py reads
    command.upgrade(alembic_config(), "head")


def alembic_config() -> Config:
    """Alembic's configuration, wherever the migrations are."""
    package = Path(crm_api.__file__).parent
    packaged, checkout = package / "migrations", package.parents[1] / "alembic"
    config = Config()
    config.set_main_option(
        "script_location", str(packaged if packaged.is_dir() else checkout).replace("%", "%%")
    )
    return config
