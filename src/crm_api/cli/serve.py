"""Serving with uvicorn: configuration, worker processes, metrics and shutdown."""

import gc
import logging
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import cast

import click
import uvicorn
from fastapi import FastAPI
from uvicorn.config import STARTUP_FAILURE

from crm_api.bootstrap import record_fields
from crm_api.cli.database import run_with_database
from crm_api.cli.http_protocol import BoundedProtocol, ClientConnections, DrainingServer
from crm_api.cli.metrics_folder import FOLDER_VARIABLE, metrics_folder, reserve_metrics_space
from crm_api.cli.workers import Workers, end_with_supervisor
from crm_api.observability.logging import configure_logging
from crm_api.services.health import database_problem
from crm_api.settings import Settings

logger = logging.getLogger(__name__)

MIN_DRAIN_SECONDS = 15
# Password hashing and database waits come on top of the request's deadline, which limits HubSpot calls.
DRAIN_MARGIN_SECONDS = 5
# After the last request, the queue of mails is flushed and connections are closed.
STOP_SECONDS = 30
# Load balancers usually close idle connections after 60 s. The service must close them later, or a balancer may send
# a request on a connection that is being closed.
KEEP_ALIVE_SECONDS = 75
# Python's default (700 new objects, 2,000 from Python 3.13) is reached within a few requests.
GC_THRESHOLD = 5_000


def serve_api(
    settings: Settings,
    *,
    host: str,
    port: int,
    workers: int,
    factory: str = "crm_api.cli.serve:create_worker",
) -> None:
    """Serve until a signal arrives and the shutdown notice is over; running requests may then take `drain_seconds`.

    Each process imports `factory` and calls it to create its application.
    """
    configure_logging(settings)
    record_fields(settings)  # refuses settings here, because a worker that refuses them is started again
    problem = run_with_database(settings, database_problem)
    if problem is not None and "crm-api migrate" in problem:
        raise click.ClickException(f"the database is not usable: {problem}")
    # uvicorn raises SIGTERM again after its shutdown; this handler turns it into an exit that runs cleanup code.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    # Workers get a copy each, so the limits hold for one process.
    clients = ClientConnections(
        max_connections=settings.max_connections,
        max_per_address=settings.max_connections_per_address,
        trusted_proxies=settings.forwarded_allow_ips,
        write_seconds=settings.write_timeout_seconds,
    )
    config = uvicorn.Config(
        factory,
        factory=True,
        host=host,
        port=port,
        workers=workers,
        # The service writes its own access log, with route, user and HubSpot times.
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
    with _metrics(settings, workers=workers) as on_death:
        if workers == 1:
            _serve_alone(config)
        else:
            _serve_with_workers(config, on_death)


def create_worker() -> FastAPI:
    """Create the application of one process, and tune garbage collection.

    The application's objects live as long as the process, so they are frozen: a full collection would block all
    requests for about 50 ms. Reference counting frees most objects of requests.
    """
    problem = reserve_metrics_space()
    from crm_api.main import create_app  # not needed by the supervisor

    app = create_app()
    if problem is not None:
        logger.error("%s", problem)
    end_with_supervisor(grace_seconds=drain_seconds(app.state.settings) + STOP_SECONDS)
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD, 10, 10)
    return app


def drain_seconds(settings: Settings) -> int:
    """Return how long running requests may take after the process has stopped listening."""
    return max(MIN_DRAIN_SECONDS, round(settings.request_deadline_seconds) + DRAIN_MARGIN_SECONDS)


def _serve_alone(config: uvicorn.Config) -> None:
    server = DrainingServer(config)
    with suppress(KeyboardInterrupt):
        server.run()
    if not server.started:
        sys.exit(STARTUP_FAILURE)


def _serve_with_workers(config: uvicorn.Config, on_death: Callable[[], None]) -> None:
    parent = Workers(config, [config.bind_socket()], on_death=on_death)
    parent.run()
    if any(process.exitcode == STARTUP_FAILURE for process in parent.processes):
        sys.exit(STARTUP_FAILURE)


@contextmanager
def _metrics(settings: Settings, *, workers: int) -> Generator[Callable[[], None], None, None]:
    """Serve the metrics, if configured, from a folder shared by all workers. Yields the counter of dead workers."""
    if settings.metrics_port is None:
        yield lambda: None
        return
    parent = Path(settings.metrics_folder or tempfile.gettempdir())
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(metrics_folder(parent))
        except OSError as error:
            raise click.ClickException(
                f"METRICS_FOLDER: no folder can be created in {parent} ({error.strerror})"
            ) from None
        # prometheus_client reads the variable when it is imported, here and in every worker.
        os.environ[FOLDER_VARIABLE] = str(folder)
        if workers == 1 and (problem := reserve_metrics_space()):
            logger.error("%s", problem)
        from crm_api.observability.worker_metrics import WorkerDeaths, serve_metrics

        deaths = WorkerDeaths()
        try:
            stack.enter_context(serve_metrics(settings.metrics_host, settings.metrics_port, folder, deaths))
        except OSError as error:
            raise click.ClickException(
                f"METRICS_PORT: cannot listen on {settings.metrics_host}:{settings.metrics_port} "
                f"({error.strerror})"
            ) from None
        yield deaths.increment
