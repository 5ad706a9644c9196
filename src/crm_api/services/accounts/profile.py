"""Registration without proof of the address, one's own profile, and the end of an account."""

from collections.abc import Mapping
from uuid import UUID

from sqlalchemy import delete, update
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from crm_api.errors import ApiError, invalid
from crm_api.hubspot import HubSpotClient
from crm_api.models import PendingRegistration, User
from crm_api.schemas.users import Profile, ProfileUpdate, Registered, Registration, RegistrationResponse
from crm_api.security.passwords import Passwords, is_common_password
from crm_api.services import audit
from crm_api.services.accounts.registration import (
    NewUser,
    RegistrationRules,
    activate,
    claim,
    refuse_if_taken,
    release,
    require_allowed,
)
from crm_api.services.audit import Origin
from crm_api.services.contact_link import ContactLinks
from crm_api.services.idempotency import Attempt, forget_keys
from crm_api.services.own_contact import find_or_create_contact, update_own_contact
from crm_api.services.properties.mapping import contact_from_record
from crm_api.services.records.recent_writes import note_write

Sessions = async_sessionmaker[AsyncSession]


async def register(
    sessions: Sessions,
    hubspot: HubSpotClient,
    passwords: Passwords,
    registration: Registration,
    rules: RegistrationRules,
    *,
    attempt: Attempt,
    origin: Origin = audit.SYSTEM,
) -> RegistrationResponse:
    """Create the user, and create their HubSpot contact or update it by e-mail.

    The user's row is committed first, with a lease; it counts as a user only when the contact is known. So
    whichever side fails, the same request can be sent again and ends with one user and one contact.
    Raises 409 `user_exists`, 403 `registration_closed`, 400.
    """
    require_allowed(registration.email, rules)
    password = usable_password(registration.password.get_secret_value())
    await refuse_if_taken(sessions, registration.email)
    new = new_user(registration)
    claimed = await claim(sessions, new, await passwords.hash(password), rules)
    try:
        record = await find_or_create_contact(
            sessions, hubspot, claimed.user_id, new.email, new.contact_values, overwrite=True
        )
        answer = RegistrationResponse(
            message="User registered successfully",
            data=Registered(contact=contact_from_record(record) if record else None),
        )

        async def also(database: AsyncSession, contact_id: str | None) -> None:
            if contact_id is None:
                answer.data.contact = None
            record_new_user(database, claimed.user_id, contact_id, origin=origin)
            if attempt.record is not None:
                await attempt.record(database, answer)

        await activate(sessions, claimed, record.id if record else None, email_verified=False, also=also)
    except BaseException:
        await release(sessions, claimed)
        raise
    return answer


def record_new_user(database: AsyncSession, user_id: UUID, contact_id: str | None, *, origin: Origin) -> None:
    """Write down that somebody has become a user, and of which contact."""
    audit.record(database, "registered", user_id, origin=origin)
    if contact_id is not None:
        audit.record(database, "contact_linked", user_id, origin=origin, detail=f"is {contact_id}")


def new_user(registration: Registration) -> NewUser:
    """Who registers, without the password."""
    return NewUser(
        email=registration.email,
        firstname=registration.firstname,
        lastname=registration.lastname,
        phone=registration.phone,
    )


def usable_password(password: str, *, field: str = "password", email: str | None = None) -> str:
    """The password, or a 400 where it is one of the first that anybody would try."""
    if is_common_password(password):
        raise invalid(field, "is among the most common ones")
    if email is not None and password.strip().lower() in {email, email.partition("@")[0]}:
        raise invalid(field, "must not be the e-mail address")
    return password


def profile(user: User) -> Profile:
    """What a user is told about themselves, from our database only."""
    return Profile(
        id=str(user.id),
        email=user.email,
        firstname=user.firstname,
        lastname=user.lastname,
        phone=user.phone,
        role=user.role,
        email_verified=user.email_verified,
        contact_id=user.contact_id,
    )


async def update_profile(
    sessions: Sessions,
    hubspot: HubSpotClient,
    user: User,
    change: ProfileUpdate,
    *,
    links: ContactLinks,
    origin: Origin,
) -> Profile:
    """Change names and phone: in HubSpot first, which may refuse them, then here. Sent again, it mends what failed."""
    changed: Mapping[str, str] = change.model_dump(exclude_unset=True)
    if not changed:
        return profile(user)
    await update_own_contact(hubspot, user, changed, links=links, origin=origin)
    if user.contact_id is not None:
        await note_write(sessions, user, "contacts", user.contact_id)
    statement = update(User).where(User.id == user.id).values(**changed).returning(User)
    async with sessions.begin() as database:
        stored = (await database.execute(statement)).scalar_one_or_none()
        if stored is None:  # the account was deleted meanwhile
            raise ApiError("invalid_token")
        detail = ", ".join(sorted(changed))
        audit.record(database, "profile_changed", user.id, origin=origin, detail=detail)
    return profile(stored)


async def delete_user(sessions: Sessions, user: User, *, secret: str, origin: Origin) -> None:
    """Delete the account with its sessions, links and answers; the contact and its records stay the company's."""
    async with sessions.begin() as database:
        await forget_keys(database, secret, (str(user.id), user.email))
        await database.execute(delete(User).where(User.id == user.id))
        await database.execute(delete(PendingRegistration).where(PendingRegistration.email == user.email))
        audit.record(database, "user_deleted", user.id, origin=origin)


async def set_role(sessions: Sessions, email: str, role: str, *, origin: Origin = audit.SYSTEM) -> bool:
    """Give the user of this address another role, which counts from their next request; False where there is none."""
    statement = update(User).where(User.email == email).values(role=role).returning(User.id)
    async with sessions.begin() as database:
        user_id = (await database.execute(statement)).scalar_one_or_none()
        if user_id is not None:
            audit.record(database, "role_changed", user_id, origin=origin, detail=f"is {role}")
    return user_id is not None
