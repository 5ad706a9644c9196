"""Whoever is cancelled, at whichever await, leaves nothing taken: no turn, no connection, no probe, no renewal."""

import asyncio
from collections.abc import Awaitable, Callable

import httpx
import pytest
from tests.hubspot.stubs import BASE_URL, Stub, build_client, ok, record, refusal
from tests.support.clock import FakeClock
from tests.support.crashes import cancel_at_await

from crm_api.hubspot import (
    CircuitBreaker,
    CircuitState,
    HubSpotClient,
    LocalQuota,
    RefreshTokenAuth,
    UniqueValue,
    token_url,
)

MAX_AWAITS = 500
SHORTLY = 5.0


class Account:
    """Lets others run before it answers; its first create is lost, and it knows no record by our property."""

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
    """One connection, a quota that has to be waited for, a token that has to be asked for, a circuit half open."""
    clock = FakeClock()
    auth = RefreshTokenAuth("id", "s", "r1", token_url(BASE_URL, "2026-09"), clock=clock)
    client = build_client(
        Stub(Account()),
        fake_clock=clock,
        auth=auth,
        max_connections=1,
        quota=LocalQuota(burst_limit=1, clock=clock, sleep=clock.sleep),
        circuit=CircuitBreaker(failure_threshold=2, open_seconds=2, clock=clock),
        default_deadline_seconds=100.0,
    )
    return client, clock


async def open_the_circuit(client: HubSpotClient, clock: FakeClock) -> None:
    for _ in range(2):
        client.sender.circuit.finish(client.sender.circuit.enter(), failed=True)
    clock.now += 2


async def read(client: HubSpotClient) -> None:
    await client.deals.get("1")


async def create_after_a_lost_answer(client: HubSpotClient) -> None:
    await client.deals.create({"dealname": "A"}, unique=UniqueValue("k", "v"))


@pytest.mark.parametrize(
    ("call", "half_open", "awaits"),
    [(read, False, 2), (read, True, 2), (create_after_a_lost_answer, False, 6)],
)
async def test_cancelled_at_every_await(
    call: Callable[[HubSpotClient], Awaitable[None]], awaits: int, *, half_open: bool
) -> None:
    for await_number in range(1, MAX_AWAITS):
        client, clock = tight_client()
        await (open_the_circuit(client, clock) if half_open else read(client))
        survived = await asyncio.create_task(cancel_at_await(await_number, call(client)))
        await asyncio.wait_for(read(client), SHORTLY)
        assert client.sender.circuit.state is CircuitState.CLOSED
        assert client.quota.snapshot()["burst_waiting"] == 0
        await client.aclose()
        if survived:
            break
    else:
        pytest.fail("it never got through")
    assert await_number > awaits


@pytest.mark.parametrize("steps", range(12))
async def test_who_gives_up_among_others_hands_everything_on(steps: int) -> None:
    for victim in range(4):
        client, _ = tight_client()
        await read(client)
        tasks = [asyncio.create_task(read(client)) for _ in range(4)]
        for _ in range(steps):
            await asyncio.sleep(0)
        given_up = tasks[victim].cancel()
        outcomes = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), SHORTLY)
        assert [isinstance(each, asyncio.CancelledError) for each in outcomes].count(True) == given_up
        assert outcomes.count(None) == 4 - given_up
        await client.aclose()
