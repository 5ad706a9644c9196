"""httpx transport that calls the emulator in process."""

from collections.abc import MutableMapping
from typing import Any

import httpx

from hubspot_emulator import IMMEDIATE_FAULTS, Emulator


class EmulatorTransport(httpx.AsyncBaseTransport):
    """Transport that raises the emulator's faults as httpx errors (ReadError, ReadTimeout) without waiting."""

    def __init__(self, emulator: Emulator) -> None:
        async def app(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
            scope.setdefault("extensions", {})[IMMEDIATE_FAULTS] = {}
            await emulator.app(scope, receive, send)

        self._transport = httpx.ASGITransport(app=app)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        try:
            return await self._transport.handle_async_request(request)
        except ConnectionResetError as error:
            raise httpx.ReadError(str(error), request=request) from error
        except TimeoutError as error:
            raise httpx.ReadTimeout(str(error), request=request) from error

    async def aclose(self) -> None:
        await self._transport.aclose()
