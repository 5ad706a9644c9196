"""The migrations make what the models say, on both databases."""

import os
import subprocess
import sys
from pathlib import Path

from alembic.script import ScriptDirectory

from crm_api.cli.migrations import alembic_config
from crm_api.models import SCHEMA_REVISION

ROOT = Path(__file__).parents[1]


def alembic(database_url: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "alembic", *arguments],
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": database_url},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_models_are_what_the_migrations_make(database_url: str) -> None:
    assert "No new upgrade operations detected" in alembic(database_url, "check")


def test_down_and_up_again(database_url: str) -> None:
    alembic(database_url, "downgrade", "base")
    alembic(database_url, "upgrade", "head")
    assert "No new upgrade operations detected" in alembic(database_url, "check")


def test_readiness_knows_the_newest_revision() -> None:
    assert ScriptDirectory.from_config(alembic_config()).get_current_head() == SCHEMA_REVISION


def test_revisions_are_numbered_so_that_an_older_process_knows_a_newer_schema() -> None:
    scripts = list(ScriptDirectory.from_config(alembic_config()).walk_revisions())
    numbers = [int(script.revision) for script in reversed(scripts)]
    assert numbers == list(range(1, len(numbers) + 1))
