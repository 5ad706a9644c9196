"""Runs one throw-away PostgreSQL server until its standard input closes, which it does however pytest ends."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

USER = "postgres"
PORT_ATTEMPTS = 5
START_SECONDS = 60.0

# Nothing here outlives the suite, so nothing has to survive a power cut.
FAST = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
    "max_connections": "200",
    "unix_socket_directories": "",
    "listen_addresses": "127.0.0.1",
}


class KeeperError(Exception):
    """The server could not be started; the text says why."""


class Keeper:
    """Owns the server's folder and process; everything it made is gone after `close`."""

    def __init__(self, binaries: Path, *, uid: int | None, copied_folders: list[str], password: str) -> None:
        self._binaries = binaries
        self._uid = uid
        self._copied_folders = copied_folders
        self._password = password
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._closing = False
        self.folder = Path(tempfile.mkdtemp(prefix="crm-api-postgres-", dir=reachable_temp(uid)))

    def start(self) -> int:
        """Initialise and start the server; its port. Raises `KeeperError`."""
        if self._copied_folders:
            self._copy_binaries()
        secret = self.folder / "password"
        secret.write_text(self._password)
        if self._uid is not None:
            os.chown(self.folder, self._uid, self._uid)
            os.chown(secret, self._uid, self._uid)
        cluster = self.folder / "cluster"
        initialise = [
            *("initdb", "--pgdata", str(cluster), "--username", USER, "--pwfile", str(secret)),
            # Other users of this machine must not become this superuser.
            *("--auth", "password", "--encoding", "UTF8", "--locale", "C", "--no-sync", "--no-instructions"),
        ]
        if self._run(initialise).wait() != 0:
            raise KeeperError(self._last_log_line("initdb failed"))
        for _ in range(PORT_ATTEMPTS):
            port = free_port()
            settings = [f"--{name}={value}" for name, value in FAST.items()]
            self._run(["postgres", "-D", str(cluster), f"--port={port}", *settings])
            if self._wait_until_ready(cluster / "postmaster.pid"):
                return port
            if "in use" not in self._log():
                break
        raise KeeperError(self._last_log_line("the server ended while starting"))

    def wait(self) -> None:
        """Return when the server has ended."""
        if self._process is not None:
            self._process.wait()

    def close(self) -> None:
        """Stop whatever runs and remove the folder."""
        with self._lock:
            self._closing = True
            process = self._process
        if process is not None and process.poll() is None:
            # A fast shutdown: open transactions are rolled back, nobody is waited for.
            process.send_signal(signal.SIGINT)
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGQUIT)
                process.wait(timeout=5)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, command: list[str]) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._closing:
                raise KeeperError("the suite has ended")
            owner: dict[str, Any] = {}
            if self._uid is not None:
                owner = {"user": self._uid, "group": self._uid, "extra_groups": []}
            with (self.folder / "log").open("ab") as log:
                self._process = subprocess.Popen(
                    [str(self._binaries / command[0]), *command[1:]],
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
                    # A developer's PGPORT or PGDATA must not be believed.
                    env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
                    **owner,
                )  # fmt: skip
            return self._process

    def _wait_until_ready(self, pid_file: Path) -> bool:
        assert self._process is not None
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            # The eighth line is the server's state:
            # https://github.com/postgres/postgres/blob/REL_18_0/src/include/utils/pidfile.h
            lines = pid_file.read_text().splitlines() if pid_file.exists() else []
            if len(lines) >= 8 and lines[7].strip() == "ready":
                return True
            time.sleep(0.01)
        return False

    def _copy_binaries(self) -> None:
        common = Path(os.path.commonpath(self._copied_folders))
        for name in self._copied_folders:
            shutil.copytree(name, self.folder / "install" / Path(name).relative_to(common), symlinks=True)
        self._binaries = self.folder / "install" / self._binaries.relative_to(common)
        for path in [self.folder / "install", *(self.folder / "install").rglob("*")]:
            if not path.is_symlink():
                path.chmod(
                    path.stat().st_mode | (0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
                )

    def _log(self) -> str:
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def _last_log_line(self, otherwise: str) -> str:
        lines = [line for line in self._log().splitlines() if line.strip()]
        telling = [line for line in lines if "FATAL" in line or "error" in line.lower()]
        return (telling or lines or [otherwise])[-1].strip()


def free_port() -> int:
    """A TCP port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def reachable_by_others(path: Path) -> bool:
    """Whether any user may enter every folder above the path and read the path itself."""
    try:
        return all(parent.stat().st_mode & 0o001 for parent in path.parents) and bool(
            path.stat().st_mode & 0o004
        )
    except OSError:
        return False


def reachable_temp(uid: int | None) -> str:
    """The folder for temporary files; one that the user can enter when it is not our own user."""
    usual = tempfile.gettempdir()
    if uid is None:
        return usual
    folders = (usual, "/tmp", "/var/tmp")  # noqa: S108 - only mkdtemp writes there
    return next((folder for folder in folders if reachable_by_others(Path(folder) / ".")), usual)


def main(arguments: str) -> int:
    """Start, say `ready PORT` or `failed REASON` on one line, and run until standard input closes."""
    options = json.loads(arguments)
    keeper = Keeper(
        Path(options["binaries"]),
        uid=options["uid"],
        copied_folders=options["copied_folders"],
        password=sys.stdin.readline().strip(),
    )

    def close_when_the_suite_ends() -> None:
        sys.stdin.read()
        keeper.close()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Only the end of standard input ends it, so that the folder is always removed.
        signal.signal(number, signal.SIG_IGN)
    watch = threading.Thread(target=close_when_the_suite_ends)
    watch.start()
    try:
        print(f"ready {keeper.start()}", flush=True)  # noqa: T201 - read by pytest's process
    except (KeeperError, OSError, subprocess.SubprocessError) as error:
        print(f"failed {' '.join(str(error).split())}", flush=True)  # noqa: T201
    keeper.wait()
    watch.join()
    keeper.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
