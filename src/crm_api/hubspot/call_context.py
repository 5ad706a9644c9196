"""One deadline and one caller for everything that is asked of HubSpot on behalf of one incoming request."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class RequestScope:
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
        """On the scope's clock."""
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


_current: ContextVar[RequestScope | None] = ContextVar("hubspot_request_scope", default=None)


@contextmanager
def request_scope(
    deadline_seconds: float, *, caller: str | None = None, clock: Callable[[], float] = time.monotonic
) -> Iterator[RequestScope]:
    """Open a scope: everything asked of HubSpot inside ends `deadline_seconds` from now."""
    scope = RequestScope(deadline_seconds, caller=caller, clock=clock)
    token = _current.set(scope)
    try:
        yield scope
    finally:
        _current.reset(token)


def current_scope() -> RequestScope | None:
    """The scope that this task runs in."""
    return _current.get()
