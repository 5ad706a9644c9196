"""Simulated crashes at the n-th I/O operation, and cancellation at the n-th await."""

import asyncio
from collections.abc import Coroutine, Generator
from contextlib import contextmanager
from typing import Any

import httpx
from sqlalchemy import event
from sqlalchemy.engine import Engine


class SimulatedCrash(BaseException):
    """Crash of the process: earlier I/O has taken effect, later I/O (clean-up included) raises this too."""


class CrashPoint:
    """Counter of I/O operations (database, HubSpot, mail queue) that allows `io_operations` of them."""

    def __init__(self, io_operations: int | None = None) -> None:
        self._allowed = io_operations
        self.performed = 0

    def tick(self) -> None:
        """Count one operation. Raises `SimulatedCrash` if no more are allowed."""
        if self._allowed is not None and self.performed >= self._allowed:
            raise SimulatedCrash
        self.performed += 1


class CrashingTransport(httpx.AsyncBaseTransport):
    """Transport with a possible crash before the request is sent and before the response is read."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._transport = transport
        self.crash_point = CrashPoint()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        # A network call awaits before and after HubSpot acts, so a cancellation can arrive at both points.
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
    """Count each statement and each commit, so that the process can crash before them.

    An uncommitted transaction is rolled back, as the server does when a process ends.
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
    """Awaitable that throws a cancellation into a coroutine at its n-th await; True if the coroutine ended earlier."""

    def __init__(self, await_number: int, coroutine: Coroutine[Any, Any, Any]) -> None:
        self._remaining = await_number
        self._coroutine = coroutine

    def __await__(self) -> Any:
        sent: Any = None
        error: BaseException | None = None
        while True:
            try:
                awaited = self._coroutine.throw(error) if error is not None else self._coroutine.send(sent)
            except StopIteration:
                return self._remaining > 0
            except asyncio.CancelledError:
                return False
            error = None
            self._remaining -= 1
            if self._remaining == 0:
                # A cancelled task also cancels the future that it awaits, and does so first.
                if awaited is not None:
                    awaited._asyncio_future_blocking = False
                    awaited.cancel()
                error = asyncio.CancelledError()
                continue
            try:
                sent = yield awaited
            except BaseException as raised:  # noqa: BLE001 - thrown into the coroutine
                error = raised


async def cancel_at_await(await_number: int, awaitable: Any) -> bool:
    """Cancel the awaitable at its n-th await; return True if it ended before."""
    ended: bool = await _CancelledAt(await_number, awaitable)
    return ended
