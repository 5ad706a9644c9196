"""The servers of a run, each a process of its own: the emulator, our service, the peers, a PostgreSQL."""

import http.client
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import psutil
from benchmarks.emulator import Emulator, token_of
from tests.support.postgres import PostgresServer, start_postgres
from tests.support.processes import free_port

ROOT: Final = Path(__file__).parents[1]
GUNICORN_THREADS: Final = 8
"""Of each process; gunicorn's documentation advises two to four for each core."""
CONNECTIONS: Final = 40
"""To HubSpot, of each process of ours and of the floor: as many as peer (b) has threads, which are FastAPI's own."""
START_SECONDS: Final = 30.0
PLENTY: Final = "100000000 per 1 minute"


class Server:
    """A process that serves HTTP, started here and stopped by `close`."""

    def __init__(
        self, name: str, command: list[str], port: int, environment: Mapping[str, str], folder: Path
    ):
        self.name = name
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.log = folder / f"{name}-{port}.log"
        inherited = {each: os.environ[each] for each in ("PATH", "HOME", "LANG") if each in os.environ}
        started = time.perf_counter()
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                # Not the checkout, whose .env is somebody's own.
                cwd=folder,
                env={**inherited, "PYTHONPATH": str(ROOT), **environment},
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            self._wait_for_an_answer()
        except BaseException:
            self.close()
            raise
        self.start_seconds = time.perf_counter() - started
        """From the process's start to its first answer."""

    def _wait_for_an_answer(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            with suppress(OSError, http.client.HTTPException):
                connection.request("GET", "/healthz")
                connection.getresponse().read()
                return
            connection.close()
            time.sleep(0.005)
        raise AssertionError(f"{self.name} did not start:\n{self.log.read_text()[-2000:]}")

    @property
    def processes(self) -> list[psutil.Process]:
        """The process and those that it started."""
        parent = psutil.Process(self._process.pid)
        return [parent, *parent.children(recursive=True)]

    @property
    def cpu_seconds(self) -> float:
        """What all its processes have used so far."""
        times = [each.cpu_times() for each in self.processes]
        return float(sum(each.user + each.system for each in times))

    @property
    def memory_megabytes(self) -> float:
        """What the largest of its processes holds."""
        return float(max(each.memory_info().rss for each in self.processes) / 1e6)

    def close(self) -> None:
        """Ask it to end, then make it; nobody waits for what it still has to do."""
        if self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(timeout=5)


@dataclass
class Stage:
    """One run's servers; all of them end with it."""

    folder: Path
    _servers: ExitStack = field(default_factory=ExitStack)
    _postgres: PostgresServer | None = None
    _template: str = ""
    _secrets: tuple[str, str] = field(default_factory=lambda: (secrets.token_hex(32), secrets.token_hex(32)))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._servers.close()

    def database(self) -> str:
        """The URL of a new, migrated PostgreSQL database."""
        if self._postgres is None:
            self._postgres = start_postgres()
            self._servers.callback(self._postgres.stop)
            self._template = self._postgres.create_database()
            environment = os.environ | {"DATABASE_URL": self._template}
            alembic = [sys.executable, "-m", "alembic", "upgrade", "head"]
            subprocess.run(alembic, cwd=ROOT, env=environment, check=True)
        return self._postgres.create_database(self._template)

    def start(self, name: str, command: list[str], environment: Mapping[str, str]) -> Server:
        """Start a server; `{port}` in its command is where it is to listen."""
        port = free_port()
        command = [part.format(port=port) for part in command]
        server = Server(name, command, port, environment, self.folder)
        self._servers.callback(server.close)
        return server

    def emulator(self) -> Emulator:
        """An emulator, without latency and limits until it is told otherwise."""
        command = [sys.executable, "-m", "crm_api", "emulator", "--port", "{port}"]
        return Emulator(self.start("emulator", command, {}).url)

    def service(self, emulator: Emulator, *, workers: int = 1, database: str, **settings: str) -> Server:
        """Our service as an operator starts it, with limits that nobody here reaches."""
        environment = {
            "ENVIRONMENT": "development",
            "LOG_FORMAT": "json",
            "SECRET_KEY": self._secrets[0],
            "JWT_SECRET_KEY": self._secrets[1],
            "DATABASE_URL": database,
            "HUBSPOT_BASE_URL": emulator.url,
            "HUBSPOT_ACCESS_TOKEN": token_of("crm-api"),
            "HUBSPOT_BURST_LIMIT": "100000000",
            "HUBSPOT_SEARCH_LIMIT": "100000000",
            "HUBSPOT_MAX_CONNECTIONS": str(CONNECTIONS),
            "BCRYPT_ROUNDS": "4",
            "MAX_CONNECTIONS": "10000",
            "MAX_CONNECTIONS_PER_ADDRESS": "10000",
            "RATE_LIMIT_USER": PLENTY,
            "RATE_LIMIT_REGISTRATIONS": PLENTY,
            "RATE_LIMIT_FAILED_LOGINS_PER_ACCOUNT": PLENTY,
            "RATE_LIMIT_FAILED_LOGINS_PER_ADDRESS": PLENTY,
        } | settings
        command = [sys.executable, "-m", "crm_api", "serve", "--port", "{port}", "--workers", str(workers)]
        return self.start("crm-api", command, environment)

    def flask(self, emulator: Emulator, *, workers: int = 1, rounds: int = 4) -> Server:
        """Peer (a)."""
        gunicorn = [
            sys.executable, "-m", "gunicorn", "--bind", "127.0.0.1:{port}", "--workers", str(workers),
            "--threads", str(GUNICORN_THREADS), "--timeout", "180", "--log-level", "warning",
            "benchmarks.peers.flask_service:create_app()",
        ]  # fmt: skip
        return self.start("flask", gunicorn, self._peer_environment("flask", emulator, rounds))

    def fastapi(self, emulator: Emulator, *, workers: int = 1, rounds: int = 4) -> Server:
        """Peer (b)."""
        app = "benchmarks.peers.fastapi_service:create_app"
        return self.start(
            "fastapi", _uvicorn(app, workers), self._peer_environment("fastapi", emulator, rounds)
        )

    def floor(self, emulator: Emulator, *, workers: int = 1) -> Server:
        """Peer (c)."""
        app = "benchmarks.peers.floor:create_app"
        environment = self._peer_environment("floor", emulator, 4)
        return self.start(
            "floor", _uvicorn(app, workers), environment | {"HUBSPOT_MAX_CONNECTIONS": str(CONNECTIONS)}
        )

    def own_floor(self, database: str, pipelines: Path) -> Server:
        """The floor of requests without HubSpot."""
        environment = {"DATABASE_URL": database, "FLOOR_PIPELINES": str(pipelines)}
        return self.start("own-floor", _uvicorn("benchmarks.peers.own_floor:create_app", 1), environment)

    def _peer_environment(self, name: str, emulator: Emulator, rounds: int) -> dict[str, str]:
        return {
            "HUBSPOT_BASE_URL": emulator.url,
            "HUBSPOT_ACCESS_TOKEN": token_of(name),
            "PEER_DATABASE": str(self.folder / f"peer-{secrets.token_hex(4)}.db"),
            "BCRYPT_ROUNDS": str(rounds),
        }


def _uvicorn(app: str, workers: int) -> list[str]:
    # As our service runs it: uvloop and httptools, found by uvicorn itself, and no access log.
    return [
        sys.executable, "-m", "uvicorn", "--factory", app, "--port", "{port}",
        "--workers", str(workers), "--no-access-log", "--log-level", "warning",
    ]  # fmt: skip
