"""Service and emulator in separate processes on the loopback address."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import httpx
from tests.support.foreign_changes import READ_CACHE_SECONDS

# A start takes up to ten seconds on a busy machine.
START_SECONDS = 60.0


def free_port() -> int:
    """Return a TCP port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def is_listening(port: int) -> bool:
    """Return True if a server accepts connections on this port of the loopback address."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


class Process:
    """Server process; the constructor returns when it accepts requests."""

    def __init__(
        self, command: list[str], port: int, *, path: str, environment: dict[str, str], log: Path
    ) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command, env=environment, stdout=output, stderr=output, start_new_session=True, cwd=log.parent
            )
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                httpx.get(self.url + path, timeout=1)
                return
            except httpx.TransportError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    self.kill()
                    raise AssertionError(f"the server did not start:\n{log.read_text()}") from None
                time.sleep(0.05)

    @property
    def pid(self) -> int:
        """Return the process ID."""
        return self._process.pid

    @property
    def output(self) -> str:
        return self._log.read_text(encoding="utf-8")

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to the main process only, as an orchestrator does."""
        self._process.send_signal(number)

    def signal_group(self, number: signal.Signals) -> None:
        """Send a signal to the process and its workers, if it still runs."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, number)

    def kill(self) -> None:
        """End the process and its workers with SIGKILL."""
        self.signal_group(signal.SIGKILL)
        self._process.wait(timeout=10)

    def wait(self, timeout_seconds: float) -> int:
        """Wait for the process to end and return its exit status."""
        return self._process.wait(timeout=timeout_seconds)


@contextmanager
def emulator_process(folder: Path, *arguments: str) -> Generator[Process, None, None]:
    """Start an emulator and yield its process."""
    port = free_port()
    command = [sys.executable, "-m", "crm_api", "emulator", "--port", str(port), *arguments]
    process = Process(
        command, port, path="/_emulator/requests", environment=dict(os.environ), log=folder / "emulator.log"
    )
    try:
        yield process
    finally:
        process.kill()


@contextmanager
def service_process(
    folder: Path, *, database_url: str, hubspot_url: str, workers: int = 1, **settings: str
) -> Generator[Process, None, None]:
    """Start the service with `crm-api serve` and yield its process."""
    port = free_port()
    command = [sys.executable, "-m", "crm_api", "serve", "--port", str(port), "--workers", str(workers)]
    environment = {
        name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG", "VIRTUAL_ENV"}
    }
    environment |= {
        "ENVIRONMENT": "development",
        "DATABASE_URL": database_url,
        "HUBSPOT_BASE_URL": hubspot_url,
        "HUBSPOT_ACCESS_TOKEN": "test-access-token",
        "BCRYPT_ROUNDS": "4",
        "READ_CACHE_SECONDS": str(READ_CACHE_SECONDS),
    } | settings
    process = Process(
        command, port, path="/healthz", environment=environment, log=folder / f"service-{port}.log"
    )
    try:
        yield process
    finally:
        process.kill()
