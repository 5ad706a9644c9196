"""Database migrations with Alembic, from the installed package or the checkout."""

import os
from pathlib import Path

from alembic import command
from alembic.config import Config

import crm_api


def upgrade(database_url: str) -> None:
    """Migrate the database to the newest revision; a second run changes nothing."""
    os.environ["DATABASE_URL"] = database_url  # read by alembic/env.py
    command.upgrade(alembic_config(), "head")


def alembic_config() -> Config:
    """Return Alembic's configuration with the folder of the migrations."""
    package = Path(crm_api.__file__).parent
    packaged, checkout = package / "migrations", package.parents[1] / "alembic"
    location = packaged if packaged.is_dir() else checkout
    config = Config()
    config.set_main_option("script_location", str(location).replace("%", "%%"))
    return config
