"""Looks after users, from a terminal of the operator's."""

import asyncio
from collections.abc import Awaitable, Callable

import click

from crm_api.database import DatabaseUrlError, SessionFactory, create_engine, create_session_factory
from crm_api.schemas.accounts import normalise_email
from crm_api.services.accounts.profile import set_role
from crm_api.services.accounts.sessions import end_sessions
from crm_api.services.audit import OPERATOR
from crm_api.settings import Settings, SettingsRefusedError


def change_role(email: str, role: str) -> None:
    """Give the user another role, which counts from their next request."""
    _with_user(
        email, lambda session_factory, address: set_role(session_factory, address, role, origin=OPERATOR)
    )
    click.echo(f"The user is {role} now.")


def log_out(email: str) -> None:
    """End all sessions of the user."""
    _with_user(
        email, lambda session_factory, address: end_sessions(session_factory, address, origin=OPERATOR)
    )
    click.echo("The user's sessions have ended.")


def _with_user(email: str, change: Callable[[SessionFactory, str], Awaitable[bool]]) -> None:
    async def run() -> bool:
        engine = create_engine(Settings.load().database_url)
        try:
            return await change(create_session_factory(engine), normalise_email(email))
        finally:
            await engine.dispose()

    try:
        found = asyncio.run(run())
    except (SettingsRefusedError, DatabaseUrlError):
        raise
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    if not found:
        raise click.ClickException("there is no user with this e-mail address")
