"""The emulator on a socket of its own."""

import os
from pathlib import Path

import uvicorn

from crm_api.hubspot_emulator.emulator import Emulator, create_emulator


def serve(
    *,
    host: str = "127.0.0.1",
    port: int = 8100,
    state: Path | None = None,
    latency_ms: float = 0.0,
    search_lag: float = 0.0,
) -> None:
    """Serve until interrupted; `search_lag` in seconds. Raises StateFileInUseError."""
    emulator = create_emulator(state, latency_seconds=latency_ms / 1000, search_lag_seconds=search_lag)
    try:
        uvicorn.Server(config(emulator, host=host, port=port)).run()
    finally:
        emulator.close()


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
