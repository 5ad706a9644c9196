"""Administration of users by the operator: find, create, verify, disable, enable, and mail links."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final, Literal
from uuid import UUID

from sqlalchemy import delete, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from crm_api.database import SessionFactory
from crm_api.errors import ApiError
from crm_api.hubspot import HubSpotClient
from crm_api.models import MailToken, PendingRegistration, Session, User, now
from crm_api.schemas.accounts import Role
from crm_api.schemas.contacts import Contact
from crm_api.schemas.registration import Registration
from crm_api.services import audit
from crm_api.services.accounts import mail_tokens
from crm_api.services.accounts.context import AccountContext, selects
from crm_api.services.accounts.passwords import require_usable_password, revoke_sessions
from crm_api.services.accounts.registration import NewUser, create_user, require_free
from crm_api.services.accounts.verification import complete_registration, resend_link

PASSWORD_LINK_LIFETIME: Final = timedelta(hours=24)
UserKey = UUID | str
"""ID or e-mail address of a user."""


class AdministrationError(Exception):
    """Reason why a user cannot be changed."""


@dataclass(frozen=True, slots=True)
class UserDetails:
    """A user, the number of their sessions, and the pending registrations of their address."""

    user: User | None
    sessions: int
    pending: Sequence[PendingRegistration]


def _no_user() -> AdministrationError:
    return AdministrationError("there is no user with this e-mail address or ID")


async def list_users(
    session_factory: SessionFactory,
    *,
    role: Role | None = None,
    status: Literal["active", "disabled", "registering"] | None = None,
    text: str | None = None,
    limit: int = 100,
) -> Sequence[User]:
    """Return users, newest first. `text` is a part of the e-mail address or of a name, in any case."""
    query = select(User).order_by(User.created_at.desc(), User.id).limit(limit)
    if role is not None:
        query = query.where(User.role == role)
    if status is not None:
        query = query.where(User.status == status)
    if text is not None:
        columns = (User.email, User.firstname, User.lastname)
        query = query.where(or_(*(column.icontains(text, autoescape=True) for column in columns)))
    async with session_factory() as database:
        return (await database.execute(query)).scalars().all()


async def list_pending(session_factory: SessionFactory, *, limit: int = 100) -> Sequence[PendingRegistration]:
    """Return registrations that wait for the verification of their address, newest first."""
    query = select(PendingRegistration).where(PendingRegistration.expires_at > now())
    async with session_factory() as database:
        found = await database.execute(query.order_by(PendingRegistration.created_at.desc()).limit(limit))
        return found.scalars().all()


async def find_user(session_factory: SessionFactory, key: UserKey) -> UserDetails:
    """Return the user or the pending registrations. Raises `AdministrationError` if there are none."""
    async with session_factory() as database:
        user = (await database.execute(select(User).where(selects(key)))).scalar_one_or_none()
        email = user.email if user is not None else str(key)
        pending = await _pending_of(database, email)
        if user is None and not pending:
            raise _no_user()
        of_user = Session.user_id == (user.id if user is not None else None)
        is_valid = (Session.revoked_at.is_(None), Session.expires_at > now())
        sessions = select(func.count()).select_from(Session).where(of_user, *is_valid)
        return UserDetails(user, (await database.execute(sessions)).scalar_one(), pending)


async def add_user(
    context: AccountContext, hubspot: HubSpotClient, registration: Registration, role: Role
) -> Contact | None:
    """Create a user with a verified address, and create or link their contact.

    An existing contact keeps its values. The settings that limit registration do not apply to the operator.
    """
    password = require_usable_password(registration.password.get_secret_value())
    await require_free(context.session_factory, registration.email)
    new = NewUser(**registration.model_dump(exclude={"password", "properties"}))
    password_hash = await context.passwords.hash(password)

    async def delete_pending(database: AsyncSession, _contact: Contact | None) -> None:
        # The address has a user now, so its pending registrations cannot succeed.
        await database.execute(delete(PendingRegistration).where(PendingRegistration.email == new.email))

    context = replace(context, rules=replace(context.rules, new_user_role=role))
    return await create_user(
        context, hubspot, new, password_hash, email_verified=True, in_transaction=delete_pending
    )


def random_password() -> str:
    """Return a password that is never shown, for a user who chooses one with a mailed link."""
    return secrets.token_urlsafe(32)


async def verify_user(context: AccountContext, hubspot: HubSpotClient, key: UserKey) -> None:
    """Mark the user's address as verified, or complete the only pending registration of the address.

    Raises `AdministrationError` for several registrations: the operator cannot know which one the
    owner of the address made.
    """
    async with context.session_factory.begin() as database:
        user = await _lock_if_found(database, key)
        if user is not None:
            user.email_verified = True
            audit.record(database, "email_verified", user.id, origin=context.origin)
            return
        pending = await _pending_of(database, str(key))
    if not pending:
        raise _no_user()
    if len(pending) > 1:
        raise AdministrationError(
            f"this address has {len(pending)} pending registrations, each with a password of its own; "
            "run crm-api users resend, so that the owner of the address chooses one"
        )
    try:
        await complete_registration(context, hubspot, pending[0])
    except ApiError as error:
        raise AdministrationError(error.detail) from error


async def disable_user(session_factory: SessionFactory, key: UserKey, *, origin: audit.Origin) -> None:
    """Refuse the user's logins and requests, and end their sessions and links in mails."""
    async with session_factory.begin() as database:
        user = await _lock(database, key)
        user.status = "disabled"
        await revoke_sessions(database, user.id)
        await database.execute(delete(MailToken).where(MailToken.user_id == user.id))
        audit.record(database, "user_disabled", user.id, origin=origin)


