"""Changes of users by the operator."""

from collections.abc import Awaitable, Callable
from functools import partial

import click

from crm_api.cli.database import parse_email, run_with_database
from crm_api.database import SessionFactory
from crm_api.services.accounts.profile import set_role
from crm_api.services.accounts.sessions import end_sessions
from crm_api.services.audit import OPERATOR
from crm_api.settings import Settings


def change_role(email: str, role: str) -> None:
    """Set the user's role, which applies from their next request."""
    _change_user(partial(set_role, email=parse_email(email), role=role, origin=OPERATOR))
    click.echo(f"The user is {role} now.")


def log_out(email: str) -> None:
    """End all sessions of the user."""
    _change_user(partial(end_sessions, email=parse_email(email), origin=OPERATOR))
    click.echo("The user's sessions have ended.")


def _change_user(change: Callable[[SessionFactory], Awaitable[bool]]) -> None:
    if not run_with_database(Settings.load(), change):
        raise click.ClickException("there is no user with this e-mail address")
