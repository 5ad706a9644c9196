"""Contract of the health probes."""

from typing import Annotated, Literal

from pydantic import Field

from crm_api.schemas.common import ResponseModel, Timestamp


class Health(ResponseModel):
    """Result of the liveness probe."""

    status: Literal["alive"] = "alive"


class Dependency(ResponseModel):
    """Last known state of a server that the service needs."""

    state: Literal["ok", "degraded", "down", "unknown", "off"]
    seen_at: Timestamp | None
    """When the last response or failure was seen; null before the first."""
    problem: Annotated[str | None, Field(examples=["TimeoutError"])]
    """The last failure, missing scopes, pauses after HubSpot's 429, and open circuit breakers, without values."""


class Readiness(ResponseModel):
    """Result of the readiness probe."""

    status: Literal["ready", "degraded", "unavailable"]
    database: Dependency
    hubspot: Dependency
    redis: Dependency
