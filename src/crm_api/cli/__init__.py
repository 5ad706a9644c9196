"""The `crm-api` command: one module per subcommand, imported only when the subcommand runs."""

import socket
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from crm_api.cli.progress import Progress
from crm_api.cli.users import users
from crm_api.settings import Settings, SettingsRefusedError


class _Commands(click.Group):
    """Command group that prints errors that an operator can fix as one line; other errors keep their traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except SettingsRefusedError as error:
            click.echo(str(error), err=True)
            sys.exit(2)
        # BrokenPipeError: `head` has closed the output, and click ends the command without a message.
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except Exception as error:
            from sqlalchemy.exc import SQLAlchemyError

            from crm_api.database import DatabaseUrlError
            from crm_api.errors import cause_of

            if isinstance(error, DatabaseUrlError):
                raise click.ClickException(str(error)) from None
            if isinstance(error, (SQLAlchemyError, ConnectionError, TimeoutError, socket.gaierror)):
                raise click.ClickException(f"the database cannot be used: {cause_of(error)}") from None
            raise


@click.group(
    cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(package_name="crm-api")
def main() -> None:
    """Run the API in front of HubSpot CRM. Settings are environment variables; .env.example lists them all."""


@main.command()
@click.option("--host", default=None, help="The address to listen on.  [HOST, 127.0.0.1]")
@click.option("--port", type=int, default=None, help="The port to listen on.  [PORT, 4012]")
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Processes to run.")
def serve(host: str | None, port: int | None, workers: int) -> None:
    """Serve the API. The database must be migrated first."""
    from crm_api.cli.serve import serve_api

    settings = Settings.load()
    settings.require_startable()
    serve_api(
        settings, host=host or settings.host, port=settings.port if port is None else port, workers=workers
    )


@main.command()
@click.option("--folder", type=click.Path(path_type=Path), default=Path(".demo"), show_default=True)
@click.option("--port", type=int, default=4012, show_default=True, envvar="PORT", show_envvar=True)
@click.option(
    "--emulator-port", type=int, default=None, help="The emulator's port.  [8100, or any free port]"
)
def demo(folder: Path, port: int, emulator_port: int | None) -> None:
    """Serve a demo: SQLite, the bundled HubSpot emulator and demo records, all stored in one folder."""
    from crm_api.cli.demo import run_demo

    run_demo(folder, port=port, emulator_port=emulator_port)


@main.command()
def migrate() -> None:
    """Migrate the database to the newest version. Exits with 3 if its schema is newer than this version."""
    from crm_api.cli.migrations import upgrade

    settings = Settings.load()
    if not settings.database_url:
        raise click.ClickException("DATABASE_URL is not set")
    with Progress("migrating"):
        before, after = upgrade(settings.database_url)
    if before == after:
        click.echo(f"The database is up to date, at revision {after}.")
    else:
        click.echo(f"The database was migrated from {before or 'an empty database'} to revision {after}.")


main.add_command(users)


@main.command()
@click.option(
    "--user",
    default=None,
    help="Only entries about this user: an e-mail address, or an ID, also a deleted user's.",
)
@click.option("--event", default=None, help="Only this event, such as login_failed.")
@click.option("--since", type=click.DateTime(), default=None, help="Only entries from this time (UTC) on.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=100, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
def audit(user: str | None, event: str | None, since: datetime | None, limit: int, *, as_json: bool) -> None:
    """Print who did what, when and from where, in chronological order."""
    from crm_api.cli.audit import print_audit

    since = since.replace(tzinfo=UTC) if since is not None else None
    print_audit(user=user, event=event, since=since, limit=limit, as_json=as_json)


@main.command()
@click.option("--dry-run", is_flag=True, help="Print what would be deleted, and delete nothing.")
def purge(*, dry_run: bool) -> None:
    """Delete what has expired: sessions, tokens, keys, registrations, old audit entries.

    The service does the same once an hour.
    """
    from crm_api.cli.purge import print_purge

    print_purge(dry_run=dry_run)


@main.group()
def hubspot() -> None:
    """Check, provision and change the HubSpot account."""


@hubspot.command()
def provision() -> None:
    """Create what the service needs in the HubSpot account: a unique property and ticket categories."""
    from crm_api.cli.hubspot import provision_account

    provision_account(Settings.load_for_hubspot())


@hubspot.command()
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def check(*, as_json: bool) -> None:
    """Check whether the HubSpot account has what the service needs, without changes. Exits with 1 if not."""
    from crm_api.cli.hubspot import print_checks

    if not print_checks(Settings.load_for_hubspot(), as_json=as_json):
        sys.exit(1)


@hubspot.command()
def account() -> None:
    """Print the HubSpot account that the database is bound to."""
    from crm_api.cli.hubspot import print_account

    print_account(Settings.load())


@hubspot.command()
@click.option("--yes", is_flag=True, help="Do not ask for a confirmation.")
def move(*, yes: bool) -> None:
    """Bind the database to the HubSpot account of the credentials. Stop the service first.

    Ends the links of all users to contacts and links users with a verified e-mail address again.
    """
    from crm_api.cli.hubspot import move_account

    settings = Settings.load_for_hubspot()
    settings.require_startable()
    move_account(settings, confirmed=yes)


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option(
    "--port", type=click.IntRange(0, 65_535), default=8100, show_default=True, help="0 means any free port."
)
@click.option(
    "--state",
    type=click.Path(path_type=Path),
    default=None,
    help="File that stores the records; without it they are lost at the end.",
)
@click.option(
    "--latency-ms", type=click.FloatRange(0), default=0.0, show_default=True, help="Delay of each response."
)
@click.option(
    "--search-lag",
    type=click.FloatRange(0),
    default=0.0,
    show_default=True,
    help="Seconds until a change is visible in searches.",
)
def emulator(host: str, port: int, state: Path | None, latency_ms: float, search_lag: float) -> None:
    """Serve the HubSpot emulator. It accepts any bearer token.

    Limits, faults and other behavior are set at run time, under /_emulator/: see docs/emulator.md.
    """
    from hubspot_emulator import StateFileError
    from hubspot_emulator.serve import AddressError
    from hubspot_emulator.serve import serve as serve_emulator

    try:
        serve_emulator(
            host=host,
            port=port,
            state=state,
            latency_ms=latency_ms,
            search_lag=search_lag,
            announce=click.echo,
        )
    except (AddressError, StateFileError) as error:
        raise click.ClickException(str(error)) from error


@main.command()
@click.option("--markdown", "as_markdown", is_flag=True, help="In the format of docs/configuration.md.")
def settings(*, as_markdown: bool) -> None:
    """Print every setting with its default and description, as a .env file."""
    from crm_api.cli.configuration import dotenv, markdown

    click.echo(markdown() if as_markdown else dotenv(), nl=False)


@main.command()
def openapi() -> None:
    """Print the OpenAPI document."""
    from crm_api.main import create_app
    from crm_api.openapi.document import build_document, dump

    # The other settings are required to create the application but do not change the document.
    settings = Settings(_env_file=None, environment="development", hubspot_access_token="none")  # noqa: S106
    click.echo(dump(build_document(create_app(settings))), nl=False)
