"""Call context: the deadline, caller and counters that all HubSpot calls of one incoming request share."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class CallContext:
    """Shared by all tasks of one incoming request; child tasks see the same object."""

    __slots__ = (
        "_clock",
        "caller",
        "calls",
        "deadline_seconds",
        "expires_at",
        "headers",
        "is_background",
        "max_attempts",
        "max_quota_wait_seconds",
        "wait_seconds",
    )

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
        """The deadline as a time of this context's clock."""
        self.caller = caller
        """Who shares the quota fairly with other callers; None for background work."""
        self.headers: dict[str, str] = {}
        """Headers of every attempt, such as a trace's `traceparent`."""
        self.is_background = False
        """Whether the calls wait for quota behind all other calls."""
        self.max_attempts: int | None = None
        """Maximum number of attempts of one call; None if only the retry policy limits them."""
        self.max_quota_wait_seconds: float | None = None
        """Maximum time that one attempt waits for quota; None if only the deadline limits it."""
        self.calls = 0
        """Number of attempts sent to HubSpot."""
        self.wait_seconds = 0.0
        """Seconds spent waiting for quota or a free connection."""

    def remaining(self) -> float:
        """Return the seconds until the deadline; negative after it."""
        return self.expires_at - self._clock()

    @contextmanager
    def ending_earlier(self, seconds: float) -> Iterator[None]:
        """Keep this much time for later calls: the deadline of those inside is that much earlier."""
        self.expires_at -= seconds
        try:
            yield
        finally:
            self.expires_at += seconds


_current: ContextVar[CallContext | None] = ContextVar("hubspot_call_context", default=None)


@contextmanager
def call_context(
    deadline_seconds: float, *, caller: str | None = None, clock: Callable[[], float] = time.monotonic
) -> Iterator[CallContext]:
    """Open a call context: every HubSpot call inside ends within `deadline_seconds`."""
    context = CallContext(deadline_seconds, caller=caller, clock=clock)
    token = _current.set(context)
    try:
        yield context
    finally:
        _current.reset(token)


def current_call_context() -> CallContext | None:
    """Return the call context of this task, if one is open."""
    return _current.get()
