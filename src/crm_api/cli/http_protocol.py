"""HTTP protocol of uvicorn with limits on the bytes outside the body and on the time to receive a request."""

import asyncio
from typing import ClassVar, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_NON_BODY_BYTES: Final = 65_536
"""Limit for request line and headers, and again for trailers and chunk framing; the body has its own limit."""


class BoundedProtocol(HttpToolsProtocol):
    """Protocol that closes connections whose request is too long outside its body, or takes too long to arrive.

    httptools accepts headers of any length and copies all received bytes with each new piece: one connection with a
    header of 100 MB blocks the process for seconds (https://github.com/Kludex/uvicorn/issues/157).
    """

    request_seconds: ClassVar[float] = 60.0
    """Time to receive a request, its body included."""

    _non_body_bytes: int = 0
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the keep-alive timeout at once, for connections that never send a request."""
        super().connection_made(transport)
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def data_received(self, data: bytes) -> None:
        """Count the bytes outside the body, and start the request's deadline."""
        if self._deadline is None:
            self._deadline = self.loop.call_later(self.request_seconds, self.transport.close)
        self._non_body_bytes += len(data)
        super().data_received(data)
        if self._non_body_bytes > MAX_NON_BODY_BYTES and not self.transport.is_closing():
            if self.cycle is None or self.cycle.response_complete:
                self.send_400_response("Request head too large.")
            else:
                self.transport.close()

    def on_headers_complete(self) -> None:
        """Restart the count for chunk framing and trailers."""
        self._non_body_bytes = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Subtract the body's bytes, which have their own limit."""
        self._non_body_bytes -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End the deadline, because the request is complete."""
        self._non_body_bytes = 0
        self._end_deadline()
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the deadline of an incomplete request."""
        self._end_deadline()
        if exc is not None:
            self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def _end_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
