"""Runs uvicorn as this service wants it."""

import asyncio
import gc
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import cast

import click
import uvicorn
from fastapi import FastAPI
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from crm_api.cli.http_protocol import BoundedProtocol, ClientConnections
from crm_api.database import create_engine, create_session_factory
from crm_api.observability.logging import configure_logging
from crm_api.services.health import database_problem
from crm_api.settings import Settings

SHORTEST_DRAIN_SECONDS = 15
# Past a request's deadline: what hashes a password or waits for the database comes on top of HubSpot's share.
DRAIN_MARGIN_SECONDS = 5
# Longer than balancers keep an idle connection (60 s in most): the side that sends must be the one that closes it,
# or a request meets a connection that is just being closed.
KEEP_ALIVE_SECONDS = 75
# Of the youngest; Python's own 700 are those of two or three requests.
OBJECTS_BEFORE_COLLECTING = 5_000


class Workers(Multiprocess):
    """uvicorn's workers, whose parent stops listening with them.

    As long as the parent holds the socket, the system takes connections that nobody will ever serve.
    """

    def terminate_all(self) -> None:
        super().terminate_all()
        for socket in self.sockets:
            socket.close()


def serve_api(settings: Settings, *, host: str, port: int, workers: int) -> None:
    """Serve until a signal comes; a request under way then has some seconds to end."""
    configure_logging(settings)
    problem = asyncio.run(_schema_problem(settings))
    if problem is not None and "crm-api migrate" in problem:
        raise click.ClickException(f"the database is not usable: {problem}")
    # uvicorn ends by the signal that it was stopped with; this makes an end of it that tidies up.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    # Workers get a copy each, so the limits hold for one process.
    clients = ClientConnections(
        max_connections=settings.max_connections,
        max_per_address=settings.max_connections_per_address,
        trusted_proxies=settings.forwarded_allow_ips,
        write_seconds=settings.write_timeout_seconds,
    )
    config = uvicorn.Config(
        "crm_api.cli.serve:create_worker",
        factory=True,
        host=host,
        port=port,
        workers=workers,
        # Our own access line knows the route, the user and HubSpot's share.
        access_log=False,
        log_config=None,
        server_header=False,
        http=cast("type[BoundedProtocol]", partial(BoundedProtocol, clients=clients)),
        ws="none",
        proxy_headers=bool(settings.forwarded_allow_ips),
        forwarded_allow_ips=settings.forwarded_allow_ips or None,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=drain_seconds(settings),
    )
    with _metrics(settings):
        if workers == 1:
            _serve_alone(config)
        else:
            _serve_with_workers(config)


def create_worker() -> FastAPI:
    """The application of one process.

    What it is made of stays until the process ends: to look through all of it for garbage again and again would hold up
    everybody for some 50 ms each time, and what requests leave is mostly gone before anybody looks.
    """
    from crm_api.main import create_app  # by the processes that serve only, not by one that looks after them

    app = create_app()
    gc.collect()
    gc.freeze()
    gc.set_threshold(OBJECTS_BEFORE_COLLECTING, 10, 10)
    return app


def drain_seconds(settings: Settings) -> int:
    """How long requests under way may take to end, once the process has stopped listening."""
    return max(SHORTEST_DRAIN_SECONDS, round(settings.request_deadline_seconds) + DRAIN_MARGIN_SECONDS)


def _serve_alone(config: uvicorn.Config) -> None:
    server = uvicorn.Server(config)
    with suppress(KeyboardInterrupt):
        server.run()
    if not server.started:
        sys.exit(STARTUP_FAILURE)


def _serve_with_workers(config: uvicorn.Config) -> None:
    parent = Workers(config, sockets=[config.bind_socket()])
    parent.run()
    if any(process.exitcode == STARTUP_FAILURE for process in parent.processes):
        sys.exit(STARTUP_FAILURE)


@contextmanager
def _metrics(settings: Settings) -> Generator[None, None, None]:
    """Serve the metrics, if they are wanted, from a folder that all workers count in."""
    if settings.metrics_port is None:
        yield
        return
    # A new one for each start: what an earlier one left would be counted again.
    folder = Path(tempfile.mkdtemp(prefix="crm-api-metrics-", dir=os.environ.get("PROMETHEUS_MULTIPROC_DIR")))
    # prometheus_client looks for it when it is imported, here and in every worker.
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
    from crm_api.observability.metrics import serve_metrics

    try:
        try:
            serve_metrics(settings.metrics_host, settings.metrics_port, folder)
        except OSError as error:
            raise click.ClickException(
                f"METRICS_PORT: {settings.metrics_host}:{settings.metrics_port} cannot be listened on "
                f"({error.strerror})"
            ) from None
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _schema_problem(settings: Settings) -> str | None:
    engine = create_engine(settings.database_url)
    try:
        return await database_problem(create_session_factory(engine))
    finally:
        await engine.dispose()
