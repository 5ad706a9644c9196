"""HTTP protocol of uvicorn with limits for clients, and a server that drops no request when it stops."""

import asyncio
import logging
import socket
import time
from collections import Counter
from contextlib import suppress
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any, Final

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import Server, ServerState

from crm_api.security.networks import network_of

MAX_NON_BODY_BYTES: Final = 65_536
"""Limit for request line and headers, and again for trailers and chunk framing; the body has its own limit."""
MAX_QUEUED_REQUESTS: Final = 8
"""Limit for the pipelined requests of one connection that wait for an earlier response."""
MAX_UNSENT_BYTES: Final = 32 * 1_048_576
"""Limit for the unread bytes of all responses of one process together."""
MIN_READ_BYTES: Final = 65_536
"""Bytes of a pending response that a client must read within `write_seconds`."""
_PARSE_BYTES: Final = 4096
"""Size of the pieces that the parser gets; the other limits are checked after each piece."""
_LOG_INTERVAL_SECONDS: Final = 10.0
IDLE_SECONDS_AT_STOP: Final = 0.5
"""Time for a request that was sent before its client could know that the server stops."""


class ClientConnections:
    """Open connections of one process, with their limits."""

    def __init__(
        self,
        *,
        max_connections: int = 800,
        max_per_address: int = 100,
        trusted_proxies: str = "",
        request_seconds: float = 60.0,
        write_seconds: float = 20.0,
    ) -> None:
        self.request_seconds = request_seconds
        self.write_seconds = write_seconds
        self.unread: dict[BoundedProtocol, None] = {}
        """Connections whose client has to read before more is sent, the longest waiting first."""
        self._max_connections = max_connections
        self._max_per_address = max_per_address
        entries = [entry.strip() for entry in trusted_proxies.split(",")]
        self._trusts_all = "*" in entries
        self._trusted = [network for network in map(_parse_network, entries) if network is not None]
        self._count = 0
        self._count_by_network: Counter[str | None] = Counter()
        self._next_log_at = 0.0

    def add(self, address: str | None) -> bool:
        """Count a connection, or return False if it exceeds a limit."""
        network = self._limited_network(address)
        if self._count >= self._max_connections:
            self._log_refusal("MAX_CONNECTIONS")
            return False
        if self._count_by_network[network] >= self._max_per_address and network is not None:
            self._log_refusal("MAX_CONNECTIONS_PER_ADDRESS")
            return False
        self._count += 1
        self._count_by_network[network] += 1
        return True

    def remove(self, address: str | None) -> None:
        """Subtract a connection that was counted."""
        network = self._limited_network(address)
        self._count -= 1
        self._count_by_network[network] -= 1
        if not self._count_by_network[network]:
            del self._count_by_network[network]

    def add_unread(self, connection: "BoundedProtocol") -> None:
        """Add a connection that waits until its client reads.

        While all unread responses exceed `MAX_UNSENT_BYTES`, abort the connection that has waited longest.
        """
        self.unread[connection] = None
        unsent = sum(unread.transport.get_write_buffer_size() for unread in self.unread)
        for longest_waiting in list(self.unread)[:-1]:
            if unsent <= MAX_UNSENT_BYTES:
                return
            unsent -= longest_waiting.transport.get_write_buffer_size()
            del self.unread[longest_waiting]
            longest_waiting.transport.abort()

    def _limited_network(self, address: str | None) -> str | None:
        """Return the network of the address, or None for trusted proxies and Unix sockets (no limit per address)."""
        if address is None or self._trusts_all:
            return None
        network = network_of(address)
        with suppress(ValueError):
            # IPv4 addresses may arrive as IPv6 addresses; `network_of` has converted them.
            parsed = ip_address(network if "/" not in network else address)
            if any(parsed in trusted for trusted in self._trusted):
                return None
        return network

    def _log_refusal(self, limit: str) -> None:
        now = time.monotonic()
        if now >= self._next_log_at:
            self._next_log_at = now + _LOG_INTERVAL_SECONDS
            logging.getLogger(__name__).warning("connection refused, limit reached: %s", limit)


