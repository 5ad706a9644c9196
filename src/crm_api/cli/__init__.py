"""The `crm-api` command: one module per subcommand, imported only when the subcommand runs."""

import socket
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from crm_api.cli.progress import Progress
from crm_api.settings import Settings, SettingsRefusedError


class _Commands(click.Group):
    """Says in a line what an operator can mend, and leaves tracebacks to mistakes of ours."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except SettingsRefusedError as error:
            click.echo(str(error), err=True)
            sys.exit(2)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
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
    """An API in front of HubSpot CRM. Settings are environment variables; .env.example names them all."""


@main.command()
@click.option("--host", default=None, help="The address to listen on.  [HOST, 127.0.0.1]")
@click.option("--port", type=int, default=None, help="The port to listen on.  [PORT, 4012]")
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Processes to run.")
def serve(host: str | None, port: int | None, workers: int) -> None:
    """Serve the API. The database has to be migrated before."""
    from crm_api.cli.serve import serve_api

    settings = _settings()
    serve_api(
        settings,
        host=host or settings.host,
        port=settings.port if port is None else port,
        workers=workers,
    )


@main.command()
@click.option("--folder", type=click.Path(path_type=Path), default=Path(".demo"), show_default=True)
@click.option("--port", type=int, default=4012, show_default=True, envvar="PORT", show_envvar=True)
@click.option(
    "--emulator-port", type=int, default=None, help="Where the emulator listens.  [8100, or any free one]"
)
def demo(folder: Path, port: int, emulator_port: int | None) -> None:
    """Serve a demo: SQLite, the bundled HubSpot emulator and demo records, all kept in one folder."""
    from crm_api.cli.demo import run_demo

    run_demo(folder, port=port, emulator_port=emulator_port)


@main.command()
def migrate() -> None:
    """Bring the database's schema up to date."""
    from crm_api.cli.migrations import upgrade

    settings = Settings.load()
    if not settings.database_url:
        raise click.ClickException("DATABASE_URL is not set")
    with Progress("migrating"):
        upgrade(settings.database_url)
    click.echo("The database is up to date.")


@main.group()
def users() -> None:
    """Look after users."""


@users.command()
@click.argument("email")
def promote(email: str) -> None:
    """Make the user with this e-mail address staff."""
    from crm_api.cli.users import change_role

    change_role(email, "staff")


@users.command()
@click.argument("email")
def demote(email: str) -> None:
    """Make the user with this e-mail address a customer."""
    from crm_api.cli.users import change_role

    change_role(email, "customer")


@users.command()
@click.argument("email")
def logout(email: str) -> None:
    """End all sessions of the user with this e-mail address."""
    from crm_api.cli.users import log_out

    log_out(email)


@main.command()
@click.option("--user", "email", default=None, metavar="EMAIL", help="Only what is about this user.")
@click.option("--event", default=None, help="Only this event, such as login_failed.")
@click.option("--since", type=click.DateTime(), default=None, help="Only from this moment (UTC) on.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=100, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def audit(email: str | None, event: str | None, since: datetime | None, limit: int, *, as_json: bool) -> None:
    """Print who did what, when and from where; the latest is last."""
    from crm_api.cli.audit import print_audit

    since = since.replace(tzinfo=UTC) if since is not None else None
    print_audit(email=email, event=event, since=since, limit=limit, as_json=as_json)


@main.group()
def hubspot() -> None:
    """Look after the HubSpot account."""


@hubspot.command()
def provision() -> None:
    """Create what this service needs in the account: a unique property, and two ticket categories."""
    from crm_api.cli.hubspot import provision_account

    provision_account(_settings(for_hubspot=True))


@hubspot.command()
@click.option("--json", "as_json", is_flag=True, help="Print the findings for a program.")
def check(*, as_json: bool) -> None:
    """Look whether the account has what this service needs; nothing is written. Ends with 1 where it has not."""
    from crm_api.cli.hubspot import check as check_account

    sys.exit(check_account(_settings(for_hubspot=True), as_json_text=as_json))


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option(
    "--port", type=click.IntRange(0, 65_535), default=8100, show_default=True, help="0 is a free one."
)
@click.option(
    "--state",
    type=click.Path(path_type=Path),
    default=None,
    help="The file to keep records in; without it they are forgotten at the end.",
)
@click.option(
    "--latency-ms", type=click.FloatRange(0), default=0.0, show_default=True, help="Before each answer."
)
@click.option(
    "--search-lag",
    type=click.FloatRange(0),
    default=0.0,
    show_default=True,
    help="Seconds until a search knows of a change.",
)
def emulator(host: str, port: int, state: Path | None, latency_ms: float, search_lag: float) -> None:
    """Serve the HubSpot emulator on its own. Any bearer token is let in.

    Limits, faults and everything else are set while it runs, under /_emulator/: see docs/emulator.md.
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
@click.option("--markdown", "as_markdown", is_flag=True, help="As docs/configuration.md has them.")
def settings(*, as_markdown: bool) -> None:
    """Print every setting with its default and what it does, as a .env to begin with."""
    from crm_api.cli.configuration import dotenv, markdown

    click.echo(markdown() if as_markdown else dotenv(), nl=False)


@main.command()
def openapi() -> None:
    """Print the OpenAPI document."""
    from crm_api.main import create_app
    from crm_api.openapi.document import build_document, dump

    # Only SUPPORT_URL and TERMS_URL stand in the document; the rest lets the application be built.
    settings = Settings(_env_file=None, environment="development", hubspot_access_token="none")  # noqa: S106
    click.echo(dump(build_document(create_app(settings))), nl=False)


def _settings(*, for_hubspot: bool = False) -> Settings:
    settings = Settings.load()
    if for_hubspot:
        settings.require_hubspot()
    else:
        settings.require_startable()
    return settings
