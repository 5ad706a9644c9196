"""The migrations create the schema of the models on both databases."""

import os
import subprocess
import sys
from pathlib import Path

from alembic.script import ScriptDirectory

from crm_api.cli.migrations import alembic_config
from crm_api.models import SCHEMA_REVISION

ROOT = Path(__file__).parents[1]


def alembic(database_url: str, *arguments: str) -> str:
    process = subprocess.run(
        [sys.executable, "-m", "alembic", *arguments],
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": database_url},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout + process.stderr


def test_migrations_match_the_models(database_url: str) -> None:
    assert "No new upgrade operations detected" in alembic(database_url, "check")


def test_downgrade_and_upgrade_restore_the_schema(database_url: str) -> None:
    alembic(database_url, "downgrade", "base")
    alembic(database_url, "upgrade", "head")
    assert "No new upgrade operations detected" in alembic(database_url, "check")


def test_schema_revision_is_the_newest_migration() -> None:
    assert ScriptDirectory.from_config(alembic_config()).get_current_head() == SCHEMA_REVISION


def test_migration_revisions_are_consecutive_numbers() -> None:
    """Readiness compares numbers, so that an older process accepts a newer schema."""
    scripts = list(ScriptDirectory.from_config(alembic_config()).walk_revisions())
    numbers = [int(script.revision) for script in reversed(scripts)]
    assert numbers == list(range(1, len(numbers) + 1))