def _parse_network(entry: str) -> IPv4Network | IPv6Network | None:
    try:
        return ip_network(entry)
    except Exception:  # noqa: BLE001 - the errors of the parser differ between versions of Python
        return None


class BoundedProtocol(HttpToolsProtocol):
    """Protocol that closes the connection if the client exceeds a limit.

    httptools accepts headers of any length and copies all received bytes with each new piece: one connection with a
    header of 100 MB blocks the process for seconds (https://github.com/Kludex/uvicorn/issues/157).
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        clients: ClientConnections,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._clients = clients
        self._is_counted = False
        self._non_body_bytes = 0
        self._unsent = 0
        self._running_cycle: RequestResponseCycle | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Count the connection, and start the keep-alive timeout for connections that never send a request."""
        super().connection_made(_ClientTransport(transport, self))  # type: ignore[arg-type]
        self._is_counted = self._clients.add(self.client[0] if self.client else None)
        if not self._is_counted:
            transport.abort()
            return
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def connection_lost(self, exc: Exception | None) -> None:
        """End the timers and disconnect the running request."""
        if self._is_counted:
            self._clients.remove(self.client[0] if self.client else None)
        self._clients.unread.pop(self, None)
        self._end_deadline()
        self._end_write_timer()
        self._unset_keepalive_if_required()
        # uvicorn marks only the newest pipelined request as disconnected. The running one would write to the closed
        # connection and raise, so it is marked here.
        self.pipeline.clear()
        if self._running_cycle is not None and not self._running_cycle.response_complete:
            self._running_cycle.disconnected = True
            self._running_cycle.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Start the request's deadline, and parse the data in small pieces."""
        self._unset_keepalive_if_required()
        if self._deadline is None:
            self._deadline = self.loop.call_later(self._clients.request_seconds, self.transport.close)
        try:
            for start in range(0, len(data), _PARSE_BYTES):
                self._parse(data[start : start + _PARSE_BYTES])
        except httptools.HttpParserError:
            is_too_large = self._non_body_bytes > MAX_NON_BODY_BYTES
            problem = "Request head too large." if is_too_large else "Invalid HTTP request received."
            self.logger.warning(problem)
            self.send_400_response(problem)

    def _parse(self, data: bytes) -> None:
        self._non_body_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._parse_head_without_upgrade()
            self._parse(data[upgrade.args[0] :])
        if self._non_body_bytes > MAX_NON_BODY_BYTES:
            raise httptools.HttpParserError

    def _parse_head_without_upgrade(self) -> None:
        """Parse the head again without its upgrade offer.

        httptools treats the bytes after an offer as another protocol, so the body would be lost. A server may ignore
        the offer: https://www.rfc-editor.org/rfc/rfc9110#section-7.8
        """
        method, version = self.parser.get_method(), self.parser.get_http_version().encode()
        if method == b"CONNECT":
            raise httptools.HttpParserError
        lines = [b"%b %b HTTP/%b" % (method, self.url, version)]
        lines += [b"%b: %b" % header for header in self.headers if header[0] != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.parser.feed_data(b"\r\n".join([*lines, b"", b""]))

    def on_headers_complete(self) -> None:
        """Check the size of the head, and restart the count for chunk framing and trailers."""
        if self.parser.should_upgrade():
            return
        if self._non_body_bytes > MAX_NON_BODY_BYTES:
            # The count includes the bytes after the head in the same piece.
            head = len(self.url) + sum(
                len(name) + len(value) + len(b": \r\n") for name, value in self.headers
            )
            if head > MAX_NON_BODY_BYTES:
                raise httptools.HttpParserError
        if len(self.pipeline) >= MAX_QUEUED_REQUESTS:
            raise httptools.HttpParserError
        self._non_body_bytes = 0
        super().on_headers_complete()
        # Trailers must not become headers: one could forge `X-Forwarded-For` behind a proxy.
        self.headers = []

    def on_body(self, body: bytes) -> None:
        """Subtract the body's bytes, which have their own limit."""
        self._non_body_bytes = max(0, self._non_body_bytes - len(body))
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End the deadline, because the request is complete."""
        if self.parser.should_upgrade():
            return
        self._non_body_bytes = 0
        self._end_deadline()
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Send the error if no earlier request waits for its response; otherwise only close the connection."""
        cycle = self.cycle
        is_next = cycle is None or cycle.response_complete
        if is_next or (cycle.more_body and not cycle.response_started and not self.pipeline):
            super().send_400_response(msg)
        else:
            self.transport.close()

    def shutdown(self) -> None:
        """Let a running request finish, and close an idle connection if no request arrives on it for a moment.

        To close it at once would reset a connection whose request is on its way, or was not read yet. A proxy cannot
        know whether the server has received such a request, so it does not send a POST to another server.
        """
        if self.cycle is None or self.cycle.response_complete:
            self.loop.call_later(IDLE_SECONDS_AT_STOP, super().shutdown)
        else:
            super().shutdown()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running_cycle = cycle
        super()._start_asgi_task(cycle, app)

    def eof_received(self) -> None:
        """Limit the time to read the remaining bytes: the transport closes after this call."""
        self.watch_unsent()

    def pause_writing(self) -> None:
        """Limit the time and the memory of the unread response."""
        super().pause_writing()
        self.watch_unsent()
        self._clients.add_unread(self)

    def resume_writing(self) -> None:
        """End the limits, because the transport can send again."""
        super().resume_writing()
        self._clients.unread.pop(self, None)
        if not self.transport.is_closing():
            self._end_write_timer()

    def watch_unsent(self) -> None:
        """Abort the connection later if the client reads too little of the transport's unsent bytes."""
        self._unsent = self.transport.get_write_buffer_size()
        if self._unsent and self._write_timer is None:
            self._write_timer = self.loop.call_later(self._clients.write_seconds, self._check_unsent)

    def _check_unsent(self) -> None:
        self._write_timer = None
        if self._unsent - self.transport.get_write_buffer_size() < MIN_READ_BYTES:
            self.transport.abort()
            return
        if self in self._clients.unread:
            self._clients.unread[self] = self._clients.unread.pop(self)
        self.watch_unsent()

    def timeout_keep_alive_handler(self) -> None:
        """Abort an idle connection unless its client still reads a response."""
        if self.flow.write_paused:
            # The client still reads the response; `watch_unsent` aborts the connection if the client stops.
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )
        else:
            self.transport.abort()

    def _end_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _end_write_timer(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None


class _ClientTransport:
    """Transport with a time limit for `close`, which otherwise waits until the client has read all bytes."""

    def __init__(self, transport: asyncio.Transport, protocol: BoundedProtocol) -> None:
        self._transport = transport
        self._protocol = protocol

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def close(self) -> None:
        """Close the connection when the client has read all bytes, or abort it after a time limit."""
        if not self._transport.is_closing():
            self._transport.close()
            self._protocol.watch_unsent()


class DrainingServer(Server):
    """Server that serves the connections in the kernel's queue before it stops listening.

    When a listening socket is closed, the kernel resets the connections in its queue, which may have sent requests.
    """

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, accept the connections in the queue, and shut down."""
        waiting = []
        for server in self.servers:
            # The copies keep the sockets open until their queues are empty.
            copies = [listener.dup() for listener in server.sockets]
            server.close()
            for copy in copies:
                with copy:
                    waiting += _accept_all(copy)
        for connection in waiting:
            await asyncio.get_running_loop().connect_accepted_socket(self._create_protocol, connection)
        await super().shutdown(sockets)

    def _create_protocol(self) -> asyncio.Protocol:
        protocol: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return protocol


def _accept_all(listener: socket.socket) -> list[socket.socket]:
    """Return the connections in the queue of the socket."""
    listener.setblocking(False)
    connections: list[socket.socket] = []
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:  # the queue is empty, or no connection can be accepted
            return connections
        connection.setblocking(False)
        connections.append(connection)
