"""Cancellation at any await releases the turn, the connection, the probe and the renewal."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import pytest
from tests.hubspot.stubs import BASE_URL, Stub, build_client, ok, record, refusal
from tests.support.clock import FakeClock
from tests.support.crashes import cancel_at_await

from crm_api.hubspot import (
    Circuits,
    CircuitState,
    HubSpotClient,
    LocalQuota,
    RefreshTokenAuth,
    UniqueValue,
    token_url,
)
from crm_api.hubspot.errors import HubSpotConnectionError

MAX_AWAITS = 500
TIMEOUT_SECONDS = 5.0


class FakeHubSpot:
    """Fake HubSpot that fails the first create, finds no record by unique property, and yields before each response."""

    def __init__(self) -> None:
        self.creates = 0

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0)
        if request.url.path.startswith("/oauth/"):
            return ok({"access_token": "t", "expires_in": 1800, "refresh_token": "r1"})
        if request.method == "POST":
            self.creates += 1
            return refusal(502) if self.creates == 1 else ok(record("1"), 201)
        return refusal(404) if b"idProperty" in request.url.query else ok(record("1"))


def tight_client() -> tuple[HubSpotClient, FakeClock]:
    """Return a client with one connection, an exhausted quota and no access token yet."""
    clock = FakeClock()
    auth = RefreshTokenAuth("id", "s", "r1", token_url(BASE_URL, "2026-09"), clock=clock)
    client = build_client(
        Stub(FakeHubSpot()),
        fake_clock=clock,
        auth=auth,
        max_connections=1,
        quota=LocalQuota(burst_limit=1, clock=clock, sleep=clock.sleep),
        circuits=Circuits(failure_threshold=2, open_seconds=2, clock=clock),
        default_deadline_seconds=100.0,
    )
    return client, clock


async def open_the_circuit(client: HubSpotClient, clock: FakeClock) -> None:
    for _ in range(2):
        client.sender.circuits["objects"].finish(client.sender.circuits["objects"].enter(), failed=True)
    clock.now += 2


async def read(client: HubSpotClient) -> None:
    await client.deals.get("1")


async def create_after_lost_response(client: HubSpotClient) -> None:
    await client.deals.create({"dealname": "A"}, unique=UniqueValue("k", "v"))


@pytest.mark.parametrize(
    ("call", "half_open", "awaits"),
    [(read, False, 2), (read, True, 2), (create_after_lost_response, False, 6)],
)
async def test_call_cancelled_at_any_await_leaves_the_client_usable(
    call: Callable[[HubSpotClient], Awaitable[None]], awaits: int, *, half_open: bool
) -> None:
    for position in range(1, MAX_AWAITS):
        client, clock = tight_client()
        if half_open:
            await open_the_circuit(client, clock)
        else:
            await read(client)
        survived = await asyncio.create_task(cancel_at_await(position, call(client)))
        await asyncio.wait_for(read(client), TIMEOUT_SECONDS)
        assert client.sender.circuits["objects"].state is CircuitState.CLOSED
        assert client.sender.quota.snapshot()["burst_waiting"] == 0
        await client.aclose()
        if survived:
            break
    else:
        pytest.fail("the call never completed")
    assert position > awaits


class UnfinishedBody(httpx.AsyncByteStream):
    """Response body that fails or waits for ever after its first chunk."""

    def __init__(self, error: httpx.TransportError | None) -> None:
        self._error = error
        self.is_waiting = asyncio.Event()
        self.is_closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"{"
        self.is_waiting.set()
        if self._error is not None:
            raise self._error
        await asyncio.Event().wait()

    async def aclose(self) -> None:
        self.is_closed = True


async def test_response_is_closed_if_its_reader_is_cancelled() -> None:
    body = UnfinishedBody(error=None)
    client = build_client(httpx.MockTransport(lambda _: httpx.Response(200, stream=body)))
    task = asyncio.create_task(read(client))
    await body.is_waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert body.is_closed


@pytest.mark.parametrize("status", [200, 401])
async def test_response_is_closed_if_its_body_cannot_be_read(status: int) -> None:
    bodies: list[UnfinishedBody] = []

    def respond(_: httpx.Request) -> httpx.Response:
        bodies.append(UnfinishedBody(httpx.ReadError("reset")))
        return httpx.Response(status, stream=bodies[-1])

    with pytest.raises(HubSpotConnectionError):
        await read(build_client(httpx.MockTransport(respond)))
    assert all(body.is_closed for body in bodies)


@pytest.mark.parametrize("steps", range(12))
async def test_cancelled_call_does_not_block_concurrent_calls(steps: int) -> None:
    for victim in range(4):
        client, _ = tight_client()
        await read(client)
        tasks = [asyncio.create_task(read(client)) for _ in range(4)]
        for _ in range(steps):
            await asyncio.sleep(0)
        was_cancelled = tasks[victim].cancel()
        outcomes = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), TIMEOUT_SECONDS)
        assert [isinstance(outcome, asyncio.CancelledError) for outcome in outcomes].count(
            True
        ) == was_cancelled
        assert outcomes.count(None) == 4 - was_cancelled
        await client.aclose()
