"""Limits of the HTTP protocol, tested with bytes on real sockets."""

import asyncio
import contextlib
import shutil
import socket
import subprocess
from collections.abc import AsyncGenerator, Callable

import pytest
from tests.support.raw_http import ONE, WAIT_SECONDS, Served, post, serving, statuses_in

from crm_api.cli.http_protocol import MAX_NON_BODY_BYTES, MAX_QUEUED_REQUESTS, ClientConnections

REQUEST_SECONDS = 0.2
HELD = b"GET /held HTTP/1.1\r\nHost: crm.example\r\n\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: crm.example\r\n\r\n"
PIECE = b"a" * 8192


@pytest.fixture
async def served() -> AsyncGenerator[Served, None]:
    async with serving() as served:
        yield served


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
async def test_ambiguous_request_length_smuggles_no_request(served: Served, request_bytes: bytes) -> None:
    # A proxy may read such a request differently: https://www.rfc-editor.org/rfc/rfc9112#section-11.2
    statuses = await served.send(request_bytes)
    assert statuses in ([400], [200, 400], [])
    assert ("/smuggled", b"") not in served.received


async def test_two_pipelined_requests_get_two_responses(served: Served) -> None:
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
async def test_endless_head_trailer_or_chunk_closes_connection(
    served: Served, pieces: Callable[[], list[bytes]]
) -> None:
    assert await served.send(*pieces()) in ([], [400])
    assert [path for path, _ in served.received] in ([], ["disconnected"])
    assert await served.send(ONE, responses=1) == [200]


def head_of(size: int) -> bytes:
    return ONE[:-2] + b"X-A: " + b"a" * (size - len(ONE) - len(b"X-A: \r\n")) + b"\r\n\r\n"


@pytest.mark.parametrize("size", [MAX_NON_BODY_BYTES + 500, 70_000, 200_000])
async def test_head_over_limit_in_one_read_returns_400(served: Served, size: int) -> None:
    assert await served.send(head_of(size)) == [400]
    assert served.received == []


async def test_incomplete_large_head_after_request_closes_connection(served: Served) -> None:
    connection = await served.connect(ONE, head_of(80_000)[:75_000])
    while await connection.status() is not None:
        pass
    assert served.received in ([("/one", b"")], [])


async def test_head_below_the_limit_and_large_body_return_200(served: Served) -> None:
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
async def test_incomplete_request_closes_connection_at_deadline(partial_request: bytes) -> None:
    async with serving(ClientConnections(request_seconds=REQUEST_SECONDS)) as served:
        connection = await served.connect(partial_request)
        if partial_request.startswith(ONE):
            assert await connection.status() == 200
        connection.writer.write(b"T" if partial_request.endswith(b"HT") else b"x")
        assert await connection.status() is None


async def test_idle_connection_stays_open_after_the_request_deadline() -> None:
    async with serving(ClientConnections(request_seconds=REQUEST_SECONDS)) as served:
        connection = await served.connect()
        for _ in range(2):
            connection.writer.write(ONE)
            assert await connection.status() == 200
            await asyncio.sleep(REQUEST_SECONDS * 1.5)


async def test_pipelined_requests_within_limit_are_served(served: Served) -> None:
    count = MAX_QUEUED_REQUESTS + 1
    assert await served.send(ONE * count, responses=count) == [200] * count


