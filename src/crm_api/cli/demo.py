"""The demo: service, emulator and demo records, started by one command and stored in one folder."""

import asyncio
import contextlib
import os
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import get_args
from urllib.parse import quote

import click
import httpx

from crm_api.cli.demo_records import CUSTOMER_EMAIL, PASSWORD, STAFF_EMAIL, seed
from crm_api.cli.migrations import NewerSchemaError, upgrade
from crm_api.cli.progress import Progress
from crm_api.cli.serve import serve_api
from crm_api.settings import CustomerOperation, Settings

EMULATOR_PORT = 8100
ANY_PORT = 0
START_SECONDS = 60.0


def run_demo(folder: Path, *, port: int, emulator_port: int | None) -> None:
    """Start the emulator, migrate, create the demo records once, and serve until interrupted.

    Settings from the environment or `.env` apply. If they hold HubSpot credentials, there is no emulator and there are
    no demo records.
    """
    if not _is_free(port):
        raise click.ClickException(
            f"port {port} is in use, perhaps by another demo: stop it, or choose another port, "
            "such as `make run PORT=4020`"
        )
    settings = Settings.load()
    own_account = bool(settings.hubspot_access_token or settings.hubspot_refresh_token)
    _prepare(folder)
    if "environment" not in settings.model_fields_set:
        os.environ["ENVIRONMENT"] = "development"
    if "customer_operations" not in settings.model_fields_set:
        os.environ["CUSTOMER_OPERATIONS"] = ",".join(get_args(CustomerOperation))
    is_production = "environment" in settings.model_fields_set and settings.environment == "production"
    if "app_public_url" not in settings.model_fields_set and not is_production:
        os.environ["APP_PUBLIC_URL"] = f"http://localhost:{port}/portal"
    if "database_url" not in settings.model_fields_set:
        # A database belongs to one HubSpot account, so the emulator and a real account have separate databases.
        name = "own-account.db" if own_account else "crm-api.db"
        os.environ["DATABASE_URL"] = f"sqlite:///{quote(str(folder.resolve() / name))}"
    if own_account:
        _serve(
            port, f"HubSpot is {settings.hubspot_base_url}, as configured; no demo records.", folder=folder
        )
        return
    if emulator_port is None:
        ports = [EMULATOR_PORT, ANY_PORT] if _is_free(EMULATOR_PORT) else [ANY_PORT]
    elif _is_free(emulator_port):
        ports = [emulator_port]
    else:
        raise click.ClickException(f"port {emulator_port} is in use: choose another --emulator-port")
    # uvicorn raises the signal again after its shutdown; the default handler would end without stopping the emulator.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _exit)
    with _emulator(folder, ports) as emulator_url:
        os.environ["HUBSPOT_BASE_URL"] = emulator_url
        os.environ["HUBSPOT_ACCESS_TOKEN"] = "demo-access-token"
        port_in_use = emulator_url.rpartition(":")[2]
        notice = f"HubSpot is the bundled emulator on port {port_in_use}; records are in {folder}/."
        _serve(port, notice, folder=folder, marker=folder / "seeded")


def _serve(port: int, notice: str, *, folder: Path, marker: Path | None = None) -> None:
    """Serve; `marker` is the file that shows that the demo records exist, None if there are none."""
    settings = Settings.load()
    settings.require_startable()
    try:
        upgrade(settings.database_url)
    except NewerSchemaError:
        raise click.ClickException(
            f"the demo's database is from a newer version of crm-api: delete the folder {folder} to start with new "
            "records, or use that version"
        ) from None
    if marker is not None and not marker.exists():
        # An interrupted earlier start may have left some records.
        httpx.post(
            f"{settings.hubspot_base_url}/_emulator/reset", timeout=10, trust_env=False
        ).raise_for_status()
        click.echo("Creating the demo's users, contacts, deals and tickets ...")
        with Progress("creating records"):
            asyncio.run(seed(settings))
        marker.touch()
    if settings.smtp_url is None and settings.environment != "production":
        notice += "\n  Mails are printed here."
    _announce(port, notice, with_logins=marker is not None)
    serve_api(
        settings, host=settings.host, port=port, workers=1, factory="crm_api.cli.demo_app:create_worker"
    )


def _prepare(folder: Path) -> None:
    """Create the folder, and check that files can be created in it."""
    try:
        folder.mkdir(exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise click.ClickException(
            f"{folder} cannot be written ({error.strerror}): choose another folder, such as "
            "`.venv/bin/crm-api demo --folder /tmp/crm-api-demo`"
        ) from None


@contextlib.contextmanager
def _emulator(folder: Path, ports: list[int]) -> Generator[str, None, None]:
    """Run the emulator on the first of the ports that it can use, and yield its URL."""
    state = str(folder / "hubspot.db")
    for port in ports:
        command = [sys.executable, "-m", "hubspot_emulator", "--port", str(port), "--state", state]
        # In its own session, the emulator does not get Ctrl-C; if this process is killed, the pipe closes and stops it.
        process = subprocess.Popen(  # noqa: S603 - this interpreter
            [*command, "--stop-with-input"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        with process:
            try:
                url = _announced_url(process)
                if url is not None:
                    yield url
                    return
            finally:
                process.terminate()
    raise click.ClickException(
        "the HubSpot emulator did not start; if its message above is about stored records, delete the folder "
        f"{folder} to start with new ones"
    )


def _exit(number: int, _frame: object) -> None:
    sys.exit(128 + number)


def _announced_url(process: subprocess.Popen[str]) -> str | None:
    """Return the URL that the emulator prints when it accepts requests, or None if it ends.

    A connection would not show whose emulator listens on the port: that of another demo may have been faster.
    """
    assert process.stdout is not None
    readable, _, _ = select.select([process.stdout], [], [], START_SECONDS)
    if not readable:
        raise click.ClickException("the HubSpot emulator did not start in time")
    announcement = re.search(r"listens on (http://[^;]+);", process.stdout.readline())
    return announcement[1] if announcement else None


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _announce(port: int, notice: str, *, with_logins: bool) -> None:
    click.echo(f"\n  portal       http://localhost:{port}/portal/")
    click.echo(f"  API          http://localhost:{port}/docs")
    if with_logins:
        click.echo(f"  customer     {CUSTOMER_EMAIL}   {PASSWORD}")
        click.echo(f"  staff        {STAFF_EMAIL}   {PASSWORD}")
    click.echo(f"  {notice}\n  Ctrl-C stops it.\n")
