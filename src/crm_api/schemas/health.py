"""What an operator's probe is told."""

from typing import Annotated, Literal

from pydantic import Field

from crm_api.schemas.common import ResponseModel, Timestamp


class Health(ResponseModel):
    """The process answers."""

    status: Literal["alive"] = "alive"


class Dependency(ResponseModel):
    """One thing the service stands on, as last seen."""

    state: Literal["ok", "degraded", "down", "unknown", "off"]
    seen_at: Timestamp | None
    """When it last answered or failed; null before the first time."""
    problem: Annotated[str | None, Field(examples=["TimeoutError"])]
    """What was wrong, without names or values."""


class Readiness(ResponseModel):
    """Whether to send requests here."""

    status: Literal["ready", "degraded", "unavailable"]
    database: Dependency
    hubspot: Dependency
    redis: Dependency
