"""Taking an address for a user in the making, and making the user: one user for an address, whatever fails."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID, uuid4

from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from crm_api.database import SessionFactory
from crm_api.errors import ApiError
from crm_api.hubspot import HubSpotClient
from crm_api.models import User, now
from crm_api.schemas.registration import Registered, Registration, RegistrationResponse
from crm_api.security.passwords import Passwords
from crm_api.services import audit
from crm_api.services.accounts.passwords import usable_password
from crm_api.services.audit import Origin
from crm_api.services.contact_link import find_or_create_contact
from crm_api.services.idempotency import Attempt
from crm_api.services.properties.mapping import contact_from_record


@dataclass(frozen=True, slots=True)
class RegistrationRules:
    """What the operator decides about registrations."""

    open: bool
    email_domains: frozenset[str]
    role: str
    lease_seconds: float
    """How long a registration may be under way: the request's deadline and some seconds."""


@dataclass(frozen=True, slots=True)
class NewUser:
    """Who is to become a user."""

    email: str
    firstname: str
    lastname: str
    phone: str

    @property
    def contact_values(self) -> dict[str, str]:
        """What their contact is to hold beside the address."""
        return {"firstname": self.firstname, "lastname": self.lastname, "phone": self.phone}


@dataclass(frozen=True, slots=True)
class Claim:
    """An address that is taken until the user is made or the lease ends."""

    user_id: UUID
    lease_id: UUID


def require_allowed(email: str, rules: RegistrationRules) -> None:
    """403 `registration_closed` where the operator does not let this address register."""
    domain = email.rpartition("@")[2]
    if not rules.open or (rules.email_domains and domain not in rules.email_domains):
        raise ApiError("registration_closed")


async def refuse_if_taken(session_factory: SessionFactory, email: str) -> None:
    """409 `user_exists` where the address has a user, or one in the making (then with `Retry-After`)."""
    async with session_factory() as database:
        user = (await database.execute(select(User).where(User.email == email))).scalar_one_or_none()
    if user is None:
        return
    if user.status != "registering":
        raise ApiError("user_exists")
    if user.lease_until is not None and user.lease_until >= now():
        raise ApiError("user_exists", retry_after=(user.lease_until - now()).total_seconds())


async def claim(
    session_factory: SessionFactory, new: NewUser, password_hash: str, rules: RegistrationRules
) -> Claim:
    """Take the address: a new row, or one whose registration came to nothing. 409 where it is taken."""
    user_id, lease_id = uuid4(), uuid4()
    values = new.contact_values | {
        "password_hash": password_hash,
        "role": rules.role,
        "lease_id": lease_id,
        "lease_until": now() + timedelta(seconds=rules.lease_seconds),
    }
    try:
        async with session_factory.begin() as database:
            database.add(User(id=user_id, email=new.email, status="registering", **values))
        return Claim(user_id, lease_id)
    except IntegrityError:
        pass
    take_over = (
        update(User)
        .where(User.email == new.email, User.status == "registering", User.lease_until < now())
        .values(**values)
        .returning(User.id)
    )
    async with session_factory.begin() as database:
        taken = (await database.execute(take_over)).scalar_one_or_none()
    if taken is None:
        # Taken since we looked: by a user, or by a registration that may yet come to nothing.
        await refuse_if_taken(session_factory, new.email)
        raise ApiError("user_exists", retry_after=1)
    return Claim(taken, lease_id)


async def activate(
    session_factory: SessionFactory,
    claimed: Claim,
    contact_id: str | None,
    *,
    email_verified: bool,
    also: Callable[[AsyncSession, str | None], Awaitable[None]],
) -> str | None:
    """Make the user active, and do `also` in the same transaction, so that a death in between cannot part the two.

    Returns the contact that the user is linked to: None where another user was linked to it since we looked.
    Raises 409 `user_exists` where the lease ended and somebody else took the registration over.
    """

    async def finish(contact_id: str | None) -> None:
        # The lease shows that nobody has taken the registration over meanwhile.
        statement = (
            update(User)
            .where(User.id == claimed.user_id, User.lease_id == claimed.lease_id)
            .values(
                status="active",
                contact_id=contact_id,
                email_verified=email_verified,
                lease_id=None,
                lease_until=None,
            )
            .returning(User.id)
        )
        async with session_factory.begin() as database:
            if (await database.execute(statement)).first() is None:
                raise ApiError("user_exists", retry_after=1)
            await also(database, contact_id)

    try:
        await finish(contact_id)
    except IntegrityError:
        if contact_id is None:
            raise
        # The earlier link stays.
        await finish(None)
        return None
    return contact_id


async def release(session_factory: SessionFactory, claimed: Claim) -> None:
    """Give the address back, so that the next attempt need not wait for the lease to end."""
    statement = delete(User).where(
        User.id == claimed.user_id, User.lease_id == claimed.lease_id, User.status == "registering"
    )
    async with session_factory.begin() as database:
        await database.execute(statement)


async def register(
    session_factory: SessionFactory,
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
    await refuse_if_taken(session_factory, registration.email)
    new = new_user(registration)
    claimed = await claim(session_factory, new, await passwords.hash(password), rules)
    try:
        record = await find_or_create_contact(
            session_factory, hubspot, claimed.user_id, new.email, new.contact_values, overwrite=True
        )
        answer = RegistrationResponse(
            message="User registered successfully",
            data=Registered(contact=contact_from_record(record) if record else None),
        )

        async def also(database: AsyncSession, contact_id: str | None) -> None:
            if contact_id is None:
                answer.data.contact = None
            record_new_user(database, claimed.user_id, contact_id, origin=origin)
            if attempt.store_response is not None:
                await attempt.store_response(database, answer)

        await activate(
            session_factory, claimed, record.id if record else None, email_verified=False, also=also
        )
    except BaseException:
        await release(session_factory, claimed)
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
