"""Load generators: sequential requests, concurrent clients, or a fixed rate."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any, Self

import aiohttp
from benchmarks.sample import NO_RESPONSE, Sample

Send = Callable[[int], Awaitable[int]]
"""Function that sends a request of the client with this number and returns the status."""


class Client:
    """HTTP client of one server, with a connection per concurrent request."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            self._base_url,
            # Servers close idle connections (gunicorn after 2 s), and a request sent at that time is lost.
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=1.0),
            timeout=aiohttp.ClientTimeout(total=180),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._session is not None
        await self._session.close()

    async def send(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, json: Any = None
    ) -> int:
        """Send a request and return the status, or `NO_RESPONSE` if the connection broke."""
        assert self._session is not None
        try:
            async with self._session.request(method, path, headers=headers, json=json) as response:
                await response.read()
                return int(response.status)
        except (aiohttp.ClientError, TimeoutError, OSError):
            return NO_RESPONSE

    async def send_for_age(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None
    ) -> tuple[int, int]:
        """Send a request and return the status and the `Age` of the response; 0 without one."""
        assert self._session is not None
        try:
            async with self._session.request(method, path, headers=headers) as response:
                await response.read()
                return int(response.status), int(response.headers.get("Age", 0))
        except aiohttp.ClientError:
            return NO_RESPONSE, 0

    async def request_json(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, json: Any = None
    ) -> Any:
        """Return the body of a successful response. Raises `AssertionError` for an error status."""
        assert self._session is not None
        async with self._session.request(method, path, headers=headers, json=json) as response:
            body = await response.read()
            if response.status >= 400:
                raise AssertionError(f"{method} {path}: {response.status} {body.decode()[:500]}")
            return await response.json() if body else None


async def run_sequentially(send: Send, times: int) -> Sample:
    """Send requests one after the other."""
    sample = Sample()
    started = time.perf_counter()
    for _ in range(times):
        await _timed(send, 0, sample)
    sample.elapsed = time.perf_counter() - started
    return sample


async def run_concurrently(send: Send, *, clients: int, seconds: float) -> Sample:
    """Let each client send one request after the other; only responses within `seconds` count."""
    sample = Sample()
    started = time.perf_counter()
    ends_at = started + seconds

    async def run_client(number: int) -> None:
        while time.perf_counter() < ends_at:
            sent_at = time.perf_counter()
            status = await send(number)
            if time.perf_counter() <= ends_at:
                sample.add(status, time.perf_counter() - sent_at)

    await asyncio.gather(*(run_client(number) for number in range(clients)))
    sample.elapsed = seconds
    return sample


async def run_all(send: Send, *, clients: int, requests: int) -> Sample:
    """Send this number of requests from concurrent clients, and wait for all responses."""
    sample = Sample()
    remaining = iter(range(requests))
    started = time.perf_counter()

    async def run_client(number: int) -> None:
        for _ in remaining:
            await _timed(send, number, sample)

    await asyncio.gather(*(run_client(number) for number in range(clients)))
    sample.elapsed = time.perf_counter() - started
    return sample


async def run_at_rate(send: Send, *, per_second: float, seconds: float) -> Sample:
    """Start requests at a fixed rate, whether or not earlier ones have ended; cancel those open at the end."""
    sample = Sample()
    started = time.perf_counter()
    tasks = []
    for number in range(int(per_second * seconds)):
        await asyncio.sleep(max(0.0, started + number / per_second - time.perf_counter()))
        tasks.append(asyncio.create_task(_timed(send, number, sample)))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    sample.elapsed = time.perf_counter() - started
    return sample


async def _timed(send: Send, number: int, sample: Sample) -> None:
    started = time.perf_counter()
    status = await send(number)
    sample.add(status, time.perf_counter() - started)
