"""Transport that distributes requests to several servers, as a load balancer does."""

import itertools
from collections import Counter

import httpx
from tests.support.processes import Process


class RoundRobin(httpx.AsyncBaseTransport):
    """Transport that sends each request to the next server that accepts connections."""

    def __init__(self, servers: list[Process]) -> None:
        self._servers = servers
        self._indexes = itertools.cycle(range(len(servers)))
        self._transport = httpx.AsyncHTTPTransport()
        self.statuses: dict[int, Counter[int]] = {number: Counter() for number in range(len(servers))}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        for _ in self._servers:
            number = next(self._indexes)
            target = httpx.URL(self._servers[number].url)
            request.url = request.url.copy_with(host=target.host, port=target.port, scheme=target.scheme)
            try:
                response = await self._transport.handle_async_request(request)
            except httpx.ConnectError:
                continue
            self.statuses[number][response.status_code] += 1
            return response
        raise httpx.ConnectError("no server accepts connections")

    async def aclose(self) -> None:
        await self._transport.aclose()
