"""PgBouncer in transaction mode, started in front of a PostgreSQL server."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tests.support.postgres import NOBODY_UID
from tests.support.postgres_supervisor import temp_folder
from tests.support.processes import START_SECONDS, free_port, is_listening

SERVER_CONNECTIONS = 3
"""Connections to PostgreSQL, fewer than the tests' clients, so that transactions change their connection."""


def find_pgbouncer() -> str | None:
    """Return the path of the program; Debian installs it into a folder that PATH of a user may lack."""
    return shutil.which("pgbouncer", path=os.environ.get("PATH", os.defpath) + ":/usr/sbin")


@contextmanager
def pgbouncer(program: str, url: str) -> Generator[str, None, None]:
    """Serve the database behind a transaction pooler and yield the pooler's URL."""
    parts = urlsplit(url)
    uid = NOBODY_UID if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="crm-api-pgbouncer-", dir=temp_folder(uid)))
    port = free_port()
    # Every client may connect as the database's user: the pooler listens on loopback only.
    (folder / "pgbouncer.ini").write_text(
        f"""[databases]
* = host={parts.hostname} port={parts.port or 5432} user={parts.username} password={parts.password or ""}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {SERVER_CONNECTIONS}
"""
    )
    owner = {}
    if uid is not None:
        for path in (folder, folder / "pgbouncer.ini"):
            os.chown(path, uid, uid)
        owner = {"user": uid, "group": uid}
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [program, str(folder / "pgbouncer.ini")],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
            **owner,  # type: ignore[call-overload]
        )  # fmt: skip
    try:
        deadline = time.monotonic() + START_SECONDS
        while not is_listening(port):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
        yield parts._replace(netloc=f"{parts.username}@127.0.0.1:{port}").geturl()
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)
