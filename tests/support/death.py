"""A process that dies at its n-th word to the outside: what was said before stands, nothing is said after."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import httpx
from sqlalchemy import event
from sqlalchemy.engine import Engine


class Died(BaseException):
    """Nothing of the process goes on from here, its clean-up included."""


class Life:
    """Counts the words said to the database, HubSpot and the mail queue; at the last one of its life it ends."""

    def __init__(self, words: int | None = None) -> None:
        self._left = words
        self.said = 0

    def say(self) -> None:
        """One word more. Raises `Died` when it was one too many, and for ever after."""
        if self._left is not None and self.said >= self._left:
            raise Died
        self.said += 1


class MortalTransport(httpx.AsyncBaseTransport):
    """HubSpot, asked by somebody who may die before the request is sent or before the answer is read."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._transport = transport
        self.life = Life()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.life.say()
        response = await self._transport.handle_async_request(request)
        self.life.say()
        return response

    async def aclose(self) -> None:
        await self._transport.aclose()


@contextmanager
def mortal_database(engine: Engine, life: Life) -> Generator[None, None, None]:
    """The database, used by somebody who may die before each statement and each commit, and after each commit.

    A transaction that is not committed is rolled back, as the server does when a process is gone.
    """

    def before_statement(*_arguments: Any) -> None:
        life.say()

    def before_commit(_connection: Any) -> None:
        life.say()

    event.listen(engine, "before_cursor_execute", before_statement)
    event.listen(engine, "commit", before_commit)
    try:
        yield
    finally:
        event.remove(engine, "before_cursor_execute", before_statement)
        event.remove(engine, "commit", before_commit)
