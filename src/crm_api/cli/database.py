"""Database access of commands, for one task in its own event loop."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

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


def parse_email(email: str) -> str:
    """Return the address as it is stored. Raises `ClickException` if it is not valid."""
    try:
        return normalise_email(email)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
