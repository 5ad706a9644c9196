"""Script that runs a temporary PostgreSQL server until standard input closes, so that it ends with pytest."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

USER = "postgres"
START_SECONDS = 60.0

# The data is temporary, so durability is switched off.
SERVER_SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
    "max_connections": "200",
    "unix_socket_directories": "",
    "listen_addresses": "127.0.0.1",
}


class StartError(Exception):
    """Error if the server cannot be started."""


class Supervisor:
    """Owner of the server's process and folder; `close` stops the process and deletes the folder."""

    def __init__(
        self,
        binaries: Path,
        *,
        uid: int | None,
        copied_folders: list[str],
        password: str,
        settings: dict[str, str] | None = None,
        files: dict[str, str] | None = None,
        primary: str | None = None,
    ) -> None:
        self._binaries = binaries
        self._settings = SERVER_SETTINGS | (settings or {})
        self._files = files or {}
        self._primary = primary
        self._uid = uid
        self._copied_folders = copied_folders
        self._password = password
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._closing = False
        self.folder = Path(tempfile.mkdtemp(prefix="crm-api-postgres-", dir=temp_folder(uid)))

    def start(self, ports: list[int]) -> int:
        """Initialise and start the server; return its port. Raises `StartError`."""
        if self._copied_folders:
            self._copy_binaries()
        password_file = self.folder / "password"
        password_file.write_text(self._password)
        if self._uid is not None:
            os.chown(self.folder, self._uid, self._uid)
            os.chown(password_file, self._uid, self._uid)
        cluster = self.folder / "cluster"
        if self._primary is None:
            initialise = [
                *("initdb", "--pgdata", str(cluster), "--username", USER, "--pwfile", str(password_file)),
                # The password keeps other users of this machine out.
                *(
                    "--auth",
                    "password",
                    "--encoding",
                    "UTF8",
                    "--locale",
                    "C",
                    "--no-sync",
                    "--no-instructions",
                ),
            ]
        else:
            initialise = ["pg_basebackup", "--pgdata", str(cluster), "--dbname", self._primary]
            initialise += ["--checkpoint", "fast", "--no-sync"]
        if self._run(initialise).wait() != 0:
            raise StartError(self._last_log_line(f"{initialise[0]} failed"))
        for name, content in self._files.items():
            path = cluster / name
            path.write_text(content)
            path.chmod(0o600)
            if self._uid is not None:
                os.chown(path, self._uid, self._uid)
        for port in ports:
            settings = [f"--{name}={value}" for name, value in self._settings.items()]
            self._run(["postgres", "-D", str(cluster), f"--port={port}", *settings])
            if self._wait_until_ready(cluster / "postmaster.pid"):
                return port
            if "in use" not in self._log():
                break
        raise StartError(self._last_log_line("the server ended while starting"))

    def wait(self) -> None:
        """Wait for the end of the server."""
        if self._process is not None:
            self._process.wait()

    def close(self) -> None:
        """Stop the running program and delete the folder."""
        with self._lock:
            self._closing = True
            process = self._process
        if process is not None and process.poll() is None:
            # SIGINT is a fast shutdown: it rolls open transactions back.
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
                raise StartError("the suite has ended")
            owner: dict[str, Any] = {}
            if self._uid is not None:
                owner = {"user": self._uid, "group": self._uid, "extra_groups": []}
            with (self.folder / "log").open("ab") as log:
                self._process = subprocess.Popen(
                    [str(self._binaries / command[0]), *command[1:]],
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
                    # The environment of a developer can contain PGPORT or PGDATA.
                    env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
                    **owner,
                )  # fmt: skip
            return self._process

    def _wait_until_ready(self, pid_file: Path) -> bool:
        assert self._process is not None
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            # Line 8 is the server's state, `ready` or that of a standby, `standby`:
            # https://github.com/postgres/postgres/blob/REL_18_0/src/include/utils/pidfile.h
            lines = pid_file.read_text().splitlines() if pid_file.exists() else []
            if len(lines) >= 8 and lines[7].strip() in ("ready", "standby"):
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

    def _last_log_line(self, default: str) -> str:
        lines = [line for line in self._log().splitlines() if line.strip()]
        errors = [line for line in lines if "FATAL" in line or "error" in line.lower()]
        return (errors or lines or [default])[-1].strip()


def readable_by_others(path: Path) -> bool:
    """Return True if any user may read the path and enter all its parents."""
    try:
        return all(parent.stat().st_mode & 0o001 for parent in path.parents) and bool(
            path.stat().st_mode & 0o004
        )
    except OSError:
        return False


def temp_folder(uid: int | None) -> str:
    """Return a folder for temporary files that the user with this ID can enter."""
    default = tempfile.gettempdir()
    if uid is None:
        return default
    folders = (default, "/tmp", "/var/tmp")  # noqa: S108 - only mkdtemp writes there
    return next((folder for folder in folders if readable_by_others(Path(folder) / ".")), default)


def main(arguments: str) -> int:
    """Start the server, print `ready PORT` or `failed REASON`, and run until standard input closes."""
    options = json.loads(arguments)
    supervisor = Supervisor(
        Path(options["binaries"]),
        uid=options["uid"],
        copied_folders=options["copied_folders"],
        password=sys.stdin.readline().strip(),
        settings=options["settings"],
        files=options["files"],
        primary=options.get("primary"),
    )

    def close_when_the_suite_ends() -> None:
        sys.stdin.read()
        supervisor.close()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Signals are ignored, so that the folder is deleted in every case.
        signal.signal(number, signal.SIG_IGN)
    watch = threading.Thread(target=close_when_the_suite_ends)
    watch.start()
    try:
        print(f"ready {supervisor.start(options['ports'])}", flush=True)  # noqa: T201 - read by pytest's process
    except (StartError, OSError, subprocess.SubprocessError) as error:
        print(f"failed {' '.join(str(error).split())}", flush=True)  # noqa: T201
    supervisor.wait()
    watch.join()
    supervisor.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
