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
from crm_api.cli.serve import serve_api
from crm_api.settings import Settings

HUBSPOT_CREDENTIALS = ("HUBSPOT_ACCESS_TOKEN", "HUBSPOT_REFRESH_TOKEN")


def run_demo(folder: Path, *, port: int, emulator_port: int) -> None:
    """Migrate, start the emulator, seed what is missing, and serve until interrupted.

    HubSpot credentials or a DATABASE_URL in the environment are used instead of the bundled ones.
    """
    _require_free(port)
    folder.mkdir(exist_ok=True)
    os.environ.setdefault("ENVIRONMENT", "development")
    os.environ.setdefault("DATABASE_URL", f"sqlite:///{folder.resolve()}/crm-api.db")
    upgrade(os.environ["DATABASE_URL"])
    if any(os.environ.get(name) for name in HUBSPOT_CREDENTIALS):
        settings = Settings.load()
        _announce(
            port,
            f"HubSpot at {settings.hubspot_base_url}, as the environment says; no demo records.",
            seeded=False,
        )
        serve_api(settings, host=settings.host, port=port, workers=1)
        return
    _require_free(emulator_port)
    os.environ["HUBSPOT_BASE_URL"] = f"http://127.0.0.1:{emulator_port}"
    os.environ["HUBSPOT_ACCESS_TOKEN"] = "demo-access-token"
    with _emulator(folder / "hubspot.db", emulator_port):
        settings = Settings.load()
        marker = folder / "seeded"
        if not marker.exists():
            # An earlier start may have been stopped half way through.
            httpx.post(f"{settings.hubspot_base_url}/_emulator/reset", timeout=10).raise_for_status()
            asyncio.run(seed(settings))
            marker.touch()
        _announce(
            port,
            f"HubSpot is the bundled emulator on port {emulator_port}; records are in {folder}/.",
            seeded=True,
        )
        serve_api(settings, host=settings.host, port=port, workers=1)


@contextlib.contextmanager
def _emulator(state: Path, port: int) -> Generator[None, None, None]:
    command = [sys.executable, "-m", "crm_api.hubspot_emulator", "--port", str(port), "--state", str(state)]
    process = subprocess.Popen(command, start_new_session=True)  # noqa: S603 - our own interpreter; Ctrl-C is for us alone
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
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise click.ClickException(
                f"port {port} is taken, perhaps by another demo; stop it, "
                "or choose others: crm-api demo --port N --emulator-port N"
            ) from None


def _announce(port: int, where: str, *, seeded: bool) -> None:
    click.echo(f"\n  crm-api      http://localhost:{port}/docs")
    if seeded:
        click.echo(f"  customer     {CUSTOMER_EMAIL}   {PASSWORD}")
        click.echo(f"  staff        {STAFF_EMAIL}   {PASSWORD}")
    click.echo(f"  {where}\n  Ctrl-C stops it.\n")
