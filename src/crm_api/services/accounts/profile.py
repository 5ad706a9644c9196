"""The caller's own profile: read, change, delete."""

from collections.abc import Mapping

from sqlalchemy import delete, update

from crm_api.database import SessionFactory
from crm_api.errors import ApiError
from crm_api.hubspot import HubSpotClient
from crm_api.models import PendingRegistration, User
from crm_api.schemas.profile import Profile, ProfileUpdate
from crm_api.services import audit
from crm_api.services.audit import Origin
from crm_api.services.contact_link import ContactLinkResolver, update_own_contact
from crm_api.services.idempotency import forget_keys
from crm_api.services.records.recent_writes import note_write


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
    session_factory: SessionFactory,
    hubspot: HubSpotClient,
    user: User,
    change: ProfileUpdate,
    *,
    links: ContactLinkResolver,
    origin: Origin,
) -> Profile:
    """Change names and phone: in HubSpot first, which may refuse them, then here. Sent again, it mends what failed."""
    changed: Mapping[str, str] = change.model_dump(exclude_unset=True)
    if not changed:
        return profile(user)
    await update_own_contact(hubspot, user, changed, links=links, origin=origin)
    if user.contact_id is not None:
        await note_write(session_factory, user, "contacts", user.contact_id)
    statement = update(User).where(User.id == user.id).values(**changed).returning(User)
    async with session_factory.begin() as database:
        stored = (await database.execute(statement)).scalar_one_or_none()
        if stored is None:  # the account was deleted meanwhile
            raise ApiError("invalid_token")
        detail = ", ".join(sorted(changed))
        audit.record(database, "profile_changed", user.id, origin=origin, detail=detail)
    return profile(stored)


async def delete_user(session_factory: SessionFactory, user: User, *, secret: str, origin: Origin) -> None:
    """Delete the account with its sessions, links and answers; the contact and its records stay the company's."""
    async with session_factory.begin() as database:
        await forget_keys(database, secret, (str(user.id), user.email))
        await database.execute(delete(User).where(User.id == user.id))
        await database.execute(delete(PendingRegistration).where(PendingRegistration.email == user.email))
        audit.record(database, "user_deleted", user.id, origin=origin)


async def set_role(
    session_factory: SessionFactory, email: str, role: str, *, origin: Origin = audit.SYSTEM
) -> bool:
    """Give the user of this address another role, which counts from their next request; False where there is none."""
    statement = update(User).where(User.email == email).values(role=role).returning(User.id)
    async with session_factory.begin() as database:
        user_id = (await database.execute(statement)).scalar_one_or_none()
        if user_id is not None:
            audit.record(database, "role_changed", user_id, origin=origin, detail=f"is {role}")
    return user_id is not None
