"""Changes of users by the operator."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, TypeVar

import click
from pydantic import ValidationError

from crm_api.bootstrap import open_database
from crm_api.cli.database import parse_user, run_with_database
from crm_api.cli.operator_context import account_context, open_bound_hubspot, open_mail, require_mail
from crm_api.cli.user_reports import describe_api_error, read_user, report_change
from crm_api.database import SessionFactory
from crm_api.errors import ApiError
from crm_api.hubspot.errors import HubSpotError
from crm_api.schemas.registration import Registration
from crm_api.services.accounts import administration
from crm_api.services.accounts.administration import AdministrationError, UserKey
from crm_api.services.accounts.links import LinkRefusedError, link_contact, unlink_contact
from crm_api.services.accounts.profile import delete_user, set_role
from crm_api.services.accounts.sessions import end_sessions
from crm_api.services.audit import OPERATOR
from crm_api.services.hubspot_account.checks import describe_error
from crm_api.settings import Settings

T = TypeVar("T")


def change_role(user: str, role: str, *, as_json: bool) -> None:
    """Set the user's role, which applies from their next request."""
    _change(user, partial(set_role, role=role), f"The user is {role} now.", as_json=as_json)


def log_out(user: str, *, as_json: bool) -> None:
    """End all sessions of the user."""
    _change(user, end_sessions, "The user's sessions have ended.", as_json=as_json)


def unlink_user(user: str, *, as_json: bool) -> None:
    """End the user's link to a contact."""
    _change(user, unlink_contact, "The user has no contact now.", as_json=as_json)


def disable(user: str, *, as_json: bool) -> None:
    """Refuse the user's logins and requests."""
    message = "The user is disabled and has no sessions now."
    _change(user, administration.disable_user, message, as_json=as_json)


def enable(user: str, *, as_json: bool) -> None:
    """Accept the user's logins again."""
    _change(user, administration.enable_user, "The user can log in now.", as_json=as_json)


def delete(user: str, *, confirmed: bool, as_json: bool) -> None:
    """Delete the user after a confirmation, and print the user as they were."""
    settings = Settings.load()
    details = read_user(settings, user)
    row = details.user
    if row is None:
        raise click.ClickException("there is only a pending registration with this e-mail address")
    if not confirmed:
        click.confirm(f"Delete {row.email} ({row.id})?", abort=True, err=True)

    async def run(session_factory: SessionFactory) -> None:
        await delete_user(account_context(settings, session_factory), row)

    run_with_database(settings, run)
    report_change(details, f"The user {row.id} is deleted.", as_json=as_json)


def link_user(user: str, contact_id: str, *, as_json: bool) -> None:
    """Link the user to a contact, which must exist in HubSpot and have no other user."""
    settings = Settings.load_for_hubspot()

    async def run() -> str:
        async with (
            open_database(settings) as session_factory,
            open_bound_hubspot(settings, session_factory) as hubspot,
        ):
            return await link_contact(session_factory, hubspot, parse_user(user), contact_id, origin=OPERATOR)

    linked_id = _run(run())
    report_change(
        read_user(settings, user), f"The user is linked to contact {linked_id} now.", as_json=as_json
    )


def create_user(
    email: str, names: Mapping[str, str], *, role: Any, password: str | None, as_json: bool
) -> None:
    """Create a user with a contact. Without a password, mail a link to choose one."""
    settings = Settings.load_for_hubspot()
    try:
        registration = Registration.model_validate(
            {"email": email, **names, "password": password or administration.random_password()}
        )
    except ValidationError as error:
        problems = (f"{problem['loc'][0]} {problem['msg']}" for problem in error.errors())
        raise click.ClickException(
            "; ".join(problem.replace("Value error, ", "") for problem in problems)
        ) from None

    async def run() -> None:
        async with open_database(settings) as session_factory:
            async with open_bound_hubspot(settings, session_factory) as hubspot:
                context = account_context(settings, session_factory)
                await administration.add_user(context, hubspot, registration, role)
            if password is None:
                await _send_link(settings, session_factory, registration.email)

    if password is None:
        require_mail(settings)
    _run(run())
    sent = " A mail with a link to choose a password was sent." if password is None else ""
    report_change(read_user(settings, registration.email), f"The user was created.{sent}", as_json=as_json)


def verify(user: str, *, as_json: bool) -> None:
    """Mark the address as verified, or complete the pending registration of the address."""
    settings = Settings.load_for_hubspot()

    async def run() -> None:
        async with (
            open_database(settings) as session_factory,
            open_bound_hubspot(settings, session_factory) as hubspot,
        ):
            context = account_context(settings, session_factory)
            await administration.verify_user(context, hubspot, parse_user(user))

    _run(run())
    report_change(read_user(settings, user), "The e-mail address is verified now.", as_json=as_json)


def resend(user: str, *, as_json: bool) -> None:
    """Mail a link to choose a password, or the link of a pending registration."""
    settings = Settings.load()

    async def run() -> None:
        async with open_database(settings) as session_factory:
            await _send_link(settings, session_factory, parse_user(user))

    _run(run())
    report_change(read_user(settings, user), "The mail was sent.", as_json=as_json)


async def _send_link(settings: Settings, session_factory: SessionFactory, key: UserKey) -> None:
    async with open_mail(settings) as send:
        await administration.send_link(account_context(settings, session_factory, send), key)


def _change(user: str, change: Callable[..., Awaitable[bool | None]], message: str, *, as_json: bool) -> None:
    """Run the change of one user. It raises or returns False if there is no such user."""
    settings, key = Settings.load(), parse_user(user)

    async def run() -> bool | None:
        async with open_database(settings) as session_factory:
            return await change(session_factory, key, origin=OPERATOR)

    if _run(run()) is False:
        raise click.ClickException("there is no user with this e-mail address or ID")
    report_change(read_user(settings, user), message, as_json=as_json)


def _run(task: Any) -> Any:
    """Run the task in an event loop and print its errors in one line."""
    try:
        return asyncio.run(task)
    except (AdministrationError, LinkRefusedError) as error:
        raise click.ClickException(str(error)) from None
    except ApiError as error:
        raise click.ClickException(describe_api_error(error)) from None
    except HubSpotError as error:
        raise click.ClickException(describe_error(error)) from None
