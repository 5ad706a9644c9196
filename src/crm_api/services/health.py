"""What the service stands on, as it is now or was last seen."""

import asyncio
from collections.abc import Awaitable, Callable

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from crm_api.database import SessionFactory
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
    """Unavailable where the database is away or behind or the process is draining; else ready or degraded.

    HubSpot stands there as last seen: a probe every second must not spend its quota.
    """
    problem, redis = await asyncio.gather(database_problem(session_factory), _redis_state(ping_redis))
    database = Dependency(state="down" if problem else "ok", seen_at=now(), problem=problem)
    remote = _hubspot_state(hubspot, refused)
    degraded = "degraded" in (remote.state, redis.state)
    return Readiness(
        status="unavailable" if problem or draining else "degraded" if degraded else "ready",
        database=database,
        hubspot=remote,
        redis=redis,
    )


def _hubspot_state(hubspot: HubSpotClient, refused: str | None) -> Dependency:
    seen = hubspot.last_seen
    if refused:
        return Dependency(state="degraded", seen_at=seen.at, problem=refused)
    state = "unknown" if seen.ok is None else "ok" if seen.ok else "degraded"
    return Dependency(state=state, seen_at=seen.at, problem=seen.error)


async def _redis_state(ping: Callable[[], Awaitable[object]] | None) -> Dependency:
    if ping is None:
        return Dependency(state="off", seen_at=None, problem=None)
    try:
        await ping()
    except Exception as error:  # noqa: BLE001 - the service goes on without Redis, whatever ails it
        return Dependency(state="degraded", seen_at=now(), problem=type(error).__name__)
    return Dependency(state="ok", seen_at=now(), problem=None)


async def database_problem(session_factory: SessionFactory) -> str | None:
    """What is wrong with the database; None where it answers and has our schema."""
    try:
        async with asyncio.timeout(DATABASE_TIMEOUT_SECONDS), session_factory() as database:
            revision: str | None = (
                await database.execute(text("SELECT version_num FROM alembic_version"))
            ).scalar()
    except SQLAlchemyError as error:
        # PostgreSQL and SQLite both answer so for a table that is not there.
        missing = "alembic_version" in str(getattr(error, "orig", ""))
        return "its schema is missing: run crm-api migrate" if missing else cause_of(error)
    except (OSError, TimeoutError) as error:
        return cause_of(error)
    # A newer one is an upgrade under way: the schema of each version serves the version before it.
    if revision is None or not revision.isdecimal() or int(revision) < int(SCHEMA_REVISION):
        return f"its schema is at {revision}, not {SCHEMA_REVISION}: run crm-api migrate"
    return None
