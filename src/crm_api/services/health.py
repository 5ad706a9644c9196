"""Readiness: the state of the database, HubSpot and Redis."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Literal

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from crm_api.database import SessionFactory, is_read_only
from crm_api.errors import cause_of
from crm_api.hubspot import HubSpotClient
from crm_api.models import SCHEMA_REVISION, now
from crm_api.schemas.health import Dependency, Readiness

DATABASE_TIMEOUT_SECONDS = 2.0


async def readiness(
    session_factory: SessionFactory,
    hubspot: HubSpotClient,
    *,
    draining: bool,
    refused: str | None,
    ping_redis: Callable[[], Awaitable[object]] | None = None,
) -> Readiness:
    """Return `unavailable` without a usable database, while draining, or with another HubSpot account's credentials.

    Other problems of HubSpot, and those of Redis, make it `degraded`.

    HubSpot's state is that of the latest call: a probe every second must not use up its quota.
    """
    problem, redis = await asyncio.gather(database_problem(session_factory), _redis_state(ping_redis))
    database = Dependency(state="down" if problem else "ok", seen_at=now(), problem=problem)
    hubspot_state = _hubspot_state(hubspot, refused)
    status: Literal["ready", "degraded", "unavailable"] = "ready"
    if problem or draining or refused:
        status = "unavailable"
    elif "degraded" in (hubspot_state.state, redis.state):
        status = "degraded"
    return Readiness(status=status, database=database, hubspot=hubspot_state, redis=redis)


def _hubspot_state(hubspot: HubSpotClient, refused: str | None) -> Dependency:
    seen = hubspot.sender.last_seen
    if refused:
        return Dependency(state="down", seen_at=seen.at, problem=refused)
    scopes = [f"missing scope: {scope}" for scope in hubspot.sender.missing_scopes.names]
    problems = [*filter(None, [seen.error]), *scopes, *_pauses(hubspot), *_open_circuits(hubspot)]
    if problems:
        return Dependency(state="degraded", seen_at=seen.at, problem="; ".join(problems))
    return Dependency(state="unknown" if seen.ok is None else "ok", seen_at=seen.at, problem=None)


def _pauses(hubspot: HubSpotClient) -> list[str]:
    """Return which of HubSpot's limits pause calls after a 429."""
    snapshot = hubspot.sender.quota.snapshot()
    remaining = {
        limit: snapshot.get(f"{limit}_paused_seconds", 0.0) for limit in ("burst", "search", "daily")
    }
    return [
        f"{limit} limit reached: calls are paused for {math.ceil(seconds)} s"
        for limit, seconds in remaining.items()
        if seconds > 0
    ]


def _open_circuits(hubspot: HubSpotClient) -> list[str]:
    return [f"circuit breaker open: {name}" for name in hubspot.open_circuits]


async def _redis_state(ping: Callable[[], Awaitable[object]] | None) -> Dependency:
    if ping is None:
        return Dependency(state="off", seen_at=None, problem=None)
    try:
        await ping()
    except Exception as error:  # noqa: BLE001 - the service works without Redis, so no failure of it is raised
        return Dependency(state="degraded", seen_at=now(), problem=type(error).__name__)
    return Dependency(state="ok", seen_at=now(), problem=None)


async def database_problem(session_factory: SessionFactory) -> str | None:
    """Return the problem with the database, or None if it is writable and has the required schema."""
    try:
        async with asyncio.timeout(DATABASE_TIMEOUT_SECONDS), session_factory() as database:
            revision: str | None = (
                await database.execute(text("SELECT version_num FROM alembic_version"))
            ).scalar()
            # A newer schema is an upgrade in progress: each version's schema also works for the version before it.
            if revision is None or not revision.isdecimal() or int(revision) < int(SCHEMA_REVISION):
                return f"its schema is at {revision}, not {SCHEMA_REVISION}: run crm-api migrate"
            # A standby refuses this statement although it deletes nothing.
            await database.execute(text("DELETE FROM record_leases WHERE 1 = 0"))
    except SQLAlchemyError as error:
        if is_read_only(error):
            return "it is read-only, perhaps a standby"
        return "its schema is missing: run crm-api migrate" if is_schema_missing(error) else cause_of(error)
    except (OSError, TimeoutError) as error:
        return cause_of(error)
    return None


def is_schema_missing(error: SQLAlchemyError) -> bool:
    """Return True if the database has no schema yet."""
    # The messages of PostgreSQL and SQLite name the missing table.
    return "alembic_version" in str(getattr(error, "orig", ""))
