"""TCP proxy that can refuse connections or pass no data, to simulate outages."""

import asyncio
import contextlib
from typing import Literal

State = Literal["open", "shut", "silent"]


class Gate:
    """Proxy to a server on the loopback address.

    `shut` drops every connection and refuses new ones; `silent` accepts them and passes no data.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._passing = asyncio.Event()
        self.port = 0

    async def open(self) -> None:
        """Pass all data, including data that was held back."""
        self._passing.set()
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def set(self, state: State) -> None:
        """Set the state."""
        if state == "open":
            await self.open()
        elif state == "silent":
            self._passing.clear()
        else:
            await self.shut()

    async def shut(self) -> None:
        """Drop all connections and stop listening."""
        if self._server is not None:
            self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        try:
            await self._passing.wait()
            target_reader, target_writer = await asyncio.open_connection("127.0.0.1", self._target)
            self._writers.add(target_writer)
            await asyncio.gather(self._pipe(reader, target_writer), self._pipe(target_reader, writer))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            self._writers.discard(writer)
            writer.transport.abort()

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(65_536):
                await self._passing.wait()
                writer.write(chunk)
                await writer.drain()
        writer.transport.abort()
