"""Builds the application: state, routers, exception handlers, middleware and lifespan."""

import asyncio
import logging
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib.metadata import version

import httpx
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import QueuePool
from starlette.middleware.cors import CORSMiddleware

from crm_api.bootstrap import (
    account_rules,
    create_hubspot,
    create_read_cache,
    create_redis,
    customer_stages,
    hubspot_auth,
    hubspot_quota,
    record_fields,
)
from crm_api.database import autocommit_engine, create_engine, create_session_factory
from crm_api.draining import drain_on_sigterm, end_tasks
from crm_api.exception_handlers import add_exception_handlers
from crm_api.hubspot import Observers
from crm_api.mail import MailQueue
from crm_api.middleware import (
    ErrorBoundaryMiddleware,
    HeadMiddleware,
    RequestContextMiddleware,
    RootPathMiddleware,
    SecurityHeadersMiddleware,
)
from crm_api.observability.logging import configure_logging
from crm_api.observability.metrics import Metrics
from crm_api.observability.tracing import NOT_TRACED, start_tracing
from crm_api.observability.worker_metrics import remove_worker_gauges
from crm_api.openapi import document
from crm_api.rate_limit import RateLimits
from crm_api.routers import (
    contacts,
    deals,
    docs,
    health,
    overview,
    passwords,
    pipelines,
    profile,
    properties,
    registration,
    search_all,
    sessions,
    tickets,
    verification,
)
from crm_api.security.passwords import Passwords
from crm_api.security.turns import FairSemaphore, SemaphorePerCaller
from crm_api.services.health import database_problem
from crm_api.services.hubspot_account.binding import AccountBinding
from crm_api.services.hubspot_account.schema_check import watch_schema
from crm_api.services.link_resolver import ContactLinkResolver
from crm_api.services.properties.time_slices import TimeSlices
from crm_api.services.purge import purge_hourly
from crm_api.services.record_versions import RecordVersions
from crm_api.services.records.cursors import Cursors
from crm_api.settings import Settings

logger = logging.getLogger(__name__)
GAUGE_INTERVAL_SECONDS = 5.0
EXPOSED_HEADERS = (
    "X-Request-ID", "Retry-After", "RateLimit", "RateLimit-Policy", "ETag", "Location", "Idempotency-Replayed",
    "Age",
)  # fmt: skip
ALLOWED_HEADERS = (
    "Authorization", "Content-Type", "Idempotency-Key", "If-Match", "X-Request-ID",
    # Tracing and monitoring tools in browsers, and HTTP libraries, add these headers to every request.
    "traceparent", "tracestate", "baggage", "sentry-trace", "If-None-Match", "Cache-Control", "Pragma",
    "X-Requested-With",
)  # fmt: skip
# Starlette tries routes in this order: record routes come before those of logins and passwords.
ROUTER_MODULES = (
    registration, profile, pipelines, overview, deals, tickets, search_all, contacts, properties, health, sessions,
    passwords, verification,
)  # fmt: skip


