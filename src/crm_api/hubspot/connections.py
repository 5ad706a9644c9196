"""HTTP connections to HubSpot, each held by an httpx client of its own."""

import asyncio
import ssl
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from typing import Final

import httpx

from crm_api.hubspot.body_limit import ACCEPT_ENCODING, limit_body

USER_AGENT: Final = "crm-api/0.1"
TIMEOUT: Final = httpx.Timeout(connect=2.0, pool=1.0, read=4.0, write=4.0)
# Longer than most pauses between a user's requests, shorter than servers keep idle connections open.
KEEPALIVE_SECONDS: Final = 15.0


class Connections:
    """Pool of single-connection httpx clients, and one client for token requests.

    httpx scans all connections of a pool several times per request, so every further connection slows down every
    request (https://github.com/encode/httpcore/pull/1035). A pool of one connection avoids the scan.
    """

    def __init__(
        self,
        *,
        base_url: str,
        transport: httpx.AsyncBaseTransport | None,
        verify: ssl.SSLContext | bool,
        proxy: str | None = None,
    ) -> None:
        self.base_url: Final = base_url
        self._transport = transport
        self._proxy = proxy if transport is None else None
        # Loading the CA certificates takes 40 ms, so all clients share one context.
        self._verify = httpx.create_ssl_context() if verify is True else verify
        self._headers = {
            "User-Agent": USER_AGENT,
            "Accept": "application/json",
            "Accept-Encoding": ACCEPT_ENCODING,
        }
        # httpx imports many modules for its first client, so create one before the first request.
        self._free = [self._create_client()]
        self._free_for_tokens: list[httpx.AsyncClient] = []
        self._closing: set[asyncio.Task[None]] = set()

    def acquire(self) -> AbstractContextManager[httpx.AsyncClient]:
        """Return the most recently used free connection, or a new one. The caller limits their number."""
        return self._taken_from(self._free)

    def acquire_for_tokens(self) -> AbstractContextManager[httpx.AsyncClient]:
        """Return the connection for token requests, which are sent one at a time."""
        return self._taken_from(self._free_for_tokens)

    async def aclose(self) -> None:
        """Close all connections that are not in use."""
        for client in (*self._free, *self._free_for_tokens):
            await client.aclose()
        await asyncio.gather(*self._closing, return_exceptions=True)

    @contextmanager
    def _taken_from(self, free: list[httpx.AsyncClient]) -> Generator[httpx.AsyncClient, None, None]:
        client = free.pop() if free else self._create_client()
        try:
            yield client
        except (TimeoutError, asyncio.CancelledError):
            # httpcore protects the closing of a connection against cancellation by anyio, not by asyncio: a connection
            # cancelled while closing counts as in use for ever (https://github.com/encode/httpcore/issues/1093).
            self._discard(client)
            raise
        except BaseException:
            free.append(client)
            raise
        free.append(client)

    def _discard(self, client: httpx.AsyncClient) -> None:
        if self._transport is not None:
            return  # the creator of the transport closes it
        closing = asyncio.create_task(client.aclose())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    def _create_client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            base_url=self.base_url,
            transport=self._transport,
            timeout=TIMEOUT,
            limits=httpx.Limits(
                max_connections=1, max_keepalive_connections=1, keepalive_expiry=KEEPALIVE_SECONDS
            ),
            verify=self._verify,
            follow_redirects=False,
            proxy=self._proxy,
            # httpx fails at some proxy variables and uses proxies for loopback addresses.
            trust_env=False,
            headers=self._headers,
            event_hooks={"response": [limit_body]},
        )
