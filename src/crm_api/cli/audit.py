"""Output of the audit log."""

import json
from datetime import datetime
from functools import partial

import click

from crm_api.cli.database import parse_user, run_with_database
from crm_api.models import AuditEntry
from crm_api.services.audit import entries
from crm_api.settings import Settings


def print_audit(
    *, user: str | None, event: str | None, since: datetime | None, limit: int, as_json: bool
) -> None:
    """Print the selected entries in chronological order, one per line."""
    key = parse_user(user) if user else None
    select = partial(entries, user=key, event=event, since=since, limit=limit)
    for entry in run_with_database(Settings.load(), select):
        click.echo(_json(entry) if as_json else _line(entry))


def _line(entry: AuditEntry) -> str:
    facts = {
        "user": entry.user_id,
        "by": entry.actor,
        "from": entry.address,
        "request": entry.request_id,
        "detail": entry.detail,
    }
    present = "  ".join(f"{name}={value}" for name, value in facts.items() if value is not None)
    return f"{entry.at.isoformat(timespec='seconds')}  {entry.event:<25} {present}"


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
