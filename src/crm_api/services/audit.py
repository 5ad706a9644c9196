"""Audit log: security events, each written in the transaction of the change that it records."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from crm_api.database import SessionFactory
from crm_api.models import AuditEntry, User

Event = Literal[
    "registered",
    "registration_requested",
    "verification_requested",
    "email_verified",
    "login_succeeded",
    "login_failed",
    "logged_out",
    "session_revoked",
    "password_changed",
    "password_change_failed",
    "password_reset_requested",
    "password_reset",
    "role_changed",
    "profile_changed",
    "contact_linked",
    "contact_link_lost",
    "user_deleted",
    "record_archived",
    "exported",
]


@dataclass(frozen=True, slots=True)
class Origin:
    """Who caused a change, from which network address and in which request."""

    actor: Literal["user", "operator", "system", "anonymous"] = "system"
    address: str | None = field(default=None, repr=False)
    request_id: str | None = None


SYSTEM = Origin()
OPERATOR = Origin(actor="operator")


def record(
    database: AsyncSession,
    event: Event,
    user_id: UUID | None,
    *,
    origin: Origin = SYSTEM,
    detail: str | None = None,
) -> None:
    """Add an entry to the transaction. `detail` must not contain personal data."""
    database.add(
        AuditEntry(
            event=event,
            user_id=user_id,
            actor=origin.actor,
            address=origin.address,
            request_id=origin.request_id,
            detail=detail,
        )
    )


async def entries(
    session_factory: SessionFactory,
    *,
    email: str | None = None,
    event: str | None = None,
    since: datetime | None = None,
    limit: int = 100,
) -> list[AuditEntry]:
    """Return the latest matching entries, oldest first. `email` selects the user who has this address now."""
    query = select(AuditEntry).order_by(AuditEntry.at.desc()).limit(limit)
    if email is not None:
        query = query.where(AuditEntry.user_id.in_(select(User.id).where(User.email == email)))
    if event is not None:
        query = query.where(AuditEntry.event == event)
    if since is not None:
        query = query.where(AuditEntry.at >= since)
    async with session_factory() as database:
        return list((await database.execute(query)).scalars())[::-1]
