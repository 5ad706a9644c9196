"""A process that dies at its n-th word to the outside, and a request that is cancelled at its n-th await."""

import asyncio
from collections.abc import Coroutine, Generator
from contextlib import contextmanager
from typing import Any

import httpx
from sqlalchemy import event
from sqlalchemy.engine import Engine


class SimulatedCrash(BaseException):
    """What was said before stands, and nothing of the process goes on from here, its clean-up included."""


class CrashPoint:
    """Counts the words said to the database, HubSpot and the mail queue; at the last one of its life it ends."""

    def __init__(self, io_operations: int | None = None) -> None:
        self._left = io_operations
        self.performed = 0

    def tick(self) -> None:
        """One word more. Raises `Died` when it was one too many, and for ever after."""
        if self._left is not None and self.performed >= self._left:
            raise SimulatedCrash
        self.performed += 1


class CrashingTransport(httpx.AsyncBaseTransport):
    """HubSpot, asked by somebody who may die before the request is sent or before the answer is read."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._transport = transport
        self.crash_point = CrashPoint()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        # As on a network, the caller waits here, and may be cancelled before HubSpot hears of it and after.
        await asyncio.sleep(0)
        self.crash_point.tick()
        response = await self._transport.handle_async_request(request)
        await asyncio.sleep(0)
        self.crash_point.tick()
        return response

    async def aclose(self) -> None:
        await self._transport.aclose()


@contextmanager
def crashing_database(engine: Engine, crash_point: CrashPoint) -> Generator[None, None, None]:
    """The database, used by somebody who may die before each statement and each commit, and after each commit.

    A transaction that is not committed is rolled back, as the server does when a process is gone.
    """

    def before_statement(*_arguments: Any) -> None:
        crash_point.tick()

    def before_commit(_connection: Any) -> None:
        crash_point.tick()

    event.listen(engine, "before_cursor_execute", before_statement)
    event.listen(engine, "commit", before_commit)
    try:
        yield
    finally:
        event.remove(engine, "before_cursor_execute", before_statement)
        event.remove(engine, "commit", before_commit)


class _CancelledAt:
    """Awaits something, and throws a cancellation into it at one of its awaits."""

    def __init__(self, await_number: int, coroutine: Coroutine[Any, Any, Any]) -> None:
        self._left = await_number
        self._coroutine = coroutine

    def __await__(self) -> Any:
        sent: Any = None
        error: BaseException | None = None
        while True:
            try:
                awaited = self._coroutine.throw(error) if error is not None else self._coroutine.send(sent)
            except StopIteration:
                return self._left > 0
            except asyncio.CancelledError:
                return False
            error = None
            self._left -= 1
            if self._left == 0:
                # What a task does that is cancelled: first what it waits for, then the waiting.
                if awaited is not None:
                    awaited._asyncio_future_blocking = False
                    awaited.cancel()
                error = asyncio.CancelledError()
                continue
            try:
                sent = yield awaited
            except BaseException as raised:  # noqa: BLE001 - handed on to what awaits it
                error = raised


async def cancel_at_await(await_number: int, awaitable: Any) -> bool:
    """Await it, and cancel it at its n-th await; whether it was done before."""
    survived: bool = await _CancelledAt(await_number, awaitable)
    return survived
