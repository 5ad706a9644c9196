"""Proof of an e-mail address: the mailed link and the password make the user."""

from uuid import UUID, uuid4

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from crm_api.database import SessionFactory
from crm_api.errors import ApiError
from crm_api.hubspot import HubSpotClient
from crm_api.models import PendingRegistration, User, now
from crm_api.schemas.registration import AcceptedResponse, Registered, Registration
from crm_api.schemas.verification import EmailVerifiedResponse
from crm_api.security.passwords import Passwords
from crm_api.services import audit
from crm_api.services.accounts import mail_tokens
from crm_api.services.accounts.emails import Messages, accepted
from crm_api.services.accounts.passwords import usable_password
from crm_api.services.accounts.registration import (
    NewUser,
    RegistrationRules,
    activate,
    claim,
    record_new_user,
    refuse_if_taken,
    release,
    require_allowed,
)
from crm_api.services.audit import Origin
from crm_api.services.contact_link import find_or_create_contact
from crm_api.services.idempotency import Attempt
from crm_api.services.properties.mapping import contact_from_record

_LIFETIME = mail_tokens.LIFETIMES["verify_email"]


async def request_registration(
    session_factory: SessionFactory,
    passwords: Passwords,
    registration: Registration,
    rules: RegistrationRules,
    messages: Messages,
    *,
    attempt: Attempt,
    origin: Origin,
) -> AcceptedResponse:
    """Keep a registration and send the link that finishes it; HubSpot is not asked.

    Raises 403 `registration_closed` and 400, neither of which depends on whether the address is known.
    """
    require_allowed(registration.email, rules)
    password_hash = await passwords.hash(usable_password(registration.password.get_secret_value()))
    answer = accepted()
    pending = PendingRegistration(
        email=registration.email,
        firstname=registration.firstname,
        lastname=registration.lastname,
        phone=registration.phone,
        password_hash=password_hash,
        expires_at=now() + _LIFETIME,
    )
    async with session_factory.begin() as database:
        await mail_tokens.purge(database)
        database.add(pending)
        await database.flush()
        token = await mail_tokens.issue(database, "verify_email", registration_id=pending.id)
        user = await _active_user(database, registration.email)
        audit.record(database, "registration_requested", user.id if user else None, origin=origin)
        if attempt.store_response is not None:
            await attempt.store_response(database, answer)
    if user is not None:
        messages.already_registered(registration.email)
    else:
        messages.verify_email(registration.email, token, hours=_hours())
    return answer


async def resend(
    session_factory: SessionFactory, email: str, messages: Messages, *, origin: Origin
) -> AcceptedResponse:
    """Send another link for the latest registration of this address; earlier links stay good."""
    latest = (
        select(PendingRegistration)
        .where(PendingRegistration.email == email, PendingRegistration.expires_at > now())
        .order_by(PendingRegistration.created_at.desc())
        .limit(1)
    )
    async with session_factory.begin() as database:
        await mail_tokens.purge(database)
        user = await _active_user(database, email)
        pending = (await database.execute(latest)).scalar_one_or_none()
        registration_id = pending.id if pending is not None else None
        token = await mail_tokens.issue(database, "verify_email", registration_id=registration_id)
        # For an unknown address too, so that the same statements run.
        extended = update(PendingRegistration).where(PendingRegistration.id == (registration_id or uuid4()))
        await database.execute(extended.values(expires_at=now() + _LIFETIME))
        audit.record(database, "verification_requested", user.id if user else None, origin=origin)
    if user is not None:
        messages.already_registered(email)
    elif pending is not None:
        messages.verify_email(email, token, hours=_hours())
    else:
        messages.not_registered(email)
    return accepted()


async def verify(
    session_factory: SessionFactory,
    hubspot: HubSpotClient,
    passwords: Passwords,
    token: str,
    password: str,
    rules: RegistrationRules,
    *,
    origin: Origin,
) -> EmailVerifiedResponse:
    """Make the user whose address and password this proves; an existing contact is linked and keeps its values.

    The token is used up by success alone: a wrong password, a failing HubSpot or a death half way leave it good.
    Raises 400 `invalid_link`, 403 `registration_closed`, 409 `user_exists`.
    """
    pending = await _pending(session_factory, token)
    is_valid, _ = await passwords.verify(password, pending.password_hash if pending else None)
    if pending is None or not is_valid:
        raise ApiError("invalid_link")
    require_allowed(pending.email, rules)
    await refuse_if_taken(session_factory, pending.email)
    new = NewUser(pending.email, pending.firstname, pending.lastname, pending.phone)
    claimed = await claim(session_factory, new, pending.password_hash, rules)
    try:
        record = await find_or_create_contact(
            session_factory, hubspot, claimed.user_id, new.email, new.contact_values, overwrite=False
        )

        async def also(database: AsyncSession, contact_id: str | None) -> None:
            await _use_up(database, pending.id, new.email)
            audit.record(database, "email_verified", claimed.user_id, origin=origin)
            record_new_user(database, claimed.user_id, contact_id, origin=origin)

        found = record.id if record else None
        linked = await activate(session_factory, claimed, found, email_verified=True, also=also)
    except BaseException:
        await release(session_factory, claimed)
        raise
    contact = contact_from_record(record) if record and linked else None
    return EmailVerifiedResponse(message="E-mail verified successfully", data=Registered(contact=contact))


async def _pending(session_factory: SessionFactory, token: str) -> PendingRegistration | None:
    async with session_factory() as database:
        return await mail_tokens.find_registration(database, token)


async def _use_up(database: AsyncSession, registration_id: UUID, email: str) -> None:
    """The address has its user: no other registration of it can become one."""
    used = delete(PendingRegistration).where(PendingRegistration.id == registration_id)
    if (await database.execute(used.returning(PendingRegistration.id))).first() is None:
        raise ApiError("invalid_link")  # used by another request since we looked
    await database.execute(delete(PendingRegistration).where(PendingRegistration.email == email))


async def _active_user(database: AsyncSession, email: str) -> User | None:
    query = select(User).where(User.email == email, User.status == "active")
    return (await database.execute(query)).scalar_one_or_none()


def _hours() -> int:
    return int(_LIFETIME.total_seconds() // 3600)
