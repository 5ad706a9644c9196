"""Graceful shutdown: report unready for some seconds before the server stops listening, and end background tasks."""

import asyncio
import signal
import threading
from collections.abc import Iterable
from types import FrameType
from typing import Any, Final

from fastapi import FastAPI

CANCEL_AGAIN_SECONDS: Final = 0.5


async def end_tasks(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel the tasks repeatedly until all have ended.

    A library may lose a cancellation: redis-py calls `asyncio.wait_for`, which before Python 3.12 ignores a
    cancellation that arrives together with the result (https://github.com/python/cpython/issues/81839).
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=CANCEL_AGAIN_SECONDS)


def drain_on_sigterm(app: FastAPI, *, notice_seconds: float) -> None:
    """Install a SIGTERM handler that marks the application as draining and stops the server `notice_seconds` later.

    Must be called during startup, after the server has installed its own handler. While draining, each response closes
    its connection. Ctrl-C stops the server at once.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    stop: Any = signal.getsignal(signal.SIGTERM)
    if not callable(stop):  # no server, as in tests
        return
    loop = asyncio.get_running_loop()

    def on_sigterm(number: int, _frame: FrameType | None) -> None:
        # A process may get the signal twice: from its supervisor and as a member of its process group.
        if not app.state.draining:
            app.state.draining = True
            loop.call_soon_threadsafe(loop.call_later, notice_seconds, stop, number, None)

    signal.signal(signal.SIGTERM, on_sigterm)
