"""uvicorn's HTTP protocol, with an end to what a caller may send beside a body, and to how long a request may take."""

import asyncio
from typing import ClassVar, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAXIMUM_BYTES_BESIDE_BODY: Final = 65_536
"""Of request line and headers, and once more of trailers and what wraps chunks; the body has a limit of its own."""


class BoundedProtocol(HttpToolsProtocol):
    """Ends connections whose request has no end.

    httptools keeps a header of any length and copies all of it with each piece that arrives: one connection with
    100 MB of header holds up everybody for seconds (https://github.com/Kludex/uvicorn/issues/157).
    """

    request_seconds: ClassVar[float] = 60.0
    """How long a request may take to arrive, its body included."""

    _beside_body: int = 0
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A connection that says nothing is an idle one from the beginning."""
        super().connection_made(transport)
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def data_received(self, data: bytes) -> None:
        """Count what is not body, and give the request its time."""
        if self._deadline is None:
            self._deadline = self.loop.call_later(self.request_seconds, self.transport.close)
        self._beside_body += len(data)
        super().data_received(data)
        if self._beside_body > MAXIMUM_BYTES_BESIDE_BODY and not self.transport.is_closing():
            if self.cycle is None or self.cycle.response_complete:
                self.send_400_response("Request head too large.")
            else:
                self.transport.close()

    def on_headers_complete(self) -> None:
        """What wraps the body is counted for itself."""
        self._beside_body = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """The body is counted where its limit is."""
        self._beside_body -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request has arrived."""
        self._beside_body = 0
        self._end_deadline()
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        self._end_deadline()
        if exc is not None:
            self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def _end_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
