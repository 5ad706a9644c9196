"""Deadlines and released resources, over real loopback sockets."""

import asyncio
import socket
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpcore
import httpx
import pytest

from crm_api.hubspot import (
    HubSpotClient,
    LocalQuota,
    RefreshTokenAuth,
    StaticTokenAuth,
    UniqueValue,
    call_context,
)
from crm_api.hubspot.errors import (
    HubSpotDeadlineError,
    HubSpotError,
    HubSpotOutcomeUnknownError,
    HubSpotTimeoutError,
    HubSpotUnavailableError,
)

DEADLINE_SECONDS = 0.4
# The margin is for a busy machine; without a deadline, the calls would never end.
ALLOWED_SECONDS = DEADLINE_SECONDS + 0.5
RECORD = (
    b'{"id":"512","properties":{"email":"a@b.example"},"createdAt":"2026-11-02T10:00:00Z",'
    b'"updatedAt":"2026-11-02T10:00:00Z","archived":false}'
)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(-1)


async def half_a_head(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Ty")
    await reader.read(-1)


async def trickling_head(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X-Slow: 1\r\n")
        await writer.drain()
        await asyncio.sleep(0.05)


async def trickling_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(HEAD % 100_000)
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.05)


async def record(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD % len(RECORD) + RECORD)
        await writer.drain()


class Server:
    """TCP server whose behaviour can be changed between connections."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.connections = 0
        self.open = 0
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        try:
            await self.answer(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open -= 1
            writer.close()


@asynccontextmanager
async def serving(answer: Answer) -> AsyncGenerator[Server, None]:
    server = Server(answer)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    yield server
    listener.close()


@asynccontextmanager
async def client_of(url: str, **options: object) -> AsyncGenerator[HubSpotClient, None]:
    settings: dict[str, object] = {"auth": StaticTokenAuth("secret-token"), **options}
    client = HubSpotClient(base_url=url, **settings)  # type: ignore[arg-type]
    yield client
    await client.aclose()


async def timed_error(call: Awaitable[object]) -> tuple[HubSpotError, float]:
    started = time.monotonic()
    with pytest.raises(HubSpotError) as raised:
        await call
    return raised.value, time.monotonic() - started


@pytest.mark.parametrize("answer", [never, half_a_head, trickling_head, trickling_body])
async def test_read_of_an_unresponsive_server_ends_at_the_deadline(answer: Answer) -> None:
    async with serving(answer) as server, client_of(server.url) as client:
        with call_context(DEADLINE_SECONDS):
            error, seconds = await timed_error(client.contacts.get("512"))
    assert isinstance(error, HubSpotDeadlineError | HubSpotTimeoutError)
    assert seconds < ALLOWED_SECONDS


@pytest.mark.parametrize("answer", [never, trickling_body])
async def test_default_deadline_applies_without_a_call_context(answer: Answer) -> None:
    async with (
        serving(answer) as server,
        client_of(server.url, default_deadline_seconds=DEADLINE_SECONDS) as client,
    ):
        _, seconds = await timed_error(client.contacts.get("512"))
    assert seconds < ALLOWED_SECONDS


async def test_wait_for_an_unaccepted_connection_ends_at_the_deadline() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        # The backlog is one, so the server accepts no further connection.
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(address)
        async with client_of(f"http://127.0.0.1:{address[1]}") as client:
            with call_context(DEADLINE_SECONDS):
                error, seconds = await timed_error(client.contacts.get("512"))
        for filler in fillers:
            filler.close()
    # On a slow machine the deadline can end the wait before the connection timeout that is set just below it.
    assert isinstance(error, HubSpotDeadlineError) or (
        isinstance(error, HubSpotTimeoutError) and not error.sent
    )
    assert seconds < ALLOWED_SECONDS


@pytest.mark.parametrize("answer", [never, trickling_body])
async def test_hanging_create_and_its_lookup_end_at_the_deadline(answer: Answer) -> None:
    async with serving(answer) as server, client_of(server.url) as client:
        with call_context(DEADLINE_SECONDS):
            create = client.deals.create({"dealname": "x"}, unique=UniqueValue("request_id", "1"))
            error, seconds = await timed_error(create)
    assert isinstance(error, HubSpotOutcomeUnknownError)
    assert seconds < ALLOWED_SECONDS
    assert server.connections >= 2  # there was time for a lookup


@pytest.mark.parametrize("answer", [never, trickling_body])
async def test_call_with_hanging_token_request_ends_unsent_at_deadline(
    answer: Answer,
) -> None:
    async with serving(answer) as tokens, serving(record) as server:
        auth = RefreshTokenAuth("id", "secret", "refresh", f"{tokens.url}/oauth/2026-09/token")
        async with client_of(server.url, auth=auth) as client:
            with call_context(DEADLINE_SECONDS):
                errors = await asyncio.gather(*(timed_error(client.contacts.get("512")) for _ in range(5)))
            assert server.connections == 0
    assert max(seconds for _, seconds in errors) < ALLOWED_SECONDS


async def test_connections_of_hanging_calls_are_free_after_deadline() -> None:
    async with serving(never) as server, client_of(server.url, max_connections=10) as client:
        with call_context(DEADLINE_SECONDS):
            await asyncio.gather(*(timed_error(client.contacts.get("512")) for _ in range(15)))
        server.answer = record
        with call_context(5.0):
            found = await asyncio.gather(*(client.contacts.get("512") for _ in range(15)))
    assert len(found) == 15


async def test_connection_whose_closing_is_cancelled_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client's deadline can cancel the closing that httpx's timeout started 10 ms earlier."""
    original = httpcore.AsyncHTTP11Connection._response_closed

    async def response_closed(connection: httpcore.AsyncHTTP11Connection) -> None:
        task = asyncio.current_task()
        if task in cut_off:
            task.cancel()
        await original(connection)

    monkeypatch.setattr(httpcore.AsyncHTTP11Connection, "_response_closed", response_closed)
    cut_off = set()
    async with serving(never) as server, client_of(server.url, max_connections=1) as client:
        for _ in range(3):
            with call_context(DEADLINE_SECONDS):
                cut_off.add(asyncio.create_task(client.contacts.get("512")))
                await asyncio.wait(cut_off)
        server.answer = record
        # A pool with a lost connection would still be waiting for it.
        async with asyncio.timeout(0.9):
            await client.contacts.get("512")
        async with asyncio.timeout(5.0):
            while server.open > 1:  # noqa: ASYNC110 - the server's tasks must run
                await asyncio.sleep(0.01)
    assert all(task.cancelled() for task in cut_off)


async def test_cancelled_calls_free_their_connections_for_new_calls() -> None:
    async with serving(never) as server, client_of(server.url, max_connections=2) as client:
        tasks = [asyncio.create_task(client.contacts.get("512")) for _ in range(6)]
        while server.open < 2:  # noqa: ASYNC110 - the server's tasks must run
            await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)
        server.answer = record
        with call_context(5.0):
            found = await asyncio.gather(*(client.contacts.get("512") for _ in range(6)))
        assert len(found) == 6
        assert server.connections <= 2 + 2


