"""HTTP connections to HubSpot, each held by an httpx transport of its own."""

import asyncio
import ssl
from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Final

import httpx

from crm_api.hubspot.body_limit import ACCEPT_ENCODING, limit_body

HEADERS: Final = {
    "User-Agent": "crm-api/0.1",
    "Accept": "application/json",
    "Accept-Encoding": ACCEPT_ENCODING,
}
TIMEOUT_SECONDS: Final[Mapping[str, float]] = {"connect": 2.0, "pool": 1.0, "read": 4.0, "write": 4.0}
# Longer than most pauses between a user's requests, shorter than servers keep idle connections open.
KEEPALIVE_SECONDS: Final = 15.0


class Connection:
    """One connection, on httpx's transport alone.

    An `httpx.AsyncClient` would also store cookies and prepare redirects, which takes about a sixth of a call's CPU.
    """

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._transport = transport

    async def send(
        self,
        method: str,
        url: httpx.URL | str,
        *,
        headers: Mapping[str, str],
        content: bytes | None = None,
        timeout_seconds: Mapping[str, float] = TIMEOUT_SECONDS,
    ) -> httpx.Response:
        """Send one request and read its response. A redirect is returned, not followed."""
        request = httpx.Request(
            method,
            url,
            headers={**HEADERS, **headers},
            content=content,
            extensions={"timeout": timeout_seconds},
        )
        response = await self._transport.handle_async_request(request)
        try:
            limit_body(response)
            await response.aread()
        except BaseException:
            await response.aclose()
            raise
        return response

    async def aclose(self) -> None:
        """Close the connection."""
        await self._transport.aclose()


class Connections:
    """Connections for calls, and one more connection for token requests.

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
        self.base_url: Final = base_url.rstrip("/")
        self._transport = transport
        self._proxy = proxy if transport is None else None
        # Loading the CA certificates takes 40 ms, so all connections share one context.
        self._verify = httpx.create_ssl_context() if verify is True else verify
        # httpx imports many modules for its first transport, so create one before the first request.
        self._free = [self._create()]
        self._free_for_tokens: list[Connection] = []
        self._closing: set[asyncio.Task[None]] = set()

    def acquire(self) -> AbstractContextManager[Connection]:
        """Return the most recently used free connection, or a new one. The caller limits their number."""
        return self._taken_from(self._free)

    def acquire_for_tokens(self) -> AbstractContextManager[Connection]:
        """Return the connection for token requests, which are sent one at a time."""
        return self._taken_from(self._free_for_tokens)

    async def aclose(self) -> None:
        """Close all connections that are not in use."""
        for connection in (*self._free, *self._free_for_tokens):
            await connection.aclose()
        await asyncio.gather(*self._closing, return_exceptions=True)

    @contextmanager
    def _taken_from(self, free: list[Connection]) -> Generator[Connection, None, None]:
        connection = free.pop() if free else self._create()
        try:
            yield connection
        except (TimeoutError, asyncio.CancelledError):
            # httpcore protects the closing of a connection against cancellation by anyio, not by asyncio: a connection
            # cancelled while closing counts as in use for ever (https://github.com/encode/httpcore/issues/1093).
            self._discard(connection)
            raise
        except BaseException:
            free.append(connection)
            raise
        free.append(connection)

    def _discard(self, connection: Connection) -> None:
        if self._transport is not None:
            return  # the creator of the transport closes it
        closing = asyncio.create_task(connection.aclose())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    def _create(self) -> Connection:
        if self._transport is not None:
            return Connection(self._transport)
        return Connection(
            httpx.AsyncHTTPTransport(
                limits=httpx.Limits(
                    max_connections=1, max_keepalive_connections=1, keepalive_expiry=KEEPALIVE_SECONDS
                ),
                verify=self._verify,
                proxy=self._proxy,
            )
        )
