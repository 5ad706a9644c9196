"""Load on a server: one request after the other, many clients at once, or so many a second whatever comes back."""

import asyncio
import statistics
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self

import aiohttp

NO_ANSWER: Final = 599
"""Counted as a status."""


@dataclass
class Sample:
    """What was answered, and how long each good answer took."""

    seconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    elapsed: float = 0.0

    @property
    def good(self) -> int:
        """Answers that were successes."""
        return len(self.seconds)

    @property
    def rate(self) -> float:
        """Successes a second."""
        return self.good / self.elapsed

    @property
    def median(self) -> float:
        """Seconds of the middle answer."""
        return statistics.median(self.seconds)

    def quantile(self, share: float) -> float:
        """Seconds that this share of the answers took at most."""
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    def take(self, status: int, seconds: float) -> None:
        """Count an answer."""
        self.statuses[status] += 1
        if status < 400:
            self.seconds.append(seconds)

    def require_good(self, what: str) -> Self:
        """The sample, all of whose answers were successes. Raises `AssertionError`: a failure is no speed."""
        if not self.seconds or self.good != self.statuses.total():
            raise AssertionError(f"{what}: answers were {dict(self.statuses)}")
        return self


Send = Callable[[int], Awaitable[int]]
"""Sends one request of the client of this number; the status of the answer."""


class Client:
    """Connections to one server, as many as there are requests at once."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            self._base_url,
            # Let go of before the servers do (gunicorn after 2 s): a request sent into a closing connection is lost.
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
        """The status, `NO_ANSWER` where the connection broke; the body is read and forgotten."""
        assert self._session is not None
        try:
            async with self._session.request(method, path, headers=headers, json=json) as answer:
                await answer.read()
                return int(answer.status)
        except aiohttp.ClientError:
            return NO_ANSWER

    async def ask(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, json: Any = None
    ) -> Any:
        """The body of a success. Raises `AssertionError` for anything else."""
        assert self._session is not None
        async with self._session.request(method, path, headers=headers, json=json) as answer:
            body = await answer.read()
            if answer.status >= 400:
                raise AssertionError(f"{method} {path}: {answer.status} {body.decode()[:500]}")
            return await answer.json() if body else None


async def one_by_one(send: Send, times: int) -> Sample:
    """One client, one request after the other."""
    sample = Sample()
    started = time.perf_counter()
    for _ in range(times):
        await _timed(send, 0, sample)
    sample.elapsed = time.perf_counter() - started
    return sample


async def at_once(send: Send, *, clients: int, seconds: float) -> Sample:
    """So many clients, each with one request under way all the time; those that end in time count."""
    sample = Sample()
    started = time.perf_counter()
    ends_at = started + seconds

    async def one(number: int) -> None:
        while time.perf_counter() < ends_at:
            began = time.perf_counter()
            status = await send(number)
            if time.perf_counter() <= ends_at:
                sample.take(status, time.perf_counter() - began)

    await asyncio.gather(*(one(number) for number in range(clients)))
    sample.elapsed = seconds
    return sample


async def all_of(send: Send, *, clients: int, requests: int) -> Sample:
    """So many requests by so many clients; the time until the last is answered."""
    sample = Sample()
    left = iter(range(requests))
    started = time.perf_counter()

    async def one(number: int) -> None:
        for _ in left:
            await _timed(send, number, sample)

    await asyncio.gather(*(one(number) for number in range(clients)))
    sample.elapsed = time.perf_counter() - started
    return sample


async def so_many_a_second(send: Send, *, per_second: float, seconds: float) -> Sample:
    """Requests that start by the clock, whether or not earlier ones were answered; at the end the others are let go."""
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
    began = time.perf_counter()
    status = await send(number)
    sample.take(status, time.perf_counter() - began)
