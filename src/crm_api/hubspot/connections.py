"""The connections to HubSpot, each with an httpx client of its own."""

import ssl
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

import httpx

# Longer than most pauses within a user's visit, shorter than servers keep an idle connection.
KEEPALIVE_SECONDS: Final = 15.0


class Connections:
    """So many connections, and one more for token requests.

    httpx looks through all connections of a pool several times for each request, so that each connection more makes
    every request dearer (https://github.com/encode/httpcore/pull/1035). A pool of one has nothing to look through.
    """

    def __init__(
        self,
        number: int,
        *,
        base_url: str,
        transport: httpx.AsyncBaseTransport | None,
        timeout: httpx.Timeout,
        verify: ssl.SSLContext | bool,
        user_agent: str,
    ) -> None:
        # Made once: the authorities' certificates take 40 ms to load.
        verify = httpx.create_ssl_context() if verify is True else verify
        clients = [
            httpx.AsyncClient(
                base_url=base_url,
                transport=transport,
                timeout=timeout,
                limits=httpx.Limits(
                    max_connections=1, max_keepalive_connections=1, keepalive_expiry=KEEPALIVE_SECONDS
                ),
                verify=verify,
                follow_redirects=False,
                headers={"User-Agent": user_agent, "Accept": "application/json"},
            )
            for _ in range(number + 1)
        ]
        self.number = number
        self.for_tokens: Final = clients[0]
        self._free = clients[1:]
        self._all = clients

    @contextmanager
    def one(self) -> Generator[httpx.AsyncClient, None, None]:
        """The connection that was used last of those that nobody uses; the caller sees to it that there is one."""
        client = self._free.pop()
        try:
            yield client
        finally:
            self._free.append(client)

    async def aclose(self) -> None:
        """Close them all."""
        for client in self._all:
            await client.aclose()
