"""Limit of the simultaneous requests of one user for records."""

import asyncio
import gc
from collections.abc import AsyncGenerator, MutableMapping
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from tests.support.callers import Caller, app_client, assert_problem
from tests.support.records import calls

from crm_api.security.turns import SemaphorePerCaller
from crm_api.settings import Settings
from hubspot_emulator import Emulator

LIMIT = 4


class UnreadResponses:
    """Application whose responses are sent only after `read` is set."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self.read = asyncio.Event()
        self.unread = 0
        """Number of responses that are ready and not sent."""
        self.most_unread = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def send_when_read(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.body":
                self.unread += 1
                self.most_unread = max(self.most_unread, self.unread)
                await self.read.wait()
                self.unread -= 1
            await send(message)

        await self._app(scope, receive, send_when_read)

    async def wait_for(self, count: int) -> None:
        """Wait until this number of responses is ready."""
        async with asyncio.timeout(20):
            while self.unread < count:  # noqa: ASYNC110 - there is no event
                await asyncio.sleep(0.01)


async def wait_for_waiting(app: Any, count: int) -> None:
    """Wait until this number of requests of the only user waits."""

    def waiting() -> int:
        semaphores = app.state.record_requests._semaphores.values()
        return sum(len(semaphore._waiters or ()) for semaphore in semaphores)

    async with asyncio.timeout(20):
        while waiting() < count:  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(0.01)


@pytest.fixture
def unread_responses(app: FastAPI) -> UnreadResponses:
    return UnreadResponses(app)


@pytest.fixture
async def slow_reader(customer: Caller, unread_responses: UnreadResponses) -> AsyncGenerator[Caller, None]:
    """Yield the customer with a client that does not read its responses."""
    transport = httpx.ASGITransport(app=unread_responses)
    async with httpx.AsyncClient(transport=transport, base_url="http://crm.example") as client:
        yield Caller(client, customer.email, customer.tokens, customer.contact_id)


async def test_users_further_requests_wait_for_unread_responses(
    slow_reader: Caller, other_customer: Caller, app: FastAPI, unread_responses: UnreadResponses
) -> None:
    paths = ["/api/deals", "/api/tickets", "/api/search?q=x", "/api/new-crm-objects", "/api/me/export"]
    requests = [asyncio.create_task(slow_reader.get(path)) for path in paths * 2]
    await unread_responses.wait_for(LIMIT)
    await wait_for_waiting(app, len(requests) - LIMIT)
    assert (await other_customer.get("/api/deals")).status_code == 200
    assert unread_responses.most_unread == LIMIT
    unread_responses.read.set()
    assert {response.status_code for response in await asyncio.gather(*requests)} == {200}
    assert unread_responses.most_unread == LIMIT


async def test_cancelled_and_failed_requests_end_their_share(customer: Caller, app: FastAPI) -> None:
    for _ in range(LIMIT + 1):
        assert_problem(await customer.get("/api/deals/404"), 404, "not_found")
    simultaneous = app.state.record_requests
    gc.collect()
    assert not simultaneous._semaphores
    semaphore = simultaneous.of((await customer.get("/api/me")).json()["data"]["id"])
    for _ in range(LIMIT):
        await semaphore.acquire()
    waiting = asyncio.create_task(customer.get("/api/deals"))
    await wait_for_waiting(app, 1)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    semaphore.release()
    for _ in range(2):
        assert (await customer.get("/api/deals")).status_code == 200


async def test_request_that_waits_until_its_deadline_returns_503(
    customer: Caller, settings: Settings, emulator: Emulator
) -> None:
    short = settings.model_copy(update={"request_deadline_seconds": 0.2})
    async with app_client(short, emulator) as client:
        caller = Caller(client, customer.email, customer.tokens, customer.contact_id)
        application = client._transport.app  # type: ignore[attr-defined]
        user_id = (await caller.get("/api/me")).json()["data"]["id"]
        semaphore = application.state.record_requests.of(user_id)
        for _ in range(LIMIT):
            await semaphore.acquire()
        response = await caller.get("/api/deals")
    assert_problem(response, 503, "service_unavailable")
    assert response.headers["retry-after"] == "5"
    own_calls = [call for call in calls(emulator) if call.startswith("GET objects/")]
    assert own_calls == []


async def test_waiting_request_ends_if_its_client_disconnects(
    customer: Caller, app: FastAPI, emulator: Emulator
) -> None:
    user_id = (await customer.get("/api/me")).json()["data"]["id"]
    semaphore = app.state.record_requests.of(user_id)
    for _ in range(LIMIT):
        await semaphore.acquire()

    async def closed_connection(scope: Any, _receive: Any, send: Any) -> None:
        async def receive() -> dict[str, str]:
            return {"type": "http.disconnect"}

        await app(scope, receive, send)

    emulator.clear_requests()
    transport = httpx.ASGITransport(app=closed_connection)
    async with httpx.AsyncClient(transport=transport, base_url="http://crm.example") as client:
        closed = asyncio.create_task(client.get("/api/deals", headers=customer.headers))
        await wait_for_waiting(app, 1)
        open_request = asyncio.create_task(customer.get("/api/tickets"))
        await wait_for_waiting(app, 2)
        semaphore.release()
        assert (await closed).status_code == 499
        assert (await open_request).status_code == 200
    read = [call for call in calls(emulator) if call.startswith("GET objects/")]
    assert read == [f"GET objects/contacts/{customer.contact_id}"]


async def test_number_of_simultaneous_requests_is_configurable(
    customer: Caller, settings: Settings, emulator: Emulator
) -> None:
    limited = settings.model_copy(update={"max_record_requests_per_user": 1})
    async with app_client(limited, emulator) as client:
        application = client._transport.app  # type: ignore[attr-defined]
        unread_responses = UnreadResponses(application)
        transport = httpx.ASGITransport(app=unread_responses)
        async with httpx.AsyncClient(transport=transport, base_url="http://crm.example") as slow_client:
            caller = Caller(slow_client, customer.email, customer.tokens, customer.contact_id)
            requests = [asyncio.create_task(caller.get("/api/deals")) for _ in range(3)]
            await unread_responses.wait_for(1)
            await wait_for_waiting(application, 2)
            unread_responses.read.set()
            assert {response.status_code for response in await asyncio.gather(*requests)} == {200}
    assert unread_responses.most_unread == 1


async def test_semaphore_per_caller_exists_while_it_is_used() -> None:
    semaphores = SemaphorePerCaller(1)
    held = semaphores.of("a")
    await held.acquire()
    assert semaphores.of("a") is held
    assert not semaphores.of("b").locked()
    del held
    gc.collect()
    assert not semaphores.of("a").locked()
