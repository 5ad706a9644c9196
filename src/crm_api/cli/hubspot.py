"""Checks and provisioning of the HubSpot account."""

import asyncio
import json
from dataclasses import asdict
from datetime import UTC, datetime

import click
from sqlalchemy.exc import SQLAlchemyError

from crm_api.bootstrap import customer_stages, open_database, open_hubspot, record_fields
from crm_api.cli.database import run_with_database
from crm_api.cli.progress import Progress
from crm_api.errors import cause_of
from crm_api.hubspot import call_context
from crm_api.hubspot.errors import HubSpotError, HubSpotScopeError
from crm_api.services.accounts.links import link_by_email
from crm_api.services.audit import OPERATOR
from crm_api.services.hubspot_account.binding import bound_account, linked_users, move_binding
from crm_api.services.hubspot_account.checks import (
    Binding,
    Finding,
    Limits,
    Unread,
    check_account,
    describe_error,
)
from crm_api.services.hubspot_account.provisioning import ProvisioningError, provision
from crm_api.settings import Settings

DEADLINE_SECONDS = 120.0
_MARKS = {"ok": "ok", "warning": "WARN", "failed": "FAIL", "unknown": "?"}


def provision_account(settings: Settings) -> None:
    """Create what is missing and print what was done."""
    problems: list[str] = []
    try:
        done = asyncio.run(_provision(settings))
    except ProvisioningError as error:
        done, problems = error.done, error.problems
    except HubSpotScopeError as error:
        scopes = ", ".join(error.required_scopes) or "crm.schemas.deals.write, crm.schemas.tickets.write"
        raise click.ClickException(
            f"HubSpot rejected the token: it lacks a scope and needs {scopes}"
        ) from None
    except HubSpotError as error:
        raise click.ClickException(describe_error(error)) from None
    for line in done:
        click.echo(line)
    if problems:
        raise click.ClickException("; ".join(problems))
    if not done:
        click.echo("Nothing was missing.")


def print_checks(settings: Settings, *, as_json: bool) -> bool:
    """Print the findings. Returns whether no check failed."""
    click.echo(f"Checking {settings.hubspot_base_url} ...", err=True)
    findings = asyncio.run(_check(settings))
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        width = max(len(finding.subject) for finding in findings)
        for finding in findings:
            click.echo(f"{_MARKS[finding.state]:4}  {finding.subject:{width}}  {finding.finding}")
    return all(finding.state != "failed" for finding in findings)


def print_account(settings: Settings) -> None:
    """Print the HubSpot account that the database is bound to."""
    portal_id = run_with_database(settings, bound_account)
    click.echo(
        f"The database is bound to HubSpot account {portal_id}."
        if portal_id
        else "The database is not bound to a HubSpot account yet; the service binds it when it starts."
    )


def move_account(settings: Settings, *, confirmed: bool) -> None:
    """Bind the database to the HubSpot account of the credentials, after a confirmation."""
    try:
        portal_id, bound, links = asyncio.run(_read_move(settings))
        if bound is None:
            raise click.ClickException(
                "the database is not bound to a HubSpot account; start the service instead"
            )
        if bound != portal_id and not confirmed:
            click.echo(
                f"The database moves from HubSpot account {bound} to {portal_id}.\n"
                f"All {links} links of users to contacts end. Users with a verified e-mail address are linked to the "
                "contact with that address; link the others with crm-api users link.\n"
                "Stored responses of idempotency keys are deleted. Stop the service first."
            )
            click.confirm("Continue?", abort=True)
        without_contact = asyncio.run(_move(settings, portal_id))
    except HubSpotError as error:
        raise click.ClickException(describe_error(error)) from None
    click.echo(f"The database is bound to HubSpot account {portal_id} now.")
    click.echo(f"Users with a verified address but without a contact: {without_contact}.")


async def _read_move(settings: Settings) -> tuple[str, str | None, int]:
    """Return the HubSpot account of the credentials, that of the database, and the number of linked users."""
    async with open_database(settings) as session_factory, open_hubspot(settings) as hubspot:
        with call_context(DEADLINE_SECONDS):
            details = await hubspot.account.details()
        return details.portal_id, await bound_account(session_factory), await linked_users(session_factory)


async def _move(settings: Settings, portal_id: str) -> int:
    async with open_database(settings) as session_factory, open_hubspot(settings) as hubspot:
        await move_binding(session_factory, portal_id, origin=OPERATOR)
        with Progress("linking users"):
            # Each call has the default deadline, because the number of users is unlimited.
            return await link_by_email(session_factory, hubspot, origin=OPERATOR)


async def _binding(settings: Settings) -> Binding:
    if not settings.database_url:
        return Binding(unread=Unread("ok", "DATABASE_URL is not set"))
    try:
        async with open_database(settings) as session_factory:
            return Binding(await bound_account(session_factory))
    except (SQLAlchemyError, OSError, TimeoutError) as error:
        return Binding(unread=Unread("warning", f"the database cannot be used ({cause_of(error)})"))


async def _provision(settings: Settings) -> list[str]:
    async with open_hubspot(settings) as hubspot:
        with call_context(DEADLINE_SECONDS), Progress("provisioning"):
            return await provision(hubspot, record_fields(settings).categories)


async def _check(settings: Settings) -> list[Finding]:
    limits = Limits(
        burst=settings.hubspot_burst_limit,
        search=settings.hubspot_search_limit,
        daily=settings.hubspot_daily_limit,
    )
    async with open_hubspot(settings) as hubspot:
        with call_context(DEADLINE_SECONDS), Progress("connecting") as progress:
            return await check_account(
                hubspot,
                api_version=settings.hubspot_api_version,
                fields=record_fields(settings),
                stages=customer_stages(settings),
                limits=limits,
                today=datetime.now(UTC).date(),
                binding=await _binding(settings),
                on_step=lambda step: progress(f"checking {step}"),
            )
