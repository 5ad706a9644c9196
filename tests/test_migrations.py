"""The migrations create the schema of the models on both databases."""

import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from alembic.script import ScriptDirectory
from click.testing import CliRunner
from sqlalchemy import (
    Connection,
    MetaData,
    Row,
    Table,
    create_engine,
    delete,
    insert,
    select,
    text,
    update,
)

from crm_api.cli import main
from crm_api.cli.migrations import alembic_config
from crm_api.models import SCHEMA_REVISION, now

ROOT = Path(__file__).parents[1]
REVISIONS = [script.revision for script in ScriptDirectory.from_config(alembic_config()).walk_revisions()][
    ::-1
]
# Migration 0002 is older than the first release, and so than the promise in docs/upgrade-and-backup.md.
FIRST_COMPATIBLE_REVISION = "0003"
# Values that a check constraint allows.
CHOICES = {
    ("users", "status"): "active",
    ("users", "role"): "staff",
    ("mail_tokens", "purpose"): "verify_email",
}


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


def copy_row(connection: Connection, table: Table, done: dict[str, Row[Any]]) -> None:
    """Insert a row into the columns of an earlier version, with a parent for each foreign key."""
    values: dict[str, Any] = {}
    for column in table.columns:
        if foreign_key := next(iter(column.foreign_keys), None):
            values[column.name] = done[foreign_key.column.table.name][0]
        elif (table.name, column.name) in CHOICES:
            values[column.name] = CHOICES[table.name, column.name]
        elif table.name == "hubspot_account" and column.name == "id":
            values[column.name] = 1
        elif column.type.python_type is UUID:
            values[column.name] = uuid4()
        elif column.type.python_type is datetime:
            values[column.name] = now()
        elif column.type.python_type is str:
            values[column.name] = uuid4().hex[: getattr(column.type, "length", None) or 32]
        else:
            values[column.name] = column.type.python_type(0)
    if table.name == "hubspot_account":  # the table has one row at most
        connection.execute(delete(table))
    connection.execute(insert(table).values(**values))
    key = [column == values[column.name] for column in table.primary_key]
    done[table.name] = connection.execute(select(table).where(*key)).one()
    assert dict(done[table.name]._mapping).keys() == values.keys()
    connection.execute(update(table).where(*key).values(values))


def use_as_earlier_version(connection: Connection, metadata: MetaData) -> None:
    """Insert, read and change a row of each table as the version with this schema does."""
    done: dict[str, Row[Any]] = {}
    for table in metadata.sorted_tables:
        if table.name != "alembic_version":
            copy_row(connection, table, done)


@pytest.mark.parametrize("database_backend", ["sqlite"], indirect=True)
@pytest.mark.parametrize("revision", REVISIONS[REVISIONS.index(FIRST_COMPATIBLE_REVISION) :])
def test_previous_version_works_on_the_schema(database_url: str, revision: str) -> None:
    """A new column must be nullable or have a default, and no used column may disappear or change its meaning."""
    previous = REVISIONS[REVISIONS.index(revision) - 1]
    alembic(database_url, "downgrade", previous)
    engine = create_engine(database_url)
    metadata = MetaData()
    metadata.reflect(engine)
    with engine.begin() as connection:
        use_as_earlier_version(connection, metadata)
    # The rows of the previous version must survive the migration too.
    alembic(database_url, "upgrade", revision)
    with engine.begin() as connection:
        use_as_earlier_version(connection, metadata)
    engine.dispose()


@pytest.mark.parametrize("database_backend", ["sqlite"], indirect=True)
def test_migrate_reports_revisions_and_a_newer_schema(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ENVIRONMENT", "development")

    def migrate(url: str) -> tuple[int, str]:
        monkeypatch.setenv("DATABASE_URL", url)
        result = CliRunner().invoke(main, ["migrate"])
        return result.exit_code, result.output

    new = f"sqlite:///{tmp_path}/new.db"
    first = f"The database was migrated from an empty database to revision {SCHEMA_REVISION}.\n"
    assert migrate(new) == (0, first)
    assert migrate(new) == (0, f"The database is up to date, at revision {SCHEMA_REVISION}.\n")
    alembic(new, "downgrade", REVISIONS[-2])
    message = f"The database was migrated from {REVISIONS[-2]} to revision {SCHEMA_REVISION}.\n"
    assert migrate(new) == (0, message)
    engine = create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    status, output = migrate(database_url)
    assert (status, len(output.splitlines())) == (3, 1)
    assert output.startswith("Error: the database is at revision 9999, and this version")


def test_schema_revision_is_the_newest_migration() -> None:
    assert ScriptDirectory.from_config(alembic_config()).get_current_head() == SCHEMA_REVISION


def test_migration_revisions_are_consecutive_numbers() -> None:
    """Readiness compares numbers, so that an older process accepts a newer schema."""
    scripts = list(ScriptDirectory.from_config(alembic_config()).walk_revisions())
    numbers = [int(script.revision) for script in reversed(scripts)]
    assert numbers == list(range(1, len(numbers) + 1))
