"""Looks after the HubSpot account."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict
from datetime import UTC, datetime

import click
import httpx

from crm_api.bootstrap import create_hubspot, hubspot_auth, record_fields
from crm_api.cli.progress import Progress
from crm_api.database import create_engine, create_session_factory
from crm_api.hubspot import HubSpotClient, LocalQuota, Quota, StaticTokenAuth, call_context
from crm_api.hubspot.errors import HubSpotError, HubSpotScopeError
from crm_api.services.hubspot_account.checks import (
    UNLIMITED,
    Finding,
    Limits,
    check_account,
    describe_error,
)
from crm_api.services.hubspot_account.provisioning import ProvisioningError, provision
from crm_api.settings import Settings

DEADLINE_SECONDS = 120.0
_MARKS = {"ok": "ok", "warning": "WARN", "failed": "FAIL"}


def provision_account(settings: Settings) -> None:
    """Make what is missing, and print what was done."""
    problems: list[str] = []
    try:
        done = asyncio.run(_provision(settings))
    except ProvisioningError as error:
        done, problems = error.done, error.problems
    except HubSpotScopeError as error:
        scopes = ", ".join(error.required_scopes) or "crm.schemas.deals.write, crm.schemas.tickets.write"
        raise click.ClickException(f"HubSpot refuses: the token lacks a scope; it needs {scopes}") from None
    except HubSpotError as error:
        raise click.ClickException(describe_error(error)) from None
    for line in done or ([] if problems else ["Nothing was missing."]):
        click.echo(line)
    if problems:
        raise click.ClickException("; ".join(problems))


def check(settings: Settings, *, as_json_text: bool) -> int:
    """Print the findings; 1 where something failed."""
    click.echo(f"Asking {settings.hubspot_base_url} ...", err=True)
    findings = asyncio.run(_check(settings))
    if as_json_text:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        width = max(len(finding.subject) for finding in findings)
        for finding in findings:
            click.echo(f"{_MARKS[finding.state]:4}  {finding.subject:{width}}  {finding.finding}")
    return int(any(finding.state == "failed" for finding in findings))


async def _provision(settings: Settings) -> list[str]:
    async with _hubspot(settings) as hubspot:
        with Progress("provisioning"):
            return await provision(hubspot, record_fields(settings).categories)


async def _check(settings: Settings) -> list[Finding]:
    limits = Limits(
        burst=settings.hubspot_burst_limit,
        search=settings.hubspot_search_limit,
        daily=settings.hubspot_daily_limit,
    )
    # As wide as can be, so that what HubSpot allows is seen beside what is set.
    quota = LocalQuota(burst_limit=UNLIMITED, search_limit=UNLIMITED, daily_limit=UNLIMITED)
    async with _hubspot(settings, quota) as hubspot:
        with Progress("asking") as progress:
            return await check_account(
                hubspot,
                api_version=settings.hubspot_api_version,
                fields=record_fields(settings),
                limits=limits,
                today=datetime.now(UTC).date(),
                on_step=lambda what: progress(f"asking for {what}"),
            )


@asynccontextmanager
async def _hubspot(settings: Settings, quota: Quota | None = None) -> AsyncGenerator[HubSpotClient, None]:
    async with AsyncExitStack() as stack:
        auth: httpx.Auth
        if settings.hubspot_access_token is not None:
            # Nothing else is needed to ask: the database may not be set up yet.
            auth = StaticTokenAuth(settings.hubspot_access_token.get_secret_value())
        else:
            engine = create_engine(settings.database_url)
            stack.push_async_callback(engine.dispose)
            auth = await hubspot_auth(settings, create_session_factory(engine))
        hubspot = create_hubspot(settings, auth, quota=quota)
        stack.push_async_callback(hubspot.aclose)
        with call_context(DEADLINE_SECONDS):
            yield hubspot
