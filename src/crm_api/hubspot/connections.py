"""The connections to HubSpot, each with an httpx client of its own."""

import asyncio
import ssl
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from typing import Final

import httpx

USER_AGENT: Final = "crm-api/0.1"
TIMEOUT: Final = httpx.Timeout(connect=2.0, pool=1.0, read=4.0, write=4.0)
# Longer than most pauses within a user's visit, shorter than servers keep an idle connection.
KEEPALIVE_SECONDS: Final = 15.0


class Connections:
    """As many connections as were needed at one time, and one more for token requests.

    httpx looks through all connections of a pool several times for each request, so that each connection more makes
    every request dearer (https://github.com/encode/httpcore/pull/1035). A pool of one has nothing to look through.
    """

    def __init__(
        self,
        *,
        base_url: str,
        transport: httpx.AsyncBaseTransport | None,
        verify: ssl.SSLContext | bool,
    ) -> None:
        self.base_url: Final = base_url
        self._transport = transport
        # Made once: the authorities' certificates take 40 ms to load.
        self._verify = httpx.create_ssl_context() if verify is True else verify
        self._headers = {"User-Agent": USER_AGENT, "Accept": "application/json"}
        # httpx imports half of itself with the first one: not while somebody waits for an answer.
        self._free = [self._client()]
        self._free_for_tokens: list[httpx.AsyncClient] = []
        self._closing: set[asyncio.Task[None]] = set()

    def one(self) -> AbstractContextManager[httpx.AsyncClient]:
        """The connection that was used last of those that nobody uses, or a new one.

        The caller sees to it that there are not more of them than there should be.
        """
        return self._taken_from(self._free)

    def for_tokens(self) -> AbstractContextManager[httpx.AsyncClient]:
        """The connection for token requests, which are made one at a time."""
        return self._taken_from(self._free_for_tokens)

    async def aclose(self) -> None:
        """Close them all."""
        for client in (*self._free, *self._free_for_tokens):
            await client.aclose()
        await asyncio.gather(*self._closing, return_exceptions=True)

    @contextmanager
    def _taken_from(self, free: list[httpx.AsyncClient]) -> Generator[httpx.AsyncClient, None, None]:
        client = free.pop() if free else self._client()
        try:
            yield client
        except (TimeoutError, asyncio.CancelledError):
            # httpcore guards its closing of a connection against anyio's cancellations, not against asyncio's: one that
            # is cut off in it counts as in use for ever (https://github.com/encode/httpcore/issues/1093).
            self._give_up(client)
            raise
        except BaseException:
            free.append(client)
            raise
        free.append(client)

    def _give_up(self, client: httpx.AsyncClient) -> None:
        if self._transport is not None:
            return  # it is not ours to close, and its connections are not ours to lose
        closing = asyncio.create_task(client.aclose())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    def _client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            base_url=self.base_url,
            transport=self._transport,
            timeout=TIMEOUT,
            limits=httpx.Limits(
                max_connections=1, max_keepalive_connections=1, keepalive_expiry=KEEPALIVE_SECONDS
            ),
            verify=self._verify,
            follow_redirects=False,
            headers=self._headers,
        )
