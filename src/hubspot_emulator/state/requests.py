"""The requests that were answered, for tests to look at."""

import json
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs

from hubspot_emulator.wire.replies import Reply


@dataclass(slots=True)
class RecordedRequest:
    """One request as it came, and what became of it. `fault` is the kind of an injected failure."""

    method: str
    path: str
    query: dict[str, list[str]]
    content: bytes
    headers: dict[str, str]
    status: int | None
    at: datetime
    fault: str | None = None

    @property
    def body(self) -> Any:
        """The decoded JSON or form, the bytes of anything else, None without a body."""
        # Not kept: decoded, ten thousand batches are some hundred megabytes.
        return _readable(self.headers, self.content)


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request with its answer's bytes, for those who listen."""

    request: RecordedRequest
    reply: Reply


class RequestLog:
    """The last requests, oldest first, and the functions that are called with each exchange."""

    def __init__(self, size: int) -> None:
        self.requests: deque[RecordedRequest] = deque(maxlen=size)
        self.listeners: list[Callable[[Exchange], None]] = []


def _readable(headers: Mapping[str, str], body: bytes) -> Any:
    if not body:
        return None
    try:
        if headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            return {name: values[0] for name, values in parse_qs(body.decode()).items()}
        return json.loads(body)
    except (ValueError, RecursionError):
        return body
