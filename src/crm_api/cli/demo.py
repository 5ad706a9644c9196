"""The demo: everything in one command, kept in one folder."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path

import click
import httpx

from crm_api.cli.demo_records import CUSTOMER_EMAIL, PASSWORD, STAFF_EMAIL, seed
from crm_api.cli.migrations import upgrade
from crm_api.cli.progress import Progress
from crm_api.cli.serve import serve_api
from crm_api.settings import Settings

EMULATOR_PORT = 8100


def run_demo(folder: Path, *, port: int, emulator_port: int | None) -> None:
    """Migrate, start the emulator, seed what is missing, and serve until interrupted.

    What the environment or `.env` says is kept: with HubSpot credentials there is no emulator and no demo record.
    Without a port for the emulator it takes its usual one, or any that is free.
    """
    _require_free(port)
    given = Settings.load()
    own_account = bool(given.hubspot_access_token or given.hubspot_refresh_token)
    folder.mkdir(exist_ok=True)
    if "environment" not in given.model_fields_set:
        os.environ["ENVIRONMENT"] = "development"
    if "database_url" not in given.model_fields_set:
        # A database belongs to one HubSpot account, and the demo's to the emulator's.
        name = "own-account.db" if own_account else "crm-api.db"
        os.environ["DATABASE_URL"] = f"sqlite:///{folder.resolve()}/{name}"
    if own_account:
        where = f"HubSpot is {given.hubspot_base_url}, as the environment says; no demo records."
        _serve(port, where, seeded=False)
        return
    if emulator_port is None:
        emulator_port = EMULATOR_PORT if _is_free(EMULATOR_PORT) else _any_free_port()
    elif not _is_free(emulator_port):
        raise click.ClickException(f"port {emulator_port} is taken: choose another --emulator-port")
    os.environ["HUBSPOT_BASE_URL"] = f"http://127.0.0.1:{emulator_port}"
    os.environ["HUBSPOT_ACCESS_TOKEN"] = "demo-access-token"
    with _emulator(folder / "hubspot.db", emulator_port):
        where = f"HubSpot is the bundled emulator on port {emulator_port}; records are in {folder}/."
        _serve(port, where, seeded=True, marker=folder / "seeded")


def _serve(port: int, where: str, *, seeded: bool, marker: Path | None = None) -> None:
    settings = Settings.load()
    settings.require_startable()
    upgrade(settings.database_url)
    if marker is not None and not marker.exists():
        # An earlier start may have been stopped half way through.
        httpx.post(f"{settings.hubspot_base_url}/_emulator/reset", timeout=10).raise_for_status()
        click.echo("Making the demo's people, deals and tickets ...")
        with Progress("making records"):
            asyncio.run(seed(settings))
        marker.touch()
    _announce(port, where, seeded=seeded)
    serve_api(settings, host=settings.host, port=port, workers=1)


@contextlib.contextmanager
def _emulator(state: Path, port: int) -> Generator[None, None, None]:
    command = [sys.executable, "-m", "hubspot_emulator", "--port", str(port), "--state", str(state)]
    # Ctrl-C is for us alone; and should we be killed, our end of the pipe ends with us.
    process = subprocess.Popen(  # noqa: S603 - our own interpreter
        [*command, "--stop-with-input"], stdin=subprocess.PIPE, start_new_session=True
    )
    # uvicorn ends by the signal that it was stopped with, and a signal's own handler would leave the emulator behind.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _exit)
    try:
        _wait_for(process, port)
        yield
    finally:
        process.terminate()
        process.wait(timeout=10)


def _exit(number: int, _frame: object) -> None:
    sys.exit(128 + number)


def _wait_for(process: subprocess.Popen[bytes], port: int, *, timeout_seconds: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise click.ClickException("the HubSpot emulator did not start; its message stands above")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise click.ClickException("the HubSpot emulator did not answer in time")


def _require_free(port: int) -> None:
    if not _is_free(port):
        raise click.ClickException(
            f"port {port} is taken, perhaps by another demo: stop it, or choose another port, "
            "such as `make run PORT=4020`"
        )


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _any_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _announce(port: int, where: str, *, seeded: bool) -> None:
    click.echo(f"\n  crm-api      http://localhost:{port}/docs")
    if seeded:
        click.echo(f"  customer     {CUSTOMER_EMAIL}   {PASSWORD}")
        click.echo(f"  staff        {STAFF_EMAIL}   {PASSWORD}")
    click.echo(f"  {where}\n  Ctrl-C stops it.\n")
