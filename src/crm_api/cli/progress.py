"""Progress messages of slow commands, on standard error."""

import threading
import time
from types import TracebackType
from typing import Self

import click

INTERVAL_SECONDS = 2.0


class Progress:
    """Context manager that prints the current step every two seconds; nothing if the block is quicker."""

    def __init__(self, step: str, *, interval_seconds: float = INTERVAL_SECONDS) -> None:
        self._step = step
        self._interval_seconds = interval_seconds
        self._done = threading.Event()
        # A thread, because the block may run an event loop or may block.
        self._thread = threading.Thread(target=self._report, daemon=True)

    def __call__(self, step: str) -> None:
        """Set the current step."""
        self._step = step

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()

    def _report(self) -> None:
        started = time.monotonic()
        while not self._done.wait(self._interval_seconds):
            click.echo(f"... {self._step} ({time.monotonic() - started:.0f} s)", err=True)
