"""Prints the audit log."""

import asyncio
import json
from datetime import datetime

import click

from crm_api.database import DatabaseUrlError, create_engine, create_session_factory
from crm_api.models import AuditEntry
from crm_api.schemas.accounts import normalise_email
from crm_api.services.audit import entries
from crm_api.settings import Settings, SettingsRefusedError


def print_audit(
    *, email: str | None, event: str | None, since: datetime | None, limit: int, as_json: bool
) -> None:
    """Print what fits, the latest last: when, what, about whom, by whom, from where, in which request."""

    async def run() -> list[AuditEntry]:
        engine = create_engine(Settings.load().database_url)
        try:
            return await entries(
                create_session_factory(engine),
                email=normalise_email(email) if email else None,
                event=event,
                since=since,
                limit=limit,
            )
        finally:
            await engine.dispose()

    try:
        found = asyncio.run(run())
    except (SettingsRefusedError, DatabaseUrlError):
        raise
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    for entry in found:
        click.echo(_json(entry) if as_json else _line(entry))


def _line(entry: AuditEntry) -> str:
    facts = {
        "user": entry.user_id,
        "by": entry.actor,
        "from": entry.address,
        "request": entry.request_id,
        "detail": entry.detail,
    }
    known = "  ".join(f"{name}={value}" for name, value in facts.items() if value is not None)
    return f"{entry.at.isoformat(timespec='seconds')}  {entry.event:<25} {known}"


def _json(entry: AuditEntry) -> str:
    return json.dumps(
        {
            "at": entry.at.isoformat(),
            "event": entry.event,
            "user_id": str(entry.user_id) if entry.user_id else None,
            "actor": entry.actor,
            "address": entry.address,
            "request_id": entry.request_id,
            "detail": entry.detail,
        }
    )
