"""Changing a password: by who knows the old one, or by who can read the account's mail."""

from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from crm_api.database import SessionFactory
from crm_api.errors import ApiError, invalid
from crm_api.models import MailToken, Session, User, now
from crm_api.schemas.problems import FieldProblem
from crm_api.schemas.registration import AcceptedResponse
from crm_api.security.passwords import Passwords, is_common_password
from crm_api.services import audit
from crm_api.services.accounts import mail_tokens
from crm_api.services.accounts.emails import Messages, accepted
from crm_api.services.audit import Origin

_LIFETIME = mail_tokens.LIFETIMES["reset_password"]


async def change(
    session_factory: SessionFactory,
    passwords: Passwords,
    user: User,
    current: str,
    new: str,
    messages: Messages,
    *,
    session_id: UUID,
    origin: Origin,
) -> None:
    """Change the password and end the user's other sessions. Raises 400 `wrong_password`."""
    usable_password(new, field="new_password", email=user.email)
    is_valid, _ = await passwords.verify(current, user.password_hash)
    if not is_valid:
        raise _wrong_password()
    new_hash = await passwords.hash(new)
    async with session_factory.begin() as database:
        # Only in place of the hash that was verified: of two changes at one moment, one is told that it lost.
        changed = await database.execute(
            update(User)
            .where(User.id == user.id, User.password_hash == user.password_hash)
            .values(password_hash=new_hash)
            .returning(User.id)
        )
        if changed.first() is None:
            raise _wrong_password()
        await _end_sessions(database, user.id, but=session_id)
        await database.execute(delete(MailToken).where(MailToken.user_id == user.id))
        audit.record(database, "password_changed", user.id, origin=origin)
    messages.password_changed(user.email)


async def forgot(
    session_factory: SessionFactory, email: str, messages: Messages, *, origin: Origin
) -> AcceptedResponse:
    """Send a link to choose a new password; for an unknown address the same is done, and its owner told so."""
    query = select(User).where(User.email == email, User.status == "active")
    async with session_factory.begin() as database:
        await mail_tokens.purge(database)
        user = (await database.execute(query)).scalar_one_or_none()
        user_id = user.id if user is not None else None
        token = await mail_tokens.issue(database, "reset_password", user_id=user_id)
        audit.record(database, "password_reset_requested", user_id, origin=origin)
    if user is None:
        messages.not_registered(email)
    else:
        messages.reset_password(email, token, minutes=int(_LIFETIME.total_seconds() // 60))
    return accepted()


async def reset(
    session_factory: SessionFactory,
    passwords: Passwords,
    token: str,
    new: str,
    messages: Messages,
    *,
    origin: Origin,
) -> None:
    """Choose a new password and end all sessions; the address counts as proved. Raises 400 `invalid_link`."""
    user = await _owner(session_factory, token)
    if user is None:
        raise ApiError("invalid_link")
    new_hash = await passwords.hash(usable_password(new, email=user.email))
    async with session_factory.begin() as database:
        found = await mail_tokens.find(database, "reset_password", token)
        # Of two uses at one moment, only one deletes the row.
        used = delete(MailToken).where(MailToken.id == (found.id if found else None)).returning(MailToken.id)
        if (await database.execute(used)).first() is None:
            raise ApiError("invalid_link")
        await database.execute(delete(MailToken).where(MailToken.user_id == user.id))
        await database.execute(
            update(User).where(User.id == user.id).values(password_hash=new_hash, email_verified=True)
        )
        await _end_sessions(database, user.id)
        audit.record(database, "password_reset", user.id, origin=origin)
    messages.password_changed(user.email)


async def _owner(session_factory: SessionFactory, token: str) -> User | None:
    async with session_factory() as database:
        found = await mail_tokens.find(database, "reset_password", token)
        if found is None or found.user_id is None:
            return None
        return await database.get(User, found.user_id)


async def _end_sessions(database: AsyncSession, user_id: UUID, *, but: UUID | None = None) -> None:
    statement = update(Session).where(Session.user_id == user_id, Session.revoked_at.is_(None))
    if but is not None:
        statement = statement.where(Session.id != but)
    await database.execute(statement.values(revoked_at=now()))


def _wrong_password() -> ApiError:
    # Not a 401: front ends take that for the end of the session.
    return ApiError("wrong_password", details=[FieldProblem(field="current_password", message="is wrong")])


def usable_password(password: str, *, field: str = "password", email: str | None = None) -> str:
    """The password, or a 400 where it is one of the first that anybody would try."""
    if is_common_password(password):
        raise invalid(field, "is among the most common ones")
    if email is not None and password.strip().lower() in {email, email.partition("@")[0]}:
        raise invalid(field, "must not be the e-mail address")
    return password
