"""Purge of expired rows, started by the operator."""

from functools import partial

import click

from crm_api.cli.database import run_with_database
from crm_api.services.purge import PurgeRunningError, count_expired, purge
from crm_api.settings import Settings


def print_purge(*, dry_run: bool) -> None:
    """Delete expired rows, or only count them, and print how many of each kind."""
    settings = Settings.load()
    task = partial(count_expired if dry_run else purge, audit_retention_days=settings.audit_retention_days)
    try:
        counts = run_with_database(settings, task) or {}
    except PurgeRunningError:
        raise click.ClickException("another process is purging now; run the command again later") from None
    click.echo("Would delete:" if dry_run else "Deleted:")
    for name, count in counts.items():
        click.echo(f"{count:8}  {name}")
