"""Registration: reserve the e-mail address, create or link the HubSpot contact, activate the user."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID, uuid4

from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from crm_api.database import SessionFactory
from crm_api.errors import ApiError
from crm_api.hubspot import HubSpotClient
from crm_api.models import User, now
from crm_api.schemas.contacts import Contact, ContactUpdate
from crm_api.schemas.registration import Registered, Registration, RegistrationResponse
from crm_api.services import audit
from crm_api.services.accounts.context import AccountContext, AccountRules
from crm_api.services.accounts.passwords import require_usable_password
from crm_api.services.contact_link import PERSONAL_FIELDS, find_or_create_contact
from crm_api.services.idempotency import Attempt
from crm_api.services.properties.bodies import body_to_properties
from crm_api.services.properties.fields import ObjectFields
from crm_api.services.properties.mapping import from_record
from crm_api.services.properties.values import require_valid

InTransaction = Callable[[AsyncSession, Contact | None], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class NewUser:
    """A person to register, without the password."""

    email: str = field(repr=False)
    firstname: str = field(repr=False)
    lastname: str = field(repr=False)
    phone: str = field(repr=False)
    properties: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Other values of the contact, in HubSpot's format."""

    @property
    def columns(self) -> dict[str, str]:
        """The values that the user's row has, too."""
        return {name: getattr(self, name) for name in ("email", *PERSONAL_FIELDS)}


@dataclass(frozen=True, slots=True)
class Reservation:
    """An e-mail address that this registration holds until its lease ends."""

    user_id: UUID
    lease_id: UUID


async def register(
    context: AccountContext, hubspot: HubSpotClient, registration: Registration, *, attempt: Attempt
) -> RegistrationResponse:
    """Create the user, and create their HubSpot contact or update the one with their e-mail address.

    Raises 409 `user_exists` for a registered address, 403 `registration_closed` if the operator does not allow it,
    400 for a weak password, for properties that customers may not write, and if HubSpot refuses a value.
    """
    require_allowed(registration.email, context.rules)
    password = require_usable_password(registration.password.get_secret_value())
    await require_free(context.session_factory, registration.email)
    properties = await contact_properties(hubspot, registration, context.fields["contacts"])
    new = NewUser(**registration.model_dump(exclude={"password", "properties"}), properties=properties)
    response = RegistrationResponse(message=RegistrationResponse.MESSAGE, data=Registered(contact=None))

    async def store_response(database: AsyncSession, contact: Contact | None) -> None:
        response.data.contact = contact
        await attempt.store_response(database, response)

    password_hash = await context.passwords.hash(password)
    await create_user(
        context, hubspot, new, password_hash, email_verified=False, in_transaction=store_response
    )
    return response


async def contact_properties(
    hubspot: HubSpotClient, registration: Registration, fields: ObjectFields
) -> dict[str, str]:
    """Return the other properties of the new contact in HubSpot's format; the definitions are read if there are any.

    Raises a 400 that names every property that customers may not write and every invalid value.
    """
    body = ContactUpdate(properties=registration.properties)
    properties = body_to_properties(body, fields, role="customer")
    return await require_valid(hubspot, fields, {name: value for name, value in properties.items() if value})


def require_allowed(email: str, rules: AccountRules) -> None:
    """Raise 403 `registration_closed` if the operator does not allow this address to register."""
    domain = email.rpartition("@")[2]
    if not rules.registration_open or (rules.email_domains and domain not in rules.email_domains):
        raise ApiError("registration_closed")


async def require_free(session_factory: SessionFactory, email: str) -> None:
    """Raise 409 `user_exists` if the address has a user or a registration in progress (with `Retry-After`)."""
    async with session_factory() as database:
        user = (await database.execute(select(User).where(User.email == email))).scalar_one_or_none()
    if user is None:
        return
    if user.status != "registering":
        raise ApiError("user_exists")
    if user.lease_until is not None and user.lease_until >= now():
        raise ApiError("user_exists", retry_after=(user.lease_until - now()).total_seconds())


