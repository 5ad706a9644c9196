"""Runs uvicorn as this service wants it."""

import asyncio
import os
import tempfile

import click
import uvicorn

from crm_api.database import create_engine, create_sessions
from crm_api.services.health import database_problem
from crm_api.settings import Settings

DRAIN_SECONDS = 15


def serve_api(settings: Settings, *, host: str, port: int, workers: int) -> None:
    """Serve until a signal comes; a request under way then has some seconds to end."""
    problem = asyncio.run(_schema_problem(settings))
    if problem is not None and "crm-api migrate" in problem:
        raise click.ClickException(f"the database is not usable: {problem}")
    if settings.metrics_port is not None:
        _serve_metrics(settings.metrics_host, settings.metrics_port)
    uvicorn.run(
        "crm_api.main:create_app",
        factory=True,
        host=host,
        port=port,
        workers=workers,
        # Our own access line knows the route, the user and HubSpot's share.
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=bool(settings.forwarded_allow_ips),
        forwarded_allow_ips=settings.forwarded_allow_ips or None,
        timeout_graceful_shutdown=DRAIN_SECONDS,
        limit_concurrency=None,
    )


def _serve_metrics(host: str, port: int) -> None:
    # prometheus_client looks for the folder when it is imported, here and in every worker.
    os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", tempfile.mkdtemp(prefix="crm-api-metrics-"))
    from crm_api.metrics import serve_metrics

    serve_metrics(host, port)


async def _schema_problem(settings: Settings) -> str | None:
    engine = create_engine(settings.database_url)
    try:
        return await database_problem(create_sessions(engine))
    finally:
        await engine.dispose()
