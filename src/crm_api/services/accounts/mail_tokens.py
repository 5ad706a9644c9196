"""Tokens for links in mails: stored hashed, good for one use, one purpose and some time."""

from datetime import timedelta
from typing import Literal
from uuid import UUID

from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from crm_api.models import MailToken, PendingRegistration, now
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
) -> str:
    """A new token; one for nobody is made too, so that an unknown address costs the same."""
    token = new_mail_token()
    database.add(
        MailToken(
            token_hash=hash_token(token),
            purpose=purpose,
            registration_id=registration_id,
            user_id=user_id,
            expires_at=now() + LIFETIMES[purpose],
        )
    )
    await database.flush()
    return token


async def find(database: AsyncSession, purpose: Purpose, token: str) -> MailToken | None:
    """The row of a token that is still good for this."""
    return (await database.execute(select(MailToken).where(*_is_good(purpose, token)))).scalar_one_or_none()


async def find_registration(database: AsyncSession, token: str) -> PendingRegistration | None:
    """The registration that this link is to finish; one read, whether or not the link was ever sent."""
    query = (
        select(PendingRegistration)
        .join(MailToken, MailToken.registration_id == PendingRegistration.id)
        .where(*_is_good("verify_email", token))
    )
    return (await database.execute(query)).scalar_one_or_none()


def _is_good(purpose: Purpose, token: str) -> tuple[ColumnElement[bool], ...]:
    return (
        MailToken.token_hash == hash_token(token),
        MailToken.purpose == purpose,
        MailToken.expires_at > now(),
    )


async def purge(database: AsyncSession) -> None:
    """Delete what has expired; called by what adds rows, so that they cannot pile up."""
    await database.execute(delete(MailToken).where(MailToken.expires_at <= now()))
    await database.execute(delete(PendingRegistration).where(PendingRegistration.expires_at <= now()))