async def create_user(
    context: AccountContext,
    hubspot: HubSpotClient,
    new: NewUser,
    password_hash: str,
    *,
    email_verified: bool,
    in_transaction: InTransaction,
) -> Contact | None:
    """Create the user and return their contact, None if another user is linked to the contact with this address.

    The user's row is committed with a lease before the first HubSpot call and activated after the last, so the same
    request can be retried after any failure and ends with one user and one contact. `in_transaction` runs in the
    transaction that activates the user. Only an unverified registration overwrites an existing contact's values.
    Raises 409 `user_exists` if the address has a user or a registration in progress.
    """
    reservation = await reserve(context, new, password_hash)
    try:
        values = {name: value for name, value in new.columns.items() if name != "email"}
        record = await find_or_create_contact(
            context.session_factory,
            hubspot,
            reservation.user_id,
            new.email,
            {**values, **new.properties},
            fields=context.fields["contacts"],
            overwrite=not email_verified,
        )
        contact = from_record(Contact, record, context.fields) if record else None
        try:
            await _activate(context, reservation, contact, email_verified, in_transaction)
        except IntegrityError:
            if contact is None:
                raise
            # Another user was linked to the contact since the check: that link stays.
            contact = None
            await _activate(context, reservation, None, email_verified, in_transaction)
    except BaseException:
        await _release(context.session_factory, reservation)
        raise
    return contact


async def reserve(context: AccountContext, new: NewUser, password_hash: str) -> Reservation:
    """Insert the user's row, or take over the row of a failed registration. Raises 409 `user_exists` otherwise."""
    reservation = Reservation(uuid4(), uuid4())
    values = new.columns | {
        "password_hash": password_hash,
        "role": context.rules.new_user_role,
        "lease_id": reservation.lease_id,
        "lease_until": now() + timedelta(seconds=context.rules.lease_seconds),
    }
    try:
        async with context.session_factory.begin() as database:
            database.add(User(id=reservation.user_id, status="registering", **values))
        return reservation
    except IntegrityError:
        pass
    take_over = (
        update(User)
        .where(User.email == new.email, User.status == "registering", User.lease_until < now())
        .values(**values)
        .returning(User.id)
    )
    async with context.session_factory.begin() as database:
        user_id = (await database.execute(take_over)).scalar_one_or_none()
    if user_id is None:
        await require_free(context.session_factory, new.email)
        # The other registration has failed since the update, so the address is free again.
        raise ApiError("user_exists", retry_after=1)
    return Reservation(user_id, reservation.lease_id)


async def _activate(
    context: AccountContext,
    reservation: Reservation,
    contact: Contact | None,
    email_verified: bool,
    in_transaction: InTransaction,
) -> None:
    contact_id = contact.id if contact else None
    # The lease ID changes if another request takes over the registration.
    statement = (
        update(User)
        .where(User.id == reservation.user_id, User.lease_id == reservation.lease_id)
        .values(
            status="active",
            contact_id=contact_id,
            records_version=User.records_version + 1,
            email_verified=email_verified,
            lease_id=None,
            lease_until=None,
        )
        .returning(User.id)
    )
    async with context.session_factory.begin() as database:
        if (await database.execute(statement)).first() is None:
            raise ApiError("user_exists", retry_after=1)
        await in_transaction(database, contact)
        if email_verified:
            audit.record(database, "email_verified", reservation.user_id, origin=context.origin)
        audit.record(database, "registered", reservation.user_id, origin=context.origin)
        if contact_id is not None:
            detail = f"is {contact_id}"
            audit.record(
                database, "contact_linked", reservation.user_id, origin=context.origin, detail=detail
            )


async def _release(session_factory: SessionFactory, reservation: Reservation) -> None:
    """Delete the row, so that the next attempt need not wait for the lease to end."""
    statement = delete(User).where(
        User.id == reservation.user_id, User.lease_id == reservation.lease_id, User.status == "registering"
    )
    async with session_factory.begin() as database:
        await database.execute(statement)
