"""Stub transport with scripted responses, and a client on a fake clock."""

import asyncio
import inspect
import json
from collections.abc import Callable
from typing import Any

import httpx
from pydantic import RootModel
from tests.support.clock import FakeClock

from crm_api.hubspot import HubSpotClient, LocalQuota, RetryPolicy, StaticTokenAuth

Reply = httpx.Response | Exception | Callable[[httpx.Request], Any]
BASE_URL = "https://hubspot.test"
TIMESTAMP = "2026-11-02T10:00:00.000Z"


class AnyJson(RootModel[Any]):
    """Response of any shape."""


class Stub(httpx.AsyncBaseTransport):
    """Returns its replies in order, the last one repeatedly, and records every request."""

    def __init__(self, *replies: Reply) -> None:
        self.replies = list(replies)
        self.requests: list[httpx.Request] = []
        self.in_flight = 0
        self.max_in_flight = 0
        self._arrival = asyncio.Event()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        self.requests.append(request)
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        self._arrival.set()
        try:
            return await self._answer(reply, request)
        finally:
            self.in_flight -= 1

    async def busy(self, in_flight: int = 1) -> None:
        """Wait until this many requests are in flight."""
        while self.in_flight < in_flight:
            self._arrival.clear()
            await self._arrival.wait()

    async def _answer(self, reply: Reply, request: httpx.Request) -> httpx.Response:
        answer: Any = reply
        if callable(answer) and not isinstance(answer, Exception):
            answer = answer(request)
        if inspect.isawaitable(answer):
            answer = await answer
        if isinstance(answer, httpx.TransportError):
            answer.request = request
        if isinstance(answer, Exception):
            raise answer
        # A copy, because one reply may be returned several times.
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

    @property
    def sent(self) -> list[tuple[str, str]]:
        """Return method and target of each request."""
        return [(request.method, request.url.raw_path.decode()) for request in self.requests]

    def body(self, index: int = -1) -> Any:
        """Return the JSON body of a request."""
        return json.loads(self.requests[index].content)


def build_client(transport: httpx.AsyncBaseTransport, **changes: Any) -> HubSpotClient:
    """Build a client with a fake clock and fixed jitter."""
    clock = changes.pop("fake_clock", None) or FakeClock()
    arguments: dict[str, Any] = {
        "base_url": BASE_URL,
        "auth": StaticTokenAuth("pat-na1-secret"),
        "transport": transport,
        "clock": clock,
        "sleep": clock.sleep,
        "retry": RetryPolicy(random=lambda: 0.5),
        "quota": LocalQuota(clock=clock, sleep=clock.sleep),
    }
    return HubSpotClient(**(arguments | changes))


def ok(body: Any, status: int = 200, **headers: str) -> httpx.Response:
    """Build a success response."""
    return httpx.Response(status, json=body, headers=headers)


def refusal(status: int, message: str = "no", **members: Any) -> httpx.Response:
    """Build an error response in HubSpot's format."""
    headers = members.pop("headers", {})
    return httpx.Response(status, json={"status": "error", "message": message, **members}, headers=headers)


def record(record_id: str = "1", **properties: str | None) -> dict[str, Any]:
    """Build a record in HubSpot's JSON."""
    return {
        "id": record_id,
        "properties": properties,
        "createdAt": TIMESTAMP,
        "updatedAt": TIMESTAMP,
        "archived": False,
    }
