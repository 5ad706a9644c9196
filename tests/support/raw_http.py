"""Server with the service's HTTP protocol and a small application, for tests that send raw bytes."""

import asyncio
import concurrent.futures
import contextlib
import re
import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import uvicorn

from crm_api.cli.http_protocol import BoundedProtocol, ClientConnections, DrainingServer

WAIT_SECONDS = 10.0
ONE = b"GET /one HTTP/1.1\r\nHost: crm.example\r\n\r\n"


def post(*headers: bytes, body: bytes = b"") -> bytes:
    """Return a POST request with these headers and this body."""
    return b"\r\n".join([b"POST /one HTTP/1.1", b"Host: crm.example", *headers, b"", b""]) + body


def statuses_in(read: bytes) -> list[int]:
    """Return the statuses of all responses in these bytes."""
    return [int(status) for status in re.findall(rb"HTTP/1.1 (\d+)", read)]


class Served:
    """Server on uvloop in its own thread, and the requests that reached its application.

    `/bytes/N` returns N bytes; `/held` returns after `release`; other paths return an empty body.
    """

    def __init__(self, clients: ClientConnections, *, timeout_keep_alive: int, send_buffer: int) -> None:
        self.received: list[tuple[str, bytes]] = []
        self.headers: list[dict[bytes, bytes]] = []
        self.connections: list[Connection] = []
        self._released = asyncio.Event()
        config = uvicorn.Config(
            self._app,
            http=partial(BoundedProtocol, clients=clients),  # type: ignore[arg-type]
            ws="none",
            lifespan="off",
            interface="asgi3",
            proxy_headers=False,
            log_config=None,
            timeout_keep_alive=timeout_keep_alive,
        )
        self.server = DrainingServer(config)
        self.listener = socket.create_server(("127.0.0.1", 0))
        if send_buffer:
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        self.port: int = self.listener.getsockname()[1]
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self) -> None:
        """Serve until the server is stopped."""
        self.server.run(sockets=[self.listener])

    def call(self, function: Callable[[], Any]) -> None:
        """Call the function in the server's loop and wait for its result."""
        assert self._loop is not None
        result: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._loop.call_soon_threadsafe(lambda: result.set_result(function()))
        result.result(WAIT_SECONDS)

    def release(self) -> None:
        """Let the requests for `/held` finish."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._released.set)

    async def connect(self, *requests: bytes, receive_buffer: int = 0) -> "Connection":
        """Open a connection and send these bytes; a small `receive_buffer` limits what the kernel reads in advance."""
        client = socket.socket()
        if receive_buffer:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        client.setblocking(False)
        await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", self.port))
        reader, writer = await asyncio.open_connection(sock=client, limit=2048)
        writer.write(b"".join(requests))
        connection = Connection(reader, writer)
        self.connections.append(connection)
        return connection

    async def send(self, *pieces: bytes, responses: int | None = None) -> list[int]:
        """Send the bytes and return the statuses, after this number of responses or when the server closes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        read = b""
        with contextlib.suppress(ConnectionError):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(WAIT_SECONDS):
                while responses is None or len(statuses_in(read)) < responses:
                    more = await reader.read(65_536)
                    if not more:
                        break
                    read += more
        writer.transport.abort()
        return statuses_in(read)

    async def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait until the condition is true."""
        async with asyncio.timeout(WAIT_SECONDS):
            while not condition():  # noqa: ASYNC110 - the server runs in another thread
                await asyncio.sleep(0.01)

    @property
    def connection_count(self) -> int:
        """Return the number of open connections of the server."""
        return len(self.server.server_state.connections)

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        self._loop = asyncio.get_running_loop()
        body = b""
        more_body = True
        while more_body:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.received.append(("disconnected", body))
                return
            body += message["body"]
            more_body = message.get("more_body", False)
        self.received.append((scope["path"], body))
        self.headers.append(dict(scope["headers"]))
        if scope["path"] == "/held":
            await self._released.wait()
        content = bytes(int(scope["path"].removeprefix("/bytes/"))) if "/bytes/" in scope["path"] else b""
        headers = [(b"content-length", b"%d" % len(content))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content})
        if scope["path"] == "/held":
            self.received.append(("finished", b""))


class Connection:
    """Connection of a client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def status(self) -> int | None:
        """Return the status of the next response with an empty body, or None if the server has closed."""
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                return statuses_in(await self.reader.readuntil(b"\r\n\r\n"))[0]
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    def stop_reading(self) -> None:
        """Leave the server's bytes in the kernel's buffers."""
        self.writer.transport.pause_reading()  # type: ignore[attr-defined]

    def close(self) -> None:
        """Abort the connection."""
        self.writer.transport.abort()


@asynccontextmanager
async def serving(
    clients: ClientConnections | None = None, *, timeout_keep_alive: int = 75, send_buffer: int = 0
) -> AsyncGenerator[Served, None]:
    """Run a server with these limits."""
    served = Served(
        clients or ClientConnections(), timeout_keep_alive=timeout_keep_alive, send_buffer=send_buffer
    )
    running = asyncio.create_task(asyncio.to_thread(served.run))
    await served.wait_until(lambda: served.server.started)
    try:
        yield served
    finally:
        for connection in served.connections:
            connection.close()
        served.server.should_exit = served.server.force_exit = True
        await running
