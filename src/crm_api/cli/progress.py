"""Says on standard error what is being waited for, once it takes long."""

import threading
import time
from types import TracebackType
from typing import Self

import click

EVERY_SECONDS = 2.0


class Progress:
    """While the block runs, what was named last, every two seconds; nothing where it is quick."""

    def __init__(self, what: str, *, every_seconds: float = EVERY_SECONDS) -> None:
        self._what = what
        self._every_seconds = every_seconds
        self._done = threading.Event()
        # A thread, because what is waited for may be a coroutine or may block.
        self._thread = threading.Thread(target=self._tell, daemon=True)

    def __call__(self, what: str) -> None:
        """This is waited for now."""
        self._what = what

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()

    def _tell(self) -> None:
        started = time.monotonic()
        while not self._done.wait(self._every_seconds):
            click.echo(f"... {self._what} ({time.monotonic() - started:.0f} s)", err=True)
