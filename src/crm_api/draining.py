"""How a process leaves: it says so before it stops listening, so that nobody sends it what it would refuse."""

import asyncio
import signal
import threading
from types import FrameType
from typing import Any

from fastapi import FastAPI


def announce_leaving(app: FastAPI, *, notice_seconds: float) -> None:
    """On SIGTERM be unready at once, and let the server stop `notice_seconds` later.

    Called while the application starts: the server has set its own handler by then, and this one goes in front of it.
    Meanwhile requests are answered, each as the last one of its connection. Ctrl-C stops without notice.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    stop: Any = signal.getsignal(signal.SIGTERM)
    if not callable(stop):  # no server runs us
        return
    loop = asyncio.get_running_loop()

    def on_sigterm(number: int, _frame: FrameType | None) -> None:
        # A process group is often told by its parent and by the system: once is enough.
        if not app.state.draining:
            app.state.draining = True
            loop.call_soon_threadsafe(loop.call_later, notice_seconds, stop, number, None)

    signal.signal(signal.SIGTERM, on_sigterm)
