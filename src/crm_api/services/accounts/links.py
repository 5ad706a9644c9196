"""Contact links that the operator sets or ends."""

from uuid import UUID

from sqlalchemy import or_, select

from crm_api.database import SessionFactory
from crm_api.hubspot import HubSpotClient
from crm_api.hubspot.errors import HubSpotNotFoundError
from crm_api.models import User, now
from crm_api.services.accounts.context import selects
from crm_api.services.audit import Origin
from crm_api.services.link_resolver import MERGED_IDS, claims_of, merged_ids, set_link


class LinkRefusedError(Exception):
    """Link that the operator cannot set, with the reason."""


async def link_contact(
    session_factory: SessionFactory,
    hubspot: HubSpotClient,
    user_key: UUID | str,
    contact_id: str,
    *,
    origin: Origin,
) -> str:
    """Link the user with this ID or address to the contact and return its current ID. Raises `LinkRefusedError`.

    Other users' lost links to the contact end; a user who is linked to it must be unlinked first.
    """
    try:
        contact = await hubspot.contacts.get(contact_id, properties=("hs_object_id", MERGED_IDS))
    except HubSpotNotFoundError:
        raise LinkRefusedError(f"HubSpot has no contact {contact_id}") from None
    async with session_factory.begin() as database:
        query = select(User).where(or_(selects(user_key), claims_of(merged_ids(contact))))
        rows = (await database.execute(query.order_by(User.id).with_for_update())).scalars().all()
        user = next(
            (row for row in rows if user_key in (row.id, row.email) and row.status != "registering"), None
        )
        if user is None:
            raise LinkRefusedError("there is no user with this e-mail address or ID")
        for other in rows:
            if other is user:
                continue
            if other.contact_id is not None:
                raise LinkRefusedError(
                    f"another user is linked to contact {other.contact_id}; unlink that user first"
                )
            set_link(database, other, None, origin)
        if user.contact_id != contact.id:
            user.contact_linked_at = now()
        set_link(database, user, contact.id, origin)
    return contact.id


async def link_by_email(session_factory: SessionFactory, hubspot: HubSpotClient, *, origin: Origin) -> int:
    """Link users without a contact to the contact with their verified address. Return how many have none."""
    query = select(User.email).where(
        User.status == "active",
        User.email_verified,
        User.contact_id.is_(None),
        User.lost_contact_id.is_(None),
    )
    async with session_factory() as database:
        emails = (await database.execute(query.order_by(User.created_at))).scalars().all()
    without_contact = 0
    for email in emails:
        try:
            contact = await hubspot.contacts.get(email, properties=("hs_object_id",), id_property="email")
            await link_contact(session_factory, hubspot, email, contact.id, origin=origin)
        except (HubSpotNotFoundError, LinkRefusedError):
            without_contact += 1
    return without_contact


async def unlink_contact(session_factory: SessionFactory, user_key: UUID | str, *, origin: Origin) -> bool:
    """End the user's link, also if it is lost. Return False if there is no such user."""
    async with session_factory.begin() as database:
        query = select(User).where(selects(user_key)).with_for_update()
        user = (await database.execute(query)).scalar_one_or_none()
        if user is not None:
            set_link(database, user, None, origin)
    return user is not None
