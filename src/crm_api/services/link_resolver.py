"""Link resolution: the current contact of a user after contacts were merged, archived, restored or created again."""

from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from crm_api.database import SessionFactory
from crm_api.errors import ApiError
from crm_api.hubspot import CrmRecord, HubSpotClient
from crm_api.hubspot.errors import HubSpotNotFoundError
from crm_api.models import User, now
from crm_api.services import audit
from crm_api.services.audit import Origin

# A merge usually creates a contact with a new ID and lists the old IDs in this property.
# https://github.com/HubSpot/hubspot-api-nodejs/issues/6
MERGED_IDS: Final = "hs_merged_object_ids"
# The wait doubles with each lookup of a lost contact.
MIN_LOOKUP_INTERVAL: Final = timedelta(seconds=2)
MAX_LOOKUP_INTERVAL: Final = timedelta(minutes=5)


class ContactLinkResolver:
    """Resolver of contact links, used before every 404 and every write that depends on the caller's contact."""

    def __init__(self, session_factory: SessionFactory, *, utc_clock: Callable[[], datetime] = now) -> None:
        self._session_factory = session_factory
        self._now = utc_clock

    async def resolve(self, hubspot: HubSpotClient, user: User, *, origin: Origin) -> None:
        """Verify the user's link in HubSpot and correct it; None if the user has no contact.

        HubSpot returns a merged contact under its old ID with the new ID
        (https://developers.hubspot.com/changelog/updated-merge-functionality-for-contacts-and-companies). If the
        contact is missing, it is looked up by the user's e-mail address if that is verified. If that finds no contact
        either, the link is lost: the ID is kept and looked up again, with backoff. No contact is created.
        Raises 503 while the link is lost.
        """
        contact_id = user.contact_id or user.lost_contact_id
        if contact_id is None:
            return
        if user.contact_id is None and user.contact_lookup_at and user.contact_lookup_at > self._now():
            raise self._link_lost(user)
        contact = await _find(hubspot, contact_id)
        if contact is None and user.email_verified:
            contact = await _find(hubspot, user.email, id_property="email")
        if contact is None:
            await self._store_loss(user, contact_id, origin)
            raise self._link_lost(user)
        if not await self.is_own(user, contact):
            await self._store_link(user, contact, origin, is_new=contact_id not in merged_ids(contact))

    def is_long_lost(self, user: User) -> bool:
        """Return True if the contact has been missing for so long that it is probably deleted."""
        lost_at = user.contact_lost_at
        return lost_at is not None and self._now() - lost_at >= MAX_LOOKUP_INTERVAL

    async def is_own(self, user: User, contact: CrmRecord) -> bool:
        """Return True if this is the user's contact and no other user had a contact that was merged into it."""
        if contact.id != user.contact_id:
            return False
        ids = merged_ids(contact)
        return len(ids) == 1 or not await is_claimed_by_other_user(self._session_factory, ids, user.id)

    async def _store_link(self, user: User, contact: CrmRecord, origin: Origin, *, is_new: bool) -> None:
        """Link the contact to the user whose link is the earliest among the users of its merged contacts."""
        # The caller's request triggered the resolution, but the service changes the link.
        origin = replace(origin, actor="system")
        try:
            async with self._session_factory.begin() as database:
                query = select(User).where(or_(User.id == user.id, claims_of(merged_ids(contact))))
                # The order of the locks prevents deadlocks.
                query = query.order_by(User.id).with_for_update()
                claimants = {row.id: row for row in (await database.execute(query)).scalars()}
                current = claimants.get(user.id)
                if current is None:  # another request has deleted the account
                    raise ApiError("invalid_token")
                if _link_of(current) == _link_of(user):
                    # A contact found by e-mail address is a new link, so that every earlier link precedes it.
                    if is_new and len(claimants) == 1:
                        current.contact_linked_at = self._now()
                    earlier = [row for row in claimants.values() if row is not current]
                    owner = min(earlier if is_new and earlier else claimants.values(), key=_linked_at)
                    for row in claimants.values():
                        if row is not owner:
                            set_link(database, row, None, origin)
                    await (
                        database.flush()
                    )  # the old link must end before the unique contact ID is stored again
                    set_link(database, owner, contact.id, origin)
                _copy_link(current, user)
        except IntegrityError:
            raise self._link_lost(user) from None  # another user was linked to the contact at the same time

    async def _store_loss(self, user: User, contact_id: str, origin: Origin) -> None:
        """Store that the contact was not found, and when to look it up again."""
        found_missing_at = self._now()
        lost_at = user.contact_lost_at or found_missing_at
        wait = min(max(found_missing_at - lost_at, MIN_LOOKUP_INTERVAL), MAX_LOOKUP_INTERVAL)
        values: dict[str, Any] = {
            "contact_id": None,
            "lost_contact_id": contact_id,
            "contact_lost_at": lost_at,
            "contact_lookup_at": found_missing_at + wait,
        }
        statement = update(User).where(
            User.id == user.id,
            User.contact_id.is_not_distinct_from(user.contact_id),
            User.lost_contact_id.is_not_distinct_from(user.lost_contact_id),
        )
        async with self._session_factory.begin() as database:
            versioned = statement.values(**values, records_version=User.records_version + 1)
            changed = await database.execute(versioned.returning(User.id))
            if changed.first() is not None and user.contact_id is not None:
                origin, detail = replace(origin, actor="system"), f"was {contact_id}, is None"
                audit.record(database, "contact_link_lost", user.id, origin=origin, detail=detail)
        for name, value in values.items():
            setattr(user, name, value)

    def _link_lost(self, user: User) -> ApiError:
        lookup_at = user.contact_lookup_at or self._now()
        return ApiError(
            "hubspot_unavailable",
            "Your contact cannot be found in the CRM now; retry after Retry-After seconds, or ask the company to "
            "link it.",
            retry_after=(lookup_at - self._now()).total_seconds(),
        )