async def enable_user(session_factory: SessionFactory, key: UserKey, *, origin: audit.Origin) -> None:
    """Accept the user's logins again. Their sessions stay ended."""
    async with session_factory.begin() as database:
        user = await _lock(database, key)
        user.status = "active"
        audit.record(database, "user_enabled", user.id, origin=origin)


async def send_link(context: AccountContext, key: UserKey) -> None:
    """Send a link to choose a password; to an address without a user, the link of its latest registration."""
    async with context.session_factory.begin() as database:
        await mail_tokens.purge(database)
        user = await _lock_if_found(database, key)
        if user is not None and user.status == "disabled":
            raise AdministrationError("the user is disabled; enable the user first")
        if user is not None:
            token = await mail_tokens.issue(
                database, "reset_password", user_id=user.id, lifetime=PASSWORD_LINK_LIFETIME
            )
            audit.record(database, "password_reset_requested", user.id, origin=context.origin)
            hours = int(PASSWORD_LINK_LIFETIME.total_seconds() // 3600)
            context.messages.choose_password(user.email, token, hours=hours)
            return
        if not await _pending_of(database, str(key)):
            raise _no_user()
    await resend_link(context, str(key))


async def _lock(database: AsyncSession, key: UserKey) -> User:
    """Return the user, locked for a change. Raises `AdministrationError` if there is no such user."""
    user = await _lock_if_found(database, key)
    if user is None:
        raise _no_user()
    return user


async def _lock_if_found(database: AsyncSession, key: UserKey) -> User | None:
    query = select(User).where(selects(key)).with_for_update()
    user = (await database.execute(query)).scalar_one_or_none()
    if user is not None and user.status == "registering":
        raise AdministrationError("the user's registration is not complete; try again in a minute")
    return user


async def _pending_of(database: AsyncSession, email: str) -> Sequence[PendingRegistration]:
    query = select(PendingRegistration).where(
        PendingRegistration.email == email, PendingRegistration.expires_at > now()
    )
    found = await database.execute(query.order_by(PendingRegistration.created_at))
    return found.scalars().all()