@pytest.mark.parametrize("pieces", [1, 20])
async def test_pipelined_requests_over_limit_close_connection(served: Served, pieces: int) -> None:
    assert await served.send(HELD, *[ONE * (6000 // pieces)] * pieces) == []
    assert served.received == [("/held", b"")]
    served.release()
    assert await served.send(ONE, responses=1) == [200]


async def test_invalid_pipelined_request_closes_without_response(served: Served) -> None:
    connection = await served.connect(HELD)
    await served.wait_until(lambda: bool(served.received))
    connection.writer.write(b"NOT HTTP\r\n\r\n")
    assert await connection.status() is None
    served.release()


@pytest.mark.parametrize("protocol", [b"h2c", b"websocket", b"TLS/1.2", b"h2c, websocket"])
@pytest.mark.parametrize(
    ("framing", "wire_body"),
    [
        (b"Content-Length: 11", b"hello world"),
        (b"Transfer-Encoding: chunked", b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"),
    ],
    ids=["length", "chunked"],
)
@pytest.mark.parametrize("pieces", ["one", "two", "bytes"])
async def test_request_with_upgrade_header_is_served_with_its_body(
    served: Served, protocol: bytes, framing: bytes, wire_body: bytes, pieces: str
) -> None:
    # A server may ignore the offer: https://www.rfc-editor.org/rfc/rfc9110#section-7.8
    head = post(b"X-Empty:", b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: " + protocol, framing)
    sent = [head + wire_body] * 2 + [ONE]
    if pieces == "two":
        sent = [head, wire_body, head, wire_body, ONE]
    elif pieces == "bytes":
        sent = [bytes([byte]) for piece in sent for byte in piece]
    assert await served.send(*sent, responses=3) == [200] * 3
    assert served.received == [("/one", b"hello world")] * 2 + [("/one", b"")]
    assert served.headers[0][b"x-empty"] == b""
    assert served.headers[0][b"host"] == b"crm.example"


@pytest.mark.parametrize("connection", [b"Upgrade", b"upgrade, close"])
async def test_upgrade_header_does_not_change_body_length(served: Served, connection: bytes) -> None:
    length = b"Content-Length: " + str(len(SMUGGLED)).encode()
    offer = (b"Connection: " + connection, b"Upgrade: h2c")
    await served.send(post(*offer, length, body=SMUGGLED) + b"x\r\n\r\n")
    assert served.received in ([("/one", SMUGGLED)], [("disconnected", SMUGGLED)])
    refused = post(*offer, b"Content-Length: 4", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n" + SMUGGLED)
    assert await served.send(refused) == [400]


async def test_connect_method_returns_400(served: Served) -> None:
    for target in (b"crm.example:443", b"/one"):
        assert await served.send(b"CONNECT " + target + b" HTTP/1.1\r\nHost: crm.example\r\n\r\n" + ONE) == [
            400
        ]
    assert served.received == []


async def test_chunked_trailers_do_not_become_headers(served: Served) -> None:
    body = b"1\r\nx\r\n0\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n"
    assert await served.send(post(b"Transfer-Encoding: chunked", body=body), responses=1) == [200]
    assert list(served.headers[0]) == [b"host", b"transfer-encoding"]


def curl_has_http2() -> bool:
    curl = shutil.which("curl")
    return curl is not None and b"HTTP2" in subprocess.run([curl, "--version"], capture_output=True).stdout


@pytest.mark.skipif(not curl_has_http2(), reason="needs curl with HTTP/2")
@pytest.mark.parametrize(
    "options", [(), ("--header", "Transfer-Encoding: chunked")], ids=["length", "chunked"]
)
async def test_curl_offering_http2_posts_its_body(served: Served, options: tuple[str, ...]) -> None:
    body = b'{"everywhere": true}'
    url = f"http://127.0.0.1:{served.port}/one"
    command = [
        "curl",
        "--http2",
        "--silent",
        "--fail",
        "--max-time",
        "10",
        "--data-binary",
        "@-",
        *options,
        url,
    ]
    await asyncio.to_thread(subprocess.run, command, input=body, check=True)
    assert served.received == [("/one", body)]


async def test_stop_serves_a_request_on_its_way(served: Served) -> None:
    assert await served.send(ONE, responses=1) == [200]
    await served.wait_until(lambda: served.connection_count == 0)
    with contextlib.closing(
        socket.create_connection(("127.0.0.1", served.port), timeout=WAIT_SECONDS)
    ) as client:
        await served.wait_until(lambda: served.connection_count > 0)

        def stop_before_the_request_is_read() -> None:
            client.sendall(SMUGGLED)
            for connection in served.server.server_state.connections:
                connection.shutdown()

        await asyncio.to_thread(served.call, stop_before_the_request_is_read)
        assert statuses_in(await asyncio.to_thread(client.recv, 4096)) == [200]
        # No further request arrives, so the connection is closed.
        assert await asyncio.to_thread(client.recv, 4096) == b""


async def test_stop_serves_connections_in_the_queue_of_the_kernel(served: Served) -> None:
    assert await served.send(ONE, responses=1) == [200]
    clients: list[socket.socket] = []

    def stop_before_connections_are_accepted() -> None:
        for _ in range(3):
            clients.append(socket.create_connection(("127.0.0.1", served.port), timeout=WAIT_SECONDS))
            clients[-1].sendall(SMUGGLED)
        served.server.should_exit = True
        stopping.append(asyncio.ensure_future(served.server.shutdown([served.listener])))

    stopping: list[asyncio.Future[None]] = []
    await asyncio.to_thread(served.call, stop_before_connections_are_accepted)
    for client in clients:
        with client:
            assert statuses_in(await asyncio.to_thread(client.recv, 4096)) == [200]
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", served.port)
