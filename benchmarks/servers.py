"""Server processes of a run: the emulator, crm-api, the peers and PostgreSQL."""

import http.client
import os
import secrets
import shutil
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
from benchmarks.peers.users import SECRET
from tests.support.postgres import PostgresServer, start_postgres
from tests.support.processes import free_port

from crm_api.settings import Settings

ROOT: Final = Path(__file__).parents[1]
GUNICORN_THREADS: Final = 8
"""Threads per process; gunicorn recommends two to four per core."""
MAX_CONNECTIONS: Final[int] = Settings.model_fields["hubspot_max_connections"].default
"""Connections to HubSpot per process of crm-api and the lower bound."""
START_SECONDS: Final = 30.0
INSTALL_SECONDS: Final = 300.0
UNLIMITED: Final = "100000000 per 1 minute"


class Server:
    """Process that serves HTTP; the constructor returns when it accepts requests."""

    def __init__(
        self, name: str, command: list[str], port: int, environment: Mapping[str, str], folder: Path
    ):
        self.name = name
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.log = folder / f"{name}-{port}.log"
        inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        started = time.perf_counter()
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                # The checkout can have a .env, so it is not the working directory.
                cwd=folder,
                env={**inherited, "PYTHONPATH": str(ROOT), **environment},
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            self._wait_until_ready()
        except BaseException:
            self.close()
            raise
        self.start_seconds = time.perf_counter() - started
        """Time from the start of the process to its first response."""

    def _wait_until_ready(self) -> None:
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
        """Return the process and its children."""
        parent = psutil.Process(self._process.pid)
        return [parent, *parent.children(recursive=True)]

    @property
    def cpu_seconds(self) -> float:
        """Return the CPU time of all its processes so far."""
        times = [process.cpu_times() for process in self.processes]
        return float(sum(used.user + used.system for used in times))

    @property
    def memory_megabytes(self) -> float:
        """Return the resident memory of its largest process."""
        return float(max(process.memory_info().rss for process in self.processes) / 1e6)

    def close(self) -> None:
        """Send SIGTERM, and SIGKILL after one second."""
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
class Servers:
    """Servers of a run, all stopped at the end."""

    folder: Path
    _servers: ExitStack = field(default_factory=ExitStack)
    _postgres: PostgresServer | None = None
    _template: str = ""
    _secrets: tuple[str, str] = field(default_factory=lambda: (secrets.token_hex(32), secrets.token_hex(32)))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._servers.close()

    def database(self) -> str:
        """Create and migrate a PostgreSQL database and return its URL."""
        if self._postgres is None:
            self._postgres = start_postgres()
            self._servers.callback(self._postgres.stop)
            self._template = self._postgres.create_database()
            environment = os.environ | {"DATABASE_URL": self._template}
            alembic = [sys.executable, "-m", "alembic", "upgrade", "head"]
            subprocess.run(alembic, cwd=ROOT, env=environment, check=True)
        return self._postgres.create_database(self._template)

    def start(self, name: str, command: list[str], environment: Mapping[str, str]) -> Server:
        """Start a server; `{port}` in the command is replaced by a free port."""
        port = free_port()
        command = [part.format(port=port) for part in command]
        server = Server(name, command, port, environment, self.folder)
        self._servers.callback(server.close)
        return server

    def emulator(self) -> Emulator:
        """Start an emulator without latency and limits."""
        command = [sys.executable, "-m", "crm_api", "emulator", "--port", "{port}"]
        return Emulator(self.start("emulator", command, {}).url)

    def service(self, emulator: Emulator, *, workers: int = 1, database: str, **settings: str) -> Server:
        """Start crm-api with limits that the run does not reach."""
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
            "HUBSPOT_DAILY_LIMIT_PER_USER": "100000000",
            "BCRYPT_ROUNDS": "4",
            "MAX_SESSIONS_PER_USER": "1000",
            "RATE_LIMIT_MAILS_PER_RECIPIENT": UNLIMITED,
            "RATE_LIMIT_LOGINS_PER_ADDRESS": UNLIMITED,
            "RATE_LIMIT_FAILED_LOGINS_PER_ACCOUNT_TOTAL": UNLIMITED,
            "MAX_CONNECTIONS": "10000",
            "MAX_CONNECTIONS_PER_ADDRESS": "10000",
            "RATE_LIMIT_USER": UNLIMITED,
            "RATE_LIMIT_REGISTRATIONS": UNLIMITED,
            "RATE_LIMIT_FAILED_LOGINS_PER_ACCOUNT": UNLIMITED,
            "RATE_LIMIT_FAILED_LOGINS_PER_ADDRESS": UNLIMITED,
        } | settings
        command = [sys.executable, "-m", "crm_api", "serve", "--port", "{port}", "--workers", str(workers)]
        return self.start("crm-api", command, environment)

    def flask(self, emulator: Emulator, *, workers: int = 1, rounds: int = 4) -> Server:
        """Start peer (a)."""
        gunicorn = [
            sys.executable, "-m", "gunicorn", "--bind", "127.0.0.1:{port}", "--workers", str(workers),
            "--threads", str(GUNICORN_THREADS), "--timeout", "180", "--log-level", "warning",
            "benchmarks.peers.flask_service:create_app()",
        ]  # fmt: skip
        return self.start("flask", gunicorn, self._peer_environment("flask", emulator, rounds))

    def fastapi(self, emulator: Emulator, *, workers: int = 1, rounds: int = 4) -> Server:
        """Start peer (b)."""
        app = "benchmarks.peers.fastapi_service:create_app"
        return self.start(
            "fastapi", _uvicorn(app, workers), self._peer_environment("fastapi", emulator, rounds)
        )

    def lower_bound(self, emulator: Emulator, *, workers: int = 1) -> Server:
        """Start the lower bound (c)."""
        app = "benchmarks.peers.lower_bound:create_app"
        environment = self._peer_environment("lower-bound", emulator, 4)
        return self.start(
            "lower-bound",
            _uvicorn(app, workers),
            environment | {"HUBSPOT_MAX_CONNECTIONS": str(MAX_CONNECTIONS)},
        )

    def node(self, emulator: Emulator, *, workers: int) -> Server | None:
        """Start peer (d) after installing its packages; return None without Node."""
        if shutil.which("node") is None or shutil.which("npm") is None:
            return None
        folder = ROOT / "benchmarks" / "peers" / "node"
        # npm writes this file last, so it is missing after an interrupted installation.
        if not (folder / "node_modules" / ".package-lock.json").is_file():
            install = ["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"]
            subprocess.run(install, cwd=folder, check=True, timeout=INSTALL_SECONDS)
        environment = {
            "NODE_ENV": "production",
            "PROCESSES": str(workers),
            "HUBSPOT_BASE_URL": emulator.url,
            "HUBSPOT_ACCESS_TOKEN": token_of("node"),
            "PEER_TOKEN_SECRET": SECRET,
        }
        return self.start("node", ["node", str(folder / "service.mjs"), "{port}"], environment)

    def local_lower_bound(self, database: str, pipelines: Path) -> Server:
        """Start the lower bound of requests without HubSpot."""
        environment = {"DATABASE_URL": database, "PIPELINES_FILE": str(pipelines)}
        return self.start(
            "local-lower-bound", _uvicorn("benchmarks.peers.local_lower_bound:create_app", 1), environment
        )

    def _peer_environment(self, name: str, emulator: Emulator, rounds: int) -> dict[str, str]:
        return {
            "HUBSPOT_BASE_URL": emulator.url,
            "HUBSPOT_ACCESS_TOKEN": token_of(name),
            "PEER_DATABASE": str(self.folder / f"peer-{secrets.token_hex(4)}.db"),
            "BCRYPT_ROUNDS": str(rounds),
        }


def _uvicorn(app: str, workers: int) -> list[str]:
    # Same as crm-api: uvicorn finds uvloop and httptools, and writes no access log.
    return [
        sys.executable, "-m", "uvicorn", "--factory", app, "--port", "{port}",
        "--workers", str(workers), "--no-access-log", "--log-level", "warning",
    ]  # fmt: skip
