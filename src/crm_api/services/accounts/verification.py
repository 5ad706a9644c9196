"""Registration with e-mail verification: the mailed link and the password create the user."""

import json
from uuid import uuid4

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from crm_api.errors import ApiError
from crm_api.hubspot import HubSpotClient
from crm_api.models import PendingRegistration, User, now
from crm_api.schemas.contacts import Contact
from crm_api.schemas.registration import AcceptedResponse, Registered, Registration
from crm_api.schemas.verification import EmailVerifiedResponse
from crm_api.services import audit
from crm_api.services.accounts import mail_tokens
from crm_api.services.accounts.context import AccountContext
from crm_api.services.accounts.emails import Messages, accepted_response
from crm_api.services.accounts.passwords import require_usable_password
from crm_api.services.accounts.registration import (
    NewUser,
    contact_properties,
    create_user,
    require_allowed,
    require_free,
)
from crm_api.services.idempotency import Attempt

_LIFETIME = mail_tokens.LIFETIMES["verify_email"]
_LIFETIME_HOURS = int(_LIFETIME.total_seconds() // 3600)


async def request_registration(
    context: AccountContext, hubspot: HubSpotClient, registration: Registration, *, attempt: Attempt
) -> AcceptedResponse:
    """Store a pending registration and send the verification link. Calls HubSpot only to check `properties`.

    Raises 403 `registration_closed` if the operator does not allow the address, 400 for a weak password or an invalid
    property. None of them depends on whether the address has a user.
    """
    require_allowed(registration.email, context.rules)
    password = require_usable_password(registration.password.get_secret_value())
    response = accepted_response()
    properties = await contact_properties(hubspot, registration, context.fields["contacts"])
    pending = PendingRegistration(
        **registration.model_dump(exclude={"password", "properties"}),
        properties=json.dumps(properties) if properties else None,
        password_hash=await context.passwords.hash(password),
        expires_at=now() + _LIFETIME,
    )
    async with context.session_factory.begin() as database:
        await mail_tokens.purge(database)
        database.add(pending)
        await database.flush()
        token = await mail_tokens.issue(database, "verify_email", registration_id=pending.id)
        user = await _registered_user(database, registration.email)
        audit.record(database, "registration_requested", user.id if user else None, origin=context.origin)
        await attempt.store_response(database, response)
    if user is not None:
        _mail_registered(context.messages, user)
    else:
        context.messages.verify_email(registration.email, token, hours=_LIFETIME_HOURS)
    return response


async def resend_link(context: AccountContext, email: str) -> AcceptedResponse:
    """Send another link for the latest registration of this address. Earlier links stay valid."""
    latest = (
        select(PendingRegistration)
        .where(PendingRegistration.email == email, PendingRegistration.expires_at > now())
        .order_by(PendingRegistration.created_at.desc())
        .limit(1)
    )
    async with context.session_factory.begin() as database:
        await mail_tokens.purge(database)
        user = await _registered_user(database, email)
        pending = (await database.execute(latest)).scalar_one_or_none()
        registration_id = pending.id if pending is not None else None
        token = await mail_tokens.issue(database, "verify_email", registration_id=registration_id)
        # Unknown addresses run the same statements, so that the response time does not identify them.
        extended = update(PendingRegistration).where(PendingRegistration.id == (registration_id or uuid4()))
        await database.execute(extended.values(expires_at=now() + _LIFETIME))
        audit.record(database, "verification_requested", user.id if user else None, origin=context.origin)
    if user is not None:
        _mail_registered(context.messages, user)
    elif pending is not None:
        context.messages.verify_email(email, token, hours=_LIFETIME_HOURS)
    else:
        context.messages.not_registered(email)
    return accepted_response()


async def verify_email(
    context: AccountContext, hubspot: HubSpotClient, token: str, password: str
) -> EmailVerifiedResponse:
    """Create the user of a pending registration. An existing contact is linked and keeps its values.

    Only success consumes the token: it stays valid after a wrong password, a HubSpot error or a crash.
    Raises 400 `invalid_link` for an invalid token or a wrong password, 403 `registration_closed` if the operator no
    longer allows the address, 409 `user_exists` if it has a user, and 400 if HubSpot refuses the registration's values.
    """
    async with context.session_factory() as database:
        pending = await mail_tokens.find_registration(database, token)
    is_correct, _ = await context.passwords.verify(password, pending.password_hash if pending else None)
    if pending is None or not is_correct:
        raise ApiError("invalid_link")
    require_allowed(pending.email, context.rules)
    contact = await complete_registration(context, hubspot, pending)
    return EmailVerifiedResponse(message=EmailVerifiedResponse.MESSAGE, data=Registered(contact=contact))


async def complete_registration(
    context: AccountContext, hubspot: HubSpotClient, pending: PendingRegistration
) -> Contact | None:
    """Create the user of a pending registration and return their contact, as `create_user` does.

    Raises 400 `invalid_link` if another request has completed the registration, and the errors of `create_user`.
    """
    await require_free(context.session_factory, pending.email)
    properties = json.loads(pending.properties or "{}")
    user = NewUser(pending.email, pending.firstname, pending.lastname, pending.phone, properties)

    async def delete_pending(database: AsyncSession, _contact: Contact | None) -> None:
        deleted = delete(PendingRegistration).where(PendingRegistration.id == pending.id)
        if (await database.execute(deleted.returning(PendingRegistration.id))).first() is None:
            raise ApiError("invalid_link")  # another request has consumed the link since the check
        # The address has a user now, so its other pending registrations cannot succeed.
        await database.execute(delete(PendingRegistration).where(PendingRegistration.email == user.email))

    try:
        return await create_user(
            context, hubspot, user, pending.password_hash, email_verified=True, in_transaction=delete_pending
        )
    except ApiError as error:
        if error.error_type.code == "validation_error":
            error.detail = f"{error.detail} The values are those of the registration: register again."
        raise


async def _registered_user(database: AsyncSession, email: str) -> User | None:
    query = select(User).where(User.email == email, User.status.in_(("active", "disabled")))
    return (await database.execute(query)).scalar_one_or_none()


def _mail_registered(messages: Messages, user: User) -> None:
    if user.status == "disabled":
        messages.account_disabled(user.email)
    else:
        messages.already_registered(user.email)
