"""Audit log: security events, written in the transaction of the change, or after a write to HubSpot."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from crm_api.database import SessionFactory
from crm_api.models import AuditEntry, User

logger = logging.getLogger(__name__)

MAX_DETAIL: Final = 500
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
    "user_disabled",
    "user_enabled",
    "user_deleted",
    "record_created",
    "record_changed",
    "record_archived",
    "exported",
]


@dataclass(frozen=True, slots=True)
class Origin:
    """Who caused a change, from which network address, with which client and in which request."""

    actor: Literal["user", "operator", "system", "anonymous"] = "system"
    address: str | None = field(default=None, repr=False)
    user_agent: str | None = field(default=None, repr=False)
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


async def record_write(
    session_factory: SessionFactory,
    event: Literal["record_created", "record_changed", "record_archived"],
    user: User,
    record_name: str,
    *,
    origin: Origin,
    fields: Iterable[str] = (),
) -> None:
    """Add an entry for a write to HubSpot: `record_name` is type and ID, `fields` are the names of the written fields.

    The write succeeded, so a database error is only logged.
    """
    names = ", ".join(fields)
    detail = f"{record_name}: {names}" if names else record_name
    detail = detail if len(detail) <= MAX_DETAIL else f"{detail[: MAX_DETAIL - 4]} ..."
    try:
        async with session_factory.begin() as database:
            record(database, event, user.id, origin=origin, detail=detail)
    except (SQLAlchemyError, OSError, TimeoutError) as error:
        logger.warning("audit entry not stored: event=%s error=%s", event, type(error).__name__)


async def entries(
    session_factory: SessionFactory,
    *,
    user: UUID | str | None = None,
    event: str | None = None,
    since: datetime | None = None,
    limit: int = 100,
) -> list[AuditEntry]:
    """Return the latest matching entries, oldest first.

    `user` is an ID, also that of a deleted user, or the address that a user has now.
    """
    query = select(AuditEntry).order_by(AuditEntry.at.desc()).limit(limit)
    if isinstance(user, UUID):
        query = query.where(AuditEntry.user_id == user)
    elif user is not None:
        query = query.where(AuditEntry.user_id.in_(select(User.id).where(User.email == user)))
    if event is not None:
        query = query.where(AuditEntry.event == event)
    if since is not None:
        query = query.where(AuditEntry.at >= since)
    async with session_factory() as database:
        return list((await database.execute(query)).scalars())[::-1]