async def test_concurrent_calls_reuse_open_connections() -> None:
    async with serving(record) as server, client_of(server.url, max_connections=10) as client:
        for _ in range(3):
            await asyncio.gather(*(client.contacts.get("512") for _ in range(10)))
        assert server.connections <= 10


async def test_sequential_calls_reuse_one_connection() -> None:
    async with serving(record) as server, client_of(server.url, max_connections=10) as client:
        for _ in range(5):
            await client.contacts.get("512")
        assert server.connections == 1


async def test_quota_wait_beyond_deadline_raises_unavailable_error() -> None:
    quota = LocalQuota(burst_limit=1)
    async with serving(record) as server, client_of(server.url, quota=quota) as client:
        await client.contacts.get("512")
        with call_context(DEADLINE_SECONDS):
            error, seconds = await timed_error(client.contacts.get("512"))
    assert isinstance(error, HubSpotUnavailableError)
    assert error.retry_after is not None
    assert error.retry_after > DEADLINE_SECONDS
    assert seconds < ALLOWED_SECONDS


async def test_429_with_retry_after_beyond_deadline_raises_at_once() -> None:
    answer = httpx.Response(429, headers={"Retry-After": "30"}, json={"policyName": "TEN_SECONDLY_ROLLING"})
    transport = httpx.MockTransport(lambda request: answer)
    async with client_of("http://hubspot.example", transport=transport) as client:
        with call_context(DEADLINE_SECONDS):
            error, seconds = await timed_error(client.contacts.get("512"))
    assert error.status_code == 429
    assert error.retry_after is not None
    assert error.retry_after >= 10
    assert seconds < DEADLINE_SECONDS


async def test_calls_of_one_call_context_share_its_deadline() -> None:
    async with serving(never) as server, client_of(server.url) as client:
        started = time.monotonic()
        with call_context(DEADLINE_SECONDS) as context:
            ids = [str(number) for number in range(250)]
            await timed_error(client.contacts.batch_read(ids))
            await timed_error(client.contacts.get("512"))
        assert time.monotonic() - started < ALLOWED_SECONDS
        assert context.calls >= 3
