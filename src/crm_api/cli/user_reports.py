"""Output of `crm-api users`: lists, one user, and the export of a user."""

import asyncio
import json
from functools import partial
from typing import Any

import click

from crm_api.cli.database import parse_user, run_with_database
from crm_api.cli.operator_context import open_records
from crm_api.errors import ApiError
from crm_api.hubspot.errors import HubSpotError
from crm_api.models import PendingRegistration, User
from crm_api.schemas.export import PersonalExport
from crm_api.services.accounts.administration import (
    AdministrationError,
    UserDetails,
    find_user,
    list_pending,
    list_users,
)
from crm_api.services.accounts.export import export_user
from crm_api.services.hubspot_account.checks import describe_error
from crm_api.settings import Settings


def print_users(
    *, role: Any = None, status: Any = None, text: str | None = None, limit: int, as_json: bool
) -> None:
    """Print the selected users or pending registrations, newest first, one per line."""
    settings = Settings.load()
    if status == "pending":
        pending = run_with_database(settings, partial(list_pending, limit=limit))
        rows = [_pending_row(registration) for registration in pending]
    else:
        select = partial(list_users, role=role, status=status, text=text, limit=limit)
        rows = [_user_row(user) for user in run_with_database(settings, select)]
    for row in rows:
        click.echo(json.dumps(row) if as_json else _line(row))


def print_user(key: str, *, as_json: bool) -> None:
    """Print one user, or the pending registrations of an address."""
    details = _details(read_user(Settings.load(), key))
    click.echo(json.dumps(details) if as_json else _block(details))


def report_change(details: UserDetails, message: str, *, as_json: bool) -> None:
    """Print the changed user as JSON, or the message."""
    click.echo(json.dumps(_details(details)) if as_json else message)


def describe_api_error(error: ApiError) -> str:
    """Describe the error and the fields that it names for an operator."""
    return " ".join([error.detail, *(f"{problem.field} {problem.message}." for problem in error.details)])


def read_user(settings: Settings, key: str) -> UserDetails:
    """Return the user or the pending registrations. Raises `ClickException` if there are none."""
    try:
        return run_with_database(settings, partial(find_user, key=parse_user(key)))
    except AdministrationError as error:
        raise click.ClickException(str(error)) from None


def print_export(key: str) -> None:
    """Print everything that is stored about the user as one JSON object."""
    settings = Settings.load_for_hubspot()
    user = read_user(settings, key).user
    if user is None:
        raise click.ClickException("there is only a pending registration with this e-mail address")
    try:
        export = asyncio.run(_export(settings, user))
    except ApiError as error:
        raise click.ClickException(describe_api_error(error)) from None
    except HubSpotError as error:
        raise click.ClickException(describe_error(error)) from None
    click.echo(export.model_dump_json(indent=2, exclude={"next_cursor"}))


async def _export(settings: Settings, user: User) -> PersonalExport:
    async with open_records(settings, user) as context:
        first = page = await export_user(context, cursor=None)
        while page.next_cursor is not None:
            page = await export_user(context, cursor=page.next_cursor)
            first.sessions.extend(page.sessions)
            first.audit.extend(page.audit)
        return first


def _user_row(user: User) -> dict[str, Any]:
    return {
        "id": str(user.id),
        "email": user.email,
        "firstname": user.firstname,
        "lastname": user.lastname,
        "phone": user.phone,
        "role": user.role,
        "status": user.status,
        "email_verified": user.email_verified,
        "contact_id": user.contact_id,
        "lost_contact_id": user.lost_contact_id,
        "created_at": user.created_at.isoformat(timespec="seconds"),
    }


def _pending_row(pending: PendingRegistration) -> dict[str, Any]:
    return {
        "email": pending.email,
        "firstname": pending.firstname,
        "lastname": pending.lastname,
        "phone": pending.phone,
        "status": "pending",
        "created_at": pending.created_at.isoformat(timespec="seconds"),
        "expires_at": pending.expires_at.isoformat(timespec="seconds"),
    }


def _details(details: UserDetails) -> dict[str, Any]:
    user = {} if details.user is None else _user_row(details.user) | {"sessions": details.sessions}
    return user | {"pending_registrations": [_pending_row(pending) for pending in details.pending]}


def _line(row: dict[str, Any]) -> str:
    names = ("id", "status", "role", "contact_id", "created_at", "email")
    return "  ".join(str(row[name] if row[name] is not None else "-") for name in names if name in row)


def _block(details: dict[str, Any]) -> str:
    pending = details.pop("pending_registrations")
    width = max(map(len, details), default=0)
    lines = [f"{name:{width}}  {'-' if value is None else value}" for name, value in details.items()]
    lines += [f"pending registration of {row['created_at']} until {row['expires_at']}" for row in pending]
    return "\n".join(lines)
