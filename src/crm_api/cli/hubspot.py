"""Checks and provisioning of the HubSpot account."""

import asyncio
import json
from dataclasses import asdict
from datetime import UTC, datetime

import click

from crm_api.bootstrap import customer_stages, open_hubspot, record_fields
from crm_api.cli.progress import Progress
from crm_api.hubspot import call_context
from crm_api.hubspot.errors import HubSpotError, HubSpotScopeError
from crm_api.services.hubspot_account.checks import Finding, Limits, check_account, describe_error
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
                on_step=lambda step: progress(f"checking {step}"),
            )