def merged_ids(contact: CrmRecord) -> frozenset[str]:
    """Return the contact's ID and the IDs of the contacts that were merged into it."""
    merged = (contact.get(MERGED_IDS) or "").split(";")
    return frozenset({contact.id, *filter(str.isdecimal, merged)})


async def is_claimed_by_other_user(
    session_factory: SessionFactory, contact_ids: Collection[str], user_id: UUID
) -> bool:
    """Return True if another user is linked, or was linked before the contact was missing, to one of these contacts."""
    query = select(User.id).where(claims_of(contact_ids), User.id != user_id)
    async with session_factory() as database:
        return (await database.execute(query)).first() is not None


def set_link(database: AsyncSession, user: User, contact_id: str | None, origin: Origin) -> None:
    """Set the user's link in this transaction; None ends it, also if it was lost."""
    before = user.contact_id or user.lost_contact_id
    if (user.contact_id, user.lost_contact_id) == (contact_id, None):
        return
    user.contact_id = contact_id
    user.records_version += 1
    user.lost_contact_id = user.contact_lost_at = user.contact_lookup_at = None
    event: audit.Event = "contact_linked" if contact_id else "contact_link_lost"
    audit.record(database, event, user.id, origin=origin, detail=f"was {before}, is {contact_id}")


async def _find(hubspot: HubSpotClient, value: str, *, id_property: str | None = None) -> CrmRecord | None:
    try:
        return await hubspot.contacts.get(
            value, properties=("hs_object_id", MERGED_IDS), id_property=id_property
        )
    except HubSpotNotFoundError:
        return None


def claims_of(contact_ids: Collection[str]) -> ColumnElement[bool]:
    """Return the condition for users who are or were linked to one of these contacts."""
    return or_(User.contact_id.in_(contact_ids), User.lost_contact_id.in_(contact_ids))


def _link_of(user: User) -> tuple[str | None, str | None]:
    return user.contact_id, user.lost_contact_id


def _linked_at(user: User) -> tuple[datetime, UUID]:
    return user.contact_linked_at or user.created_at, user.id


def _copy_link(source: User, target: User) -> None:
    for name in (
        "contact_id",
        "contact_linked_at",
        "lost_contact_id",
        "contact_lost_at",
        "contact_lookup_at",
        "records_version",
    ):
        setattr(target, name, getattr(source, name))
