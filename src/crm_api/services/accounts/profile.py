"""The caller's own profile: read, update, delete; and the role, which the operator sets."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy import delete, update

from crm_api.database import SessionFactory
from crm_api.errors import ApiError
from crm_api.hubspot import HubSpotClient
from crm_api.models import PendingRegistration, User
from crm_api.schemas.accounts import CustomerOperation
from crm_api.schemas.profile import Profile, ProfileUpdate
from crm_api.services import audit
from crm_api.services.accounts.context import AccountContext, selects
from crm_api.services.audit import Origin
from crm_api.services.contact_link import update_own_contact
from crm_api.services.idempotency import delete_keys
from crm_api.services.records.context import allowed_operations
from crm_api.services.records.recent_writes import note_write


def profile_of(user: User, customer_operations: Sequence[CustomerOperation]) -> Profile:
    """Return the user's profile from the service's database."""
    return Profile(
        id=str(user.id),
        email=user.email,
        firstname=user.firstname,
        lastname=user.lastname,
        phone=user.phone,
        role="staff" if user.role == "staff" else "customer",
        email_verified=user.email_verified,
        contact_id=user.contact_id,
        operations=allowed_operations(user.role, customer_operations),
    )


async def update_profile(
    context: AccountContext, hubspot: HubSpotClient, user: User, changes: ProfileUpdate
) -> Profile:
    """Update names and phone in HubSpot and then in the database, so that a retry repairs a partial update."""
    changed: Mapping[str, str] = changes.model_dump(exclude_unset=True)
    if not changed:
        return profile_of(user, context.rules.customer_operations)
    await update_own_contact(
        hubspot,
        user,
        changed,
        fields=context.fields["contacts"],
        links=context.links,
        versions=context.versions,
        origin=context.origin,
    )
    if user.contact_id is not None:
        await note_write(context.session_factory, user, "contacts", user.contact_id)
    statement = update(User).where(User.id == user.id).values(**changed).returning(User)
    async with context.session_factory.begin() as database:
        stored = (await database.execute(statement)).scalar_one_or_none()
        if stored is None:  # another request has deleted the account
            raise ApiError("invalid_token")
        detail = ", ".join(sorted(changed))
        audit.record(database, "profile_changed", user.id, origin=context.origin, detail=detail)
    return profile_of(stored, context.rules.customer_operations)


async def delete_user(context: AccountContext, user: User) -> None:
    """Delete the user with sessions, tokens and stored responses. The HubSpot contact and its records remain."""
    async with context.session_factory.begin() as database:
        # The user is deleted first: a create that stores its key waits for that and then finds no user.
        await database.execute(delete(User).where(User.id == user.id))
        await delete_keys(database, context.rules.secret_keys, (str(user.id), user.email))
        await database.execute(delete(PendingRegistration).where(PendingRegistration.email == user.email))
        audit.record(database, "user_deleted", user.id, origin=context.origin)
    if context.delete_cached_reads is not None:
        await context.delete_cached_reads(str(user.id))


async def set_role(
    session_factory: SessionFactory, user: UUID | str, role: str, *, origin: Origin = audit.SYSTEM
) -> bool:
    """Set the user's role, effective from their next request. Return False if there is no such user."""
    # Writes by staff do not increment their own version, so responses that were cached before a promotion must not be
    # found after a demotion.
    values = {"role": role, "records_version": User.records_version + 1}
    statement = update(User).where(selects(user)).values(**values).returning(User.id)
    async with session_factory.begin() as database:
        user_id = (await database.execute(statement)).scalar_one_or_none()
        if user_id is not None:
            audit.record(database, "role_changed", user_id, origin=origin, detail=f"is {role}")
    return user_id is not None
