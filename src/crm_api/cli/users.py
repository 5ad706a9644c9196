"""Changes of users by the operator."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

import click

from crm_api.bootstrap import open_database, open_hubspot
from crm_api.cli.database import parse_email, run_with_database
from crm_api.database import SessionFactory
from crm_api.hubspot import call_context
from crm_api.hubspot.errors import HubSpotError, HubSpotScopeError
from crm_api.services.accounts.links import LinkRefusedError, link_contact, unlink_contact
from crm_api.services.accounts.profile import set_role
from crm_api.services.accounts.sessions import end_sessions
from crm_api.services.audit import OPERATOR
from crm_api.services.hubspot_account.binding import AccountBinding
from crm_api.services.hubspot_account.checks import describe_error
from crm_api.settings import Settings

DEADLINE_SECONDS = 30.0


def change_role(email: str, role: str) -> None:
    """Set the user's role, which applies from their next request."""
    _change_user(partial(set_role, email=parse_email(email), role=role, origin=OPERATOR))
    click.echo(f"The user is {role} now.")


def log_out(email: str) -> None:
    """End all sessions of the user."""
    _change_user(partial(end_sessions, email=parse_email(email), origin=OPERATOR))
    click.echo("The user's sessions have ended.")


def link_user(settings: Settings, email: str, contact_id: str) -> None:
    """Link the user to a contact, which must exist in HubSpot and have no other user."""
    try:
        linked_id = asyncio.run(_link(settings, parse_email(email), contact_id))
    except LinkRefusedError as error:
        raise click.ClickException(str(error)) from None
    except HubSpotError as error:
        raise click.ClickException(describe_error(error)) from None
    click.echo(f"The user is linked to contact {linked_id} now.")


def unlink_user(email: str) -> None:
    """End the user's link to a contact."""
    _change_user(partial(unlink_contact, email=parse_email(email), origin=OPERATOR))
    click.echo("The user has no contact now.")


async def _link(settings: Settings, email: str, contact_id: str) -> str:
    async with open_database(settings) as session_factory, open_hubspot(settings) as hubspot:
        with call_context(DEADLINE_SECONDS):
            binding = AccountBinding(session_factory, hubspot)
            with suppress(HubSpotScopeError):  # these credentials may not read the HubSpot account's ID
                await binding.bind()
            if binding.mismatch:
                raise LinkRefusedError(binding.mismatch)
            return await link_contact(session_factory, hubspot, email, contact_id, origin=OPERATOR)


def _change_user(change: Callable[[SessionFactory], Awaitable[bool]]) -> None:
    if not run_with_database(Settings.load(), change):
        raise click.ClickException("there is no user with this e-mail address")
