"""Limits on connections and on responses that clients do not read."""

import asyncio
import logging
from pathlib import Path

import pytest
from tests.support.processes import service_process
from tests.support.raw_http import ONE, Connection, Served, serving

from crm_api.cli import http_protocol
from crm_api.cli.http_protocol import ClientConnections

SMALL_BUFFER = 4096
HELD = b"GET /held HTTP/1.1\r\nHost: crm.example\r\n\r\n"


def request_for(size: int, *headers: bytes) -> bytes:
    return b"\r\n".join([b"GET /bytes/%d HTTP/1.1" % size, b"Host: crm.example", *headers, b"", b""])


async def open_connections(served: Served, count: int) -> list[int | None]:
    return [await (await served.connect(ONE)).status() for _ in range(count)]


async def test_connections_of_one_address_are_limited(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(ClientConnections(max_per_address=2)) as served:
        assert await open_connections(served, 20) == [200, 200] + [None] * 18
        served.connections[0].close()
        await served.wait_until(lambda: served.connection_count == 1)
        assert await open_connections(served, 2) == [200, None]
    refusals = [record.getMessage() for record in caplog.records if "refused" in record.getMessage()]
    assert refusals == ["connection refused, limit reached: MAX_CONNECTIONS_PER_ADDRESS"]


async def test_connections_of_all_addresses_are_limited() -> None:
    async with serving(ClientConnections(max_connections=2, trusted_proxies="127.0.0.1")) as served:
        assert await open_connections(served, 4) == [200, 200, None, None]
        served.connections[0].close()
        await served.wait_until(lambda: served.connection_count == 1)
        assert await open_connections(served, 1) == [200]


@pytest.mark.parametrize(
    ("trusted", "address", "is_limited"),
    [
        ("", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.1", False),
        ("198.51.100.7, 192.0.2.0/24", "192.0.2.1", False),
        ("192.0.2.0/24", "::ffff:192.0.2.1", False),
        ("2001:db8::/32", "2001:db8::1", False),
        ("192.0.2.1", "192.0.2.2", True),
        ("not-an-address", "192.0.2.1", True),
        ("*", "192.0.2.1", False),
        ("", None, False),
    ],
)
def test_connection_limit_per_address_excepts_trusted_proxies(
    trusted: str, address: str | None, is_limited: bool
) -> None:
    clients = ClientConnections(max_per_address=1, trusted_proxies=trusted)
    assert clients.add(address)
    assert clients.add(address) is not is_limited


def test_ipv6_addresses_of_one_network_share_connection_limit() -> None:
    clients = ClientConnections(max_per_address=1)
    assert clients.add("2001:db8::1")
    assert not clients.add("2001:db8::2")
    assert clients.add("2001:db8:0:1::1")
    clients.remove("2001:db8::1")
    assert clients.add("2001:db8::3")


@pytest.mark.parametrize("database_backend", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("trusted", "served_counts"), [("", {1, 2}), ("127.0.0.1", {10})])
async def test_workers_apply_configured_connection_limit(
    database_url: str, tmp_path: Path, trusted: str, served_counts: set[int]
) -> None:
    with service_process(
        tmp_path,
        database_url=database_url,
        hubspot_url="http://127.0.0.1:9",
        workers=2,
        MAX_CONNECTIONS_PER_ADDRESS="1",
        FORWARDED_ALLOW_IPS=trusted,
    ) as service:
        port = int(service.url.rpartition(":")[2])
        connections = [Connection(*await asyncio.open_connection("127.0.0.1", port)) for _ in range(10)]
        statuses = []
        for connection in connections:
            connection.writer.write(ONE)
            statuses.append(await connection.status())
        # Connections stay open until all are counted: a closed one would admit the next.
        for connection in connections:
            connection.close()
    # The path `/one` does not exist, and a refused connection gets no response. One worker may get all connections.
    assert set(statuses) <= {404, None}
    assert statuses.count(404) in served_counts


async def unread_connection(served: Served, *requests: bytes) -> Connection:
    connection = await served.connect(*requests, receive_buffer=SMALL_BUFFER)
    connection.stop_reading()
    return connection


async def test_unread_response_is_aborted_after_write_timeout() -> None:
    async with serving(ClientConnections(write_seconds=0.2), send_buffer=SMALL_BUFFER) as served:
        await unread_connection(served, request_for(1_000_000))
        await served.wait_until(lambda: bool(served.received))
        await served.wait_until(lambda: served.connection_count == 0)


async def test_slowly_read_response_is_sent_completely() -> None:
    size = 1_500_000
    async with serving(
        ClientConnections(write_seconds=0.3), timeout_keep_alive=1, send_buffer=SMALL_BUFFER
    ) as served:
        connection = await served.connect(request_for(size), receive_buffer=SMALL_BUFFER)
        for _ in range(size // 60_000):
            await connection.reader.readexactly(60_000)
            await asyncio.sleep(0.06)


@pytest.mark.parametrize("headers", [(), (b"Connection: close",)], ids=["half_closed", "closed"])
async def test_closing_connection_with_unread_bytes_is_aborted(headers: tuple[bytes, ...]) -> None:
    async with serving(ClientConnections(write_seconds=0.2), send_buffer=SMALL_BUFFER) as served:
        # The size is below the transport's high-water mark, so writing is never paused.
        connection = await unread_connection(served, request_for(60_000, *headers))
        await served.wait_until(lambda: bool(served.received))
        if not headers:
            connection.writer.write_eof()
        await served.wait_until(lambda: served.connection_count == 0)


async def test_idle_connection_with_unread_bytes_is_aborted() -> None:
    async with serving(timeout_keep_alive=1, send_buffer=SMALL_BUFFER) as served:
        await unread_connection(served, request_for(60_000))
        await served.wait_until(lambda: bool(served.received))
        await served.wait_until(lambda: served.connection_count == 0)


async def test_oldest_unread_responses_are_aborted_over_memory_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "MAX_UNSENT_BYTES", 1_000_000)
    async with serving(send_buffer=SMALL_BUFFER) as served:
        for number in range(1, 6):
            await unread_connection(served, request_for(400_000))
            await served.wait_until(lambda expected=number: len(served.received) == expected)  # type: ignore[misc]
        await served.wait_until(lambda: served.connection_count == 2)
        # The newest connections remain, so clients that read their responses are not affected.
        for connection in served.connections[-2:]:
            connection.writer.transport.resume_reading()  # type: ignore[attr-defined]
            assert await connection.status() == 200


@pytest.mark.parametrize("requests", [HELD, HELD + ONE * 3], ids=["one", "pipelined"])
async def test_response_after_disconnect_logs_no_error(
    requests: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with serving() as served:
        connection = await served.connect(requests)
        await served.wait_until(lambda: bool(served.received))
        connection.close()
        await served.wait_until(lambda: served.connection_count == 0)
        served.release()
        await served.wait_until(lambda: ("finished", b"") in served.received)
        assert await served.send(ONE, responses=1) == [200]
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []
