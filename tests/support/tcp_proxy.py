"""TCP proxy in front of a server, for tests of outages."""

import asyncio
import contextlib
from typing import Literal

ProxyState = Literal["open", "closed", "unresponsive"]


class TcpProxy:
    """Proxy that forwards TCP connections to a port of the loopback address.

    `closed` drops every connection and refuses new ones; `unresponsive` accepts connections and forwards nothing.
    """

    def __init__(self, port: int) -> None:
        self.target_port = port
        """Port to which new connections are forwarded."""
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._forwarding = asyncio.Event()
        self.port = 0

    async def open(self) -> None:
        """Forward everything, also on connections accepted while unresponsive."""
        self._forwarding.set()
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def set_state(self, state: ProxyState) -> None:
        if state == "open":
            await self.open()
        elif state == "unresponsive":
            self._forwarding.clear()
        else:
            await self.close()

    def forget_connections(self) -> None:
        """Swallow all later bytes of the open connections, as a firewall that forgot them; new ones are forwarded."""
        self._forwarding.clear()
        self._forwarding = asyncio.Event()
        self._forwarding.set()

    def drop_connections(self) -> None:
        """Drop all connections, but accept new ones."""
        for writer in list(self._writers):
            writer.transport.abort()

    async def close(self) -> None:
        """Drop all connections and stop listening."""
        if self._server is not None:
            self._server.close()
        self.drop_connections()
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
        forwarding = self._forwarding
        try:
            await forwarding.wait()
            target_reader, target_writer = await asyncio.open_connection("127.0.0.1", self.target_port)
            self._writers.add(target_writer)
            await asyncio.gather(
                self._pipe(reader, target_writer, forwarding), self._pipe(target_reader, writer, forwarding)
            )
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            self._writers.discard(writer)
            writer.transport.abort()

    async def _pipe(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, forwarding: asyncio.Event
    ) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(65_536):
                await forwarding.wait()
                writer.write(chunk)
                await writer.drain()
        writer.transport.abort()
