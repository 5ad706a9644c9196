"""The emulator on a socket of its own."""

import contextlib
import os
import socket
from collections.abc import Callable
from pathlib import Path

import uvicorn

from hubspot_emulator.emulator import Emulator, create_emulator


def serve(
    *,
    host: str = "127.0.0.1",
    port: int = 8100,
    state: Path | None = None,
    latency_ms: float = 0.0,
    search_lag: float = 0.0,
    announce: Callable[[str], None] | None = None,
) -> None:
    """Serve until interrupted; `search_lag` in seconds, port 0 is a free one. Raises StateFileError.

    `announce` is told where the emulator is once it answers. Ends the process with 1 where the port is taken.
    """
    emulator = create_emulator(state, latency_seconds=latency_ms / 1000, search_lag_seconds=search_lag)
    kept = f"kept in {state}" if state else "forgotten at the end"

    def started(address: str) -> None:
        if announce is not None:
            announce(f"The HubSpot emulator is at {address}; its records are {kept}. Ctrl-C stops it.")

    try:
        # uvicorn raises the signal that stopped it once more.
        with contextlib.suppress(KeyboardInterrupt):
            _Server(config(emulator, host=host, port=port), started).run()
    finally:
        emulator.close()


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, started: Callable[[str], None]) -> None:
        super().__init__(config)
        self._told = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            self._told(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")


def config(emulator: Emulator, *, host: str, port: int, http: str | None = None) -> uvicorn.Config:
    """uvicorn's configuration; `http` is `httptools` or `h11`, by default what is installed."""
    return uvicorn.Config(
        emulator.app,
        host=host,
        port=port,
        http=http or "auto",
        log_level=os.environ.get("EMULATOR_LOG_LEVEL", "warning"),
        access_log=False,
        server_header=False,
        # A hanging answer must not keep the process from stopping.
        timeout_graceful_shutdown=1,
    )