def create_app(
    settings: Settings | None = None, *, hubspot_transport: httpx.AsyncBaseTransport | None = None
) -> FastAPI:
    """Build the application. Tests pass `hubspot_transport` in place of the network.

    Raises `SettingsRefusedError` with all problems of the settings.
    """
    settings = settings or Settings.load()
    settings.require_startable()
    configure_logging(settings)
    for warning in settings.production_warnings:
        logger.warning("%s", warning)
    tracing = start_tracing(settings.otel_exporter_otlp_endpoint, version=version("crm-api"))
    app = FastAPI(
        telemetry=tracing.config if tracing is not None else NOT_TRACED,
        title=document.TITLE,
        version=version("crm-api"),
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        # Starlette builds these redirects from the Host header, which the caller controls.
        redirect_slashes=False,
        lifespan=_lifespan,
        generate_unique_id_function=document.operation_id,
    )
    app.state.settings = settings
    app.state.hubspot_transport = hubspot_transport
    app.state.draining = False
    app.state.cursors = Cursors(settings.secret_keys)
    app.state.record_fields = record_fields(settings)
    app.state.customer_stages = customer_stages(settings)
    app.state.time_slices = TimeSlices()
    app.state.record_requests = SemaphorePerCaller(settings.max_record_requests_per_user)
    app.state.account_rules = account_rules(settings)
    app.state.rate_limits = RateLimits(settings)
    app.state.metrics = Metrics(version=app.version)
    app.state.mail = MailQueue(settings, on_lost=app.state.metrics.mails_lost)
    app.state.docs_assets = {}
    app.state.tracing = tracing
    app.state.openapi_document = document.lazy_document(app)
    for module in ROUTER_MODULES:
        app.include_router(module.router)
    if settings.docs_enabled:
        app.include_router(docs.router)
    add_exception_handlers(app)
    _add_middleware(app, settings)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncGenerator[None, None]:
    """Open the application's connections and background tasks, and close them at the end."""
    settings: Settings = app.state.settings
    engine = create_engine(settings.database_url, pool_size=settings.database_pool_size)
    session_factory = app.state.session_factory = create_session_factory(engine)
    single_statements = autocommit_engine(engine)
    app.state.autocommit_session_factory = create_session_factory(single_statements)
    # The database pool serves requests in order of arrival: a client with many requests would delay all others.
    app.state.authentications = FairSemaphore(settings.database_pool_size)
    app.state.passwords = Passwords(
        rounds=settings.bcrypt_rounds,
        workers=(os.cpu_count() or 2) - 1,
        wait_seconds=settings.request_deadline_seconds,
    )
    app.state.contact_links = ContactLinkResolver(session_factory)
    problem = await database_problem(session_factory)
    if problem is not None:
        logger.warning("database not ready: %s", problem)
    metrics, tracing = app.state.metrics, app.state.tracing
    auth = await hubspot_auth(settings, session_factory)
    redis = create_redis(settings)
    app.state.ping_redis = redis.ping if redis is not None else None
    observer = metrics if tracing is None else Observers(metrics, tracing)
    hubspot = app.state.hubspot = create_hubspot(
        settings,
        auth,
        transport=app.state.hubspot_transport,
        quota=hubspot_quota(settings, redis),
        observer=observer,
        turn=app.state.time_slices.turn,
    )
    app.state.record_versions = RecordVersions(
        single_statements.begin, is_enabled=settings.read_cache_seconds > 0
    )
    read_cache = app.state.read_cache = create_read_cache(
        settings, hubspot, redis, charge_calls=app.state.rate_limits.count_hubspot_calls, observer=observer
    )
    app.state.account_binding = AccountBinding(session_factory, hubspot)
    # The service starts without HubSpot and reads the account in the background.
    startup_checks = app.state.startup_checks = asyncio.create_task(_check_account(app))
    gauge_updates = asyncio.create_task(_update_gauges(app, engine))
    purges = asyncio.create_task(
        purge_hourly(session_factory, audit_retention_days=settings.audit_retention_days)
    )
    app.state.mail.start()
    drain_on_sigterm(app, notice_seconds=settings.shutdown_notice_seconds or 0.0)
    try:
        yield
    finally:
        app.state.draining = True
        await end_tasks((startup_checks, gauge_updates, purges))
        await app.state.mail.aclose()
        if read_cache is not None:
            await read_cache.aclose()
        await hubspot.aclose()
        if redis is not None:
            await redis.aclose()
        await app.state.rate_limits.aclose()
        await engine.dispose()
        if tracing is not None:
            await asyncio.to_thread(tracing.shutdown)
        remove_worker_gauges()


async def _check_account(app: FastAPI) -> None:
    """Read the HubSpot account, retrying until it responds, and then check its schema."""
    await app.state.account_binding.watch()
    await watch_schema(app.state.hubspot, app.state.record_fields, app.state.customer_stages)


async def _update_gauges(app: FastAPI, engine: AsyncEngine) -> None:
    """Update the gauges of quota, read cache and pools every few seconds, and remove expired cached responses."""
    metrics, hubspot, passwords = app.state.metrics, app.state.hubspot, app.state.passwords
    while True:
        metrics.quota(hubspot.sender.quota.snapshot())
        metrics.daily_report(await hubspot.sender.quota.daily_report())
        metrics.account_mismatch(is_mismatch=app.state.account_binding.mismatch is not None)
        pool = engine.pool
        if isinstance(pool, QueuePool):
            metrics.pool("database", used=pool.checkedout(), size=pool.size())
        if app.state.read_cache is not None:
            app.state.read_cache.remove_expired()
            metrics.read_cache_size(app.state.read_cache.used_bytes)
        metrics.pool("hubspot", used=hubspot.sender.in_flight, size=hubspot.sender.max_connections)
        metrics.pool("passwords", used=passwords.in_flight, size=passwords.workers)
        await asyncio.sleep(GAUGE_INTERVAL_SECONDS)


def _add_middleware(app: FastAPI, settings: Settings) -> None:
    # Starlette makes the last middleware the outermost.
    app.add_middleware(HeadMiddleware)
    app.add_middleware(
        ErrorBoundaryMiddleware,
        max_body_bytes=settings.max_body_bytes,
        deadline_seconds=settings.request_deadline_seconds,
    )
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "HEAD", "POST", "PATCH", "DELETE"],
            allow_headers=ALLOWED_HEADERS,
            expose_headers=EXPOSED_HEADERS,
            max_age=600,
        )
    app.add_middleware(
        RequestContextMiddleware,
        deadline_seconds=settings.request_deadline_seconds,
        # Looked up for each request because tests replace the limits.
        count_hubspot_calls=lambda user_id, calls: app.state.rate_limits.count_hubspot_calls(user_id, calls),
        on_finished=app.state.metrics.request_finished,
    )
    app.add_middleware(SecurityHeadersMiddleware, https_only=settings.environment == "production")
    if settings.root_path:
        app.add_middleware(RootPathMiddleware, root_path=settings.root_path)
