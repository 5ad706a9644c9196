"""Database access of commands, for one task in its own event loop."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar
from uuid import UUID

import click

from crm_api.bootstrap import open_database
from crm_api.database import SessionFactory
from crm_api.schemas.accounts import normalise_email
from crm_api.settings import Settings

T = TypeVar("T")


def run_with_database(settings: Settings, task: Callable[[SessionFactory], Awaitable[T]]) -> T:
    """Run the task and return its result."""

    async def run() -> T:
        async with open_database(settings) as session_factory:
            return await task(session_factory)

    return asyncio.run(run())


def parse_user(user: str) -> UUID | str:
    """Return the ID, or the e-mail address as it is stored. Raises `ClickException` if it is neither."""
    try:
        return normalise_email(user) if "@" in user else UUID(user)
    except ValueError:
        raise click.ClickException(f"{user} is neither an e-mail address nor the ID of a user") from None
