"""Limits of the HTTP protocol, tested with bytes on real sockets."""

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn

from crm_api.cli.http_protocol import MAX_NON_BODY_BYTES, BoundedProtocol

WAIT_SECONDS = 10.0
ONE = b"GET /one HTTP/1.1\r\nHost: crm.example\r\n\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: crm.example\r\n\r\n"
PIECE = b"a" * 8192


class ShortDeadline(BoundedProtocol):
    request_seconds = 0.2


class Served:
    """A running server and the requests that reached its application."""

    def __init__(self, port: int, received: list[tuple[str, bytes]]) -> None:
        self.port = port
        self.received = received

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


def statuses_in(read: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1.1 (\d+)", read)]


@asynccontextmanager
async def serving(protocol: type[BoundedProtocol]) -> AsyncGenerator[Served, None]:
    received: list[tuple[str, bytes]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                received.append(("disconnected", body))
                return
            body += message["body"]
            if not message.get("more_body"):
                break
        received.append((scope["path"], body))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    config = uvicorn.Config(app, port=0, http=protocol, ws="none", lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve())
    async with asyncio.timeout(WAIT_SECONDS):
        while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
    yield Served(server.servers[0].sockets[0].getsockname()[1], received)
    server.should_exit = server.force_exit = True
    await running


@pytest.fixture
async def served() -> AsyncGenerator[Served, None]:
    async with serving(BoundedProtocol) as served:
        yield served


def post(*headers: bytes, body: bytes = b"") -> bytes:
    return b"\r\n".join([b"POST /one HTTP/1.1", b"Host: crm.example", *headers, b"", b""]) + body


@pytest.mark.parametrize(
    "request_bytes",
    [
        post(b"Content-Length: 4", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n" + SMUGGLED),
        post(b"Transfer-Encoding: chunked", b"Content-Length: 4", body=b"0\r\n\r\n" + SMUGGLED),
        post(b"Content-Length: 0", b"Content-Length: 45", body=SMUGGLED),
        post(b"Content-Length: 45, 0", body=SMUGGLED),
        post(b"Content-Length: +0", body=SMUGGLED),
        post(b"Content-Length: -1", body=SMUGGLED),
        post(b"Content-Length: 0x2d", body=SMUGGLED),
        post(b"Content-Length : 0", body=SMUGGLED),
        post(b"Content-Length: " + b"9" * 30, body=SMUGGLED),
        post(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n" + SMUGGLED),
        post(b"Transfer-Encoding: chunked, identity", body=b"0\r\n\r\n" + SMUGGLED),
        post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity", body=b"0\r\n\r\n" + SMUGGLED),
        post(b"Transfer-Encoding: \x0bchunked", body=b"0\r\n\r\n" + SMUGGLED),
        post(b"X: a\r\n Content-Length: 45", body=SMUGGLED),
        post(b"X: a\rContent-Length: 45", body=SMUGGLED),
        post(b"X: a\x00b", body=SMUGGLED),
        post(b"Transfer-Encoding: chunked", body=b"-1\r\nx\r\n0\r\n\r\n" + SMUGGLED),
        post(b"Content-Length: 0").replace(b"\r\n", b"\n") + SMUGGLED,
    ],
)
async def test_ambiguous_request_length_is_rejected(served: Served, request_bytes: bytes) -> None:
    # A proxy may read such a request differently: https://www.rfc-editor.org/rfc/rfc9112#section-11.2
    statuses = await served.send(request_bytes)
    assert statuses in ([400], [200, 400], [])
    assert ("/smuggled", b"") not in served.received


async def test_pipelined_requests_are_both_answered(served: Served) -> None:
    assert await served.send(ONE + SMUGGLED, responses=2) == [200, 200]


def endless(begin: bytes, piece: bytes = PIECE) -> Callable[[], list[bytes]]:
    return lambda: [begin, *[piece] * 64]


@pytest.mark.parametrize(
    "pieces",
    [
        endless(b"GET /"),
        endless(b"GET /one HTTP/1.1\r\nHost: crm.example\r\nX-A: "),
        endless(b"GET /one HTTP/1.1\r\nHost: crm.example\r\n", b"X-A: a\r\n" * 1000),
        endless(post(b"Transfer-Encoding: chunked", body=b"0\r\n"), b"X-A: a\r\n" * 1000),
        endless(post(b"Transfer-Encoding: chunked", body=b"1;")),
        endless(post(b"Transfer-Encoding: chunked"), b"1;" + PIECE + b"\r\nx\r\n"),
    ],
    ids=["line", "header", "headers", "trailers", "extension", "extensions"],
)
async def test_endless_request_head_closes_connection(
    served: Served, pieces: Callable[[], list[bytes]]
) -> None:
    assert await served.send(*pieces()) in ([], [400])
    assert [path for path, _ in served.received] in ([], ["disconnected"])
    assert await served.send(ONE, responses=1) == [200]


async def test_head_below_the_limit_and_large_body_are_accepted(served: Served) -> None:
    body = b"x" * (20 * MAX_NON_BODY_BYTES)
    header = b"X-A: " + b"a" * (MAX_NON_BODY_BYTES - 1000)
    length = b"Content-Length: " + str(len(body)).encode()
    for _ in range(2):
        assert await served.send(post(header, length, body=body), responses=1) == [200]
    chunks = [b"1000\r\n" + b"x" * 4096 + b"\r\n"] * 300
    chunked = [post(header, b"Transfer-Encoding: chunked"), *chunks, b"0\r\n\r\n"]
    assert await served.send(*chunked, responses=1) == [200]
    # The limit applies to each request.
    requests = [post(header, b"Content-Length: 1", body=b"x")] * 3
    assert await served.send(*requests, responses=3) == [200] * 3


@pytest.mark.parametrize(
    "partial_request", [b"GET /one HT", post(b"Content-Length: 10", body=b"x"), ONE + b"GET /one HT"], ids=str
)
async def test_incomplete_request_closes_connection(partial_request: bytes) -> None:
    async with serving(ShortDeadline) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(partial_request)
        if partial_request.startswith(ONE):
            await reader.readuntil(b"\r\n\r\n")
        writer.write(b"T" if partial_request.endswith(b"HT") else b"x")
        async with asyncio.timeout(WAIT_SECONDS):
            assert await reader.read() == b""
        writer.close()


async def test_idle_connection_stays_open_after_the_request_deadline() -> None:
    async with serving(ShortDeadline) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        for _ in range(2):
            writer.write(ONE)
            assert b"200" in await reader.readuntil(b"\r\n\r\n")
            await asyncio.sleep(ShortDeadline.request_seconds * 1.5)
        writer.close()
