"""Recorded requests and responses, for tests and for the control API."""

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
    """Request with the status of its response, and the kind of the fault that it met."""

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
        """Decoded JSON or form, bytes of any other body, None without a body."""
        # Decoded bodies are not stored: those of 10,000 batches need some 100 MB.
        return _decode(self.headers, self.content)


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and its response, as the listeners of `RequestLog` get them."""

    request: RecordedRequest
    reply: Reply


class RequestLog:
    """The last requests, oldest first, and the listeners that are called with each exchange."""

    def __init__(self, size: int) -> None:
        self.entries: deque[RecordedRequest] = deque(maxlen=size)
        self.listeners: list[Callable[[Exchange], None]] = []


def _decode(headers: Mapping[str, str], body: bytes) -> Any:
    if not body:
        return None
    try:
        if headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            return {name: values[0] for name, values in parse_qs(body.decode()).items()}
        return json.loads(body)
    except (ValueError, RecursionError):
        return body
