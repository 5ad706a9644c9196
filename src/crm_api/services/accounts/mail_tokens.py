"""Tokens of mailed links: stored as hashes, each valid for one use, one purpose and a limited time."""

from datetime import timedelta
from typing import Literal
from uuid import UUID

from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from crm_api.models import MailToken, PendingRegistration, User, now
from crm_api.security.tokens import hash_token, new_mail_token

Purpose = Literal["verify_email", "reset_password"]
LIFETIMES: dict[Purpose, timedelta] = {
    "verify_email": timedelta(hours=24),
    "reset_password": timedelta(hours=1),
}


async def issue(
    database: AsyncSession,
    purpose: Purpose,
    *,
    registration_id: UUID | None = None,
    user_id: UUID | None = None,
    lifetime: timedelta | None = None,
) -> str:
    """Return a new token. Call it for unknown addresses too, so that they take the same work.

    Without `lifetime`, the token has the lifetime of its purpose.
    """
    token = new_mail_token()
    database.add(
        MailToken(
            token_hash=hash_token(token),
            purpose=purpose,
            registration_id=registration_id,
            user_id=user_id,
            expires_at=now() + (lifetime or LIFETIMES[purpose]),
        )
    )
    await database.flush()
    return token


async def find_registration(database: AsyncSession, token: str) -> PendingRegistration | None:
    """Return the pending registration of a valid verification token, with the same work for unknown tokens."""
    query = (
        select(PendingRegistration)
        .join(MailToken, MailToken.registration_id == PendingRegistration.id)
        .where(*_is_valid("verify_email", token))
    )
    return (await database.execute(query)).scalar_one_or_none()


async def find_user(database: AsyncSession, token: str) -> User | None:
    """Return the user of a valid password-reset token."""
    query = (
        select(User).join(MailToken, MailToken.user_id == User.id).where(*_is_valid("reset_password", token))
    )
    return (await database.execute(query)).scalar_one_or_none()


async def consume(database: AsyncSession, purpose: Purpose, token: str) -> bool:
    """Delete the token. Return False if it is not valid or another request has consumed it."""
    used = delete(MailToken).where(*_is_valid(purpose, token)).returning(MailToken.id)
    return (await database.execute(used)).first() is not None


def _is_valid(purpose: Purpose, token: str) -> tuple[ColumnElement[bool], ...]:
    return (
        MailToken.token_hash == hash_token(token),
        MailToken.purpose == purpose,
        MailToken.expires_at > now(),
    )


async def purge(database: AsyncSession) -> None:
    """Delete expired tokens and registrations. Every function that adds rows calls it, which bounds the tables."""
    await database.execute(delete(MailToken).where(MailToken.expires_at <= now()))
    await database.execute(delete(PendingRegistration).where(PendingRegistration.expires_at <= now()))
