"""Passwords: change with the current password, or reset with a mailed link."""

from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from crm_api.errors import ApiError, invalid
from crm_api.models import MailToken, Session, User, now
from crm_api.schemas.problems import FieldProblem
from crm_api.schemas.registration import AcceptedResponse
from crm_api.security.passwords import is_common_password
from crm_api.services import audit
from crm_api.services.accounts import mail_tokens
from crm_api.services.accounts.context import AccountContext
from crm_api.services.accounts.emails import accepted_response

_LIFETIME_MINUTES = int(mail_tokens.LIFETIMES["reset_password"].total_seconds() // 60)


async def change_password(
    context: AccountContext, user: User, current: str, new: str, *, session_id: UUID, token_id: str
) -> None:
    """Change the password and end the user's other sessions and this session's other access tokens.

    Raises 400 for a wrong current or a weak new password.
    """
    require_usable_password(new, field="new_password", email=user.email)
    is_correct, _ = await context.passwords.verify(current, user.password_hash)
    if not is_correct:
        async with context.session_factory.begin() as database:
            audit.record(database, "password_change_failed", user.id, origin=context.origin)
        raise _wrong_password()
    new_hash = await context.passwords.hash(new)
    async with context.session_factory.begin() as database:
        # The condition on the verified hash lets only one of two concurrent changes succeed.
        changed = await database.execute(
            update(User)
            .where(User.id == user.id, User.password_hash == user.password_hash)
            .values(password_hash=new_hash)
            .returning(User.id)
        )
        if changed.first() is None:
            raise _wrong_password()
        await revoke_sessions(database, user.id, except_id=session_id)
        kept = {"generation": Session.generation + 1, "kept_token_id": token_id}
        await database.execute(update(Session).where(Session.id == session_id).values(**kept))
        await database.execute(delete(MailToken).where(MailToken.user_id == user.id))
        audit.record(database, "password_changed", user.id, origin=context.origin)
    context.messages.password_changed(user.email)


async def request_reset(context: AccountContext, email: str) -> AcceptedResponse:
    """Send a link to choose a new password.

    Unknown addresses and disabled users take the same work and get another mail.
    """
    query = select(User).where(User.email == email, User.status.in_(("active", "disabled")))
    async with context.session_factory.begin() as database:
        await mail_tokens.purge(database)
        user = (await database.execute(query)).scalar_one_or_none()
        is_active = user is not None and user.status == "active"
        token = await mail_tokens.issue(
            database, "reset_password", user_id=user.id if user is not None and is_active else None
        )
        user_id = user.id if user is not None else None
        audit.record(database, "password_reset_requested", user_id, origin=context.origin)
    if user is None:
        context.messages.not_registered(email)
    elif not is_active:
        context.messages.account_disabled(email)
    else:
        context.messages.reset_password(email, token, minutes=_LIFETIME_MINUTES)
    return accepted_response()


async def reset_password(context: AccountContext, token: str, new: str) -> None:
    """Set the password, mark the address as verified, end all sessions. Raises 400 for an invalid link or password."""
    async with context.session_factory() as database:
        user = await mail_tokens.find_user(database, token)
    if user is None:
        raise ApiError("invalid_link")
    new_hash = await context.passwords.hash(require_usable_password(new, email=user.email))
    async with context.session_factory.begin() as database:
        # The delete lets only one of two concurrent requests with this token succeed.
        if not await mail_tokens.consume(database, "reset_password", token):
            raise ApiError("invalid_link")
        await database.execute(delete(MailToken).where(MailToken.user_id == user.id))
        await database.execute(
            update(User).where(User.id == user.id).values(password_hash=new_hash, email_verified=True)
        )
        await revoke_sessions(database, user.id)
        audit.record(database, "password_reset", user.id, origin=context.origin)
    context.messages.password_changed(user.email)


async def revoke_sessions(database: AsyncSession, user_id: UUID, *, except_id: UUID | None = None) -> None:
    """End the user's sessions, except one if it is given."""
    statement = update(Session).where(Session.user_id == user_id, Session.revoked_at.is_(None))
    if except_id is not None:
        statement = statement.where(Session.id != except_id)
    await database.execute(statement.values(revoked_at=now()))


def _wrong_password() -> ApiError:
    # Front ends take a 401 for the end of the session, so this is a 400.
    return ApiError("wrong_password", details=[FieldProblem(field="current_password", message="is wrong")])


def require_usable_password(password: str, *, field: str = "password", email: str | None = None) -> str:
    """Return the password. Raises 400 if it is a common one or the user's e-mail address."""
    if is_common_password(password):
        raise invalid(field, "is one of the most common passwords")
    if email is not None and password.strip().lower() in {email, email.partition("@")[0]}:
        raise invalid(field, "must not be the e-mail address")
    return password
