"""One deadline and one caller for everything that is asked of HubSpot on behalf of one incoming request."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class CallContext:
    """Shared by all tasks of one incoming request; child tasks see the same object."""

    __slots__ = ("_clock", "caller", "calls", "deadline_seconds", "expires_at", "headers", "wait_seconds")

    def __init__(
        self,
        deadline_seconds: float,
        *,
        caller: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self.deadline_seconds = deadline_seconds
        self.expires_at = clock() + deadline_seconds
        """On the context's clock."""
        self.caller = caller
        """Whom quota is shared fairly with; None is background work."""
        self.headers: dict[str, str] = {}
        """Sent along with every request, such as a trace's `traceparent`."""
        self.calls = 0
        """Requests sent to HubSpot, repeats included."""
        self.wait_seconds = 0.0
        """Seconds spent waiting for quota or a free connection."""

    def remaining(self) -> float:
        """Seconds until the deadline; negative once it has passed."""
        return self.expires_at - self._clock()


_current: ContextVar[CallContext | None] = ContextVar("hubspot_call_context", default=None)


@contextmanager
def call_context(
    deadline_seconds: float, *, caller: str | None = None, clock: Callable[[], float] = time.monotonic
) -> Iterator[CallContext]:
    """Open a context: everything asked of HubSpot inside ends `deadline_seconds` from now."""
    context = CallContext(deadline_seconds, caller=caller, clock=clock)
    token = _current.set(context)
    try:
        yield context
    finally:
        _current.reset(token)


def current_call_context() -> CallContext | None:
    """The context that this task runs in."""
    return _current.get()
