"""Serves the emulator with uvicorn."""

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
    """Serve until interrupted. Port 0 selects a free port, `search_lag` is in seconds.

    `announce` is called with a message when the emulator accepts requests. Raises StateFileError if the file
    cannot be used. If the port is in use, the process exits with 1.
    """
    emulator = create_emulator(state, latency_seconds=latency_ms / 1000, search_lag_seconds=search_lag)
    storage = f"stored in {state}" if state else "lost when it stops"

    def started(address: str) -> None:
        if announce is not None:
            announce(
                f"The HubSpot emulator listens on {address}; its records are {storage}. Ctrl-C stops it."
            )

    try:
        # uvicorn raises the signal that stopped it again.
        with contextlib.suppress(KeyboardInterrupt):
            _Server(config(emulator, host=host, port=port), started).run()
    finally:
        emulator.close()


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, started: Callable[[str], None]) -> None:
        super().__init__(config)
        self._on_started = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            self._on_started(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")


def config(emulator: Emulator, *, host: str, port: int, http: str | None = None) -> uvicorn.Config:
    """Return uvicorn's configuration. `http` is `httptools` or `h11`, by default the installed one."""
    return uvicorn.Config(
        emulator.app,
        host=host,
        port=port,
        http=http or "auto",
        log_level=os.environ.get("EMULATOR_LOG_LEVEL", "warning"),
        access_log=False,
        server_header=False,
        # A `hang` fault must not delay the end of the process.
        timeout_graceful_shutdown=1,
    )
