"""HTTP proxy that serves a server under a path prefix, for tests of ROOT_PATH."""

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

_REQUEST_LINE = re.compile(rb"([A-Z]+) (\S+) HTTP/1\.1\r\n")
_NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@asynccontextmanager
async def prefix_proxy(port: int, prefix: str, *, removes_prefix: bool) -> AsyncGenerator[str, None]:
    """Forward requests below the prefix to the port; yield the URL of the proxy, with the prefix.

    Each connection serves one request. Paths outside the prefix are 404.
    """

    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        # `asyncio.start_server` logs the cancellation of a task as an error, so it ends here.
        with (
            contextlib.closing(writer),
            contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError),
        ):
            head = await reader.readuntil(b"\r\n\r\n")
            match = _REQUEST_LINE.match(head)
            assert match is not None, head
            method, target = match.groups()
            path = target.partition(b"?")[0]
            if not (path + b"/").startswith(prefix.encode() + b"/"):
                writer.write(_NOT_FOUND)
            else:
                if removes_prefix:
                    target = target.removeprefix(prefix.encode())
                    target = target if target.startswith(b"/") else b"/" + target
                fields = re.sub(rb"(?im)^connection:.*\r\n", b"", head[match.end() :])
                await forward(
                    method + b" " + target + b" HTTP/1.1\r\nConnection: close\r\n" + fields, reader, writer
                )

    async def forward(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        response, request = await asyncio.open_connection("127.0.0.1", port)
        request.write(head)
        sending = asyncio.create_task(copy(reader, request))
        try:
            await copy(response, writer)
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            request.close()

    async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(65_536):
            target.write(data)
            await target.drain()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}{prefix}"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # Transports close their sockets in the next turns of the event loop.
        await asyncio.sleep(0.01)
