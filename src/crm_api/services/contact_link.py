"""The link from a user to a HubSpot contact: created at registration, resolved again after merges and deletions."""

import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from crm_api.database import SessionFactory
from crm_api.hubspot import CrmRecord, HubSpotClient, UniqueValue
from crm_api.hubspot.errors import HubSpotConflictError, HubSpotNotFoundError, HubSpotValidationError
from crm_api.models import User
from crm_api.services import audit
from crm_api.services.audit import Origin
from crm_api.services.properties.mapping import CONTACT_PROPERTIES, map_validation_error

# Every 404 triggers a link check, so limit it to one per user per minute.
MIN_CHECK_INTERVAL_SECONDS = 60.0
MAX_CHECK_TIMES = 10_000
# A merge usually creates a contact with a new ID and lists the old IDs in this property.
# https://github.com/HubSpot/hubspot-api-nodejs/issues/6
MERGED_IDS = "hs_merged_object_ids"
_READ_PROPERTIES = (*CONTACT_PROPERTIES, MERGED_IDS)
PERSONAL_FIELDS = ("firstname", "lastname", "phone")


class ContactLinkResolver:
    """Resolver of links to contacts that were merged or deleted, at most once a minute for each user."""

    def __init__(
        self, session_factory: SessionFactory, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._session_factory = session_factory
        self._clock = clock
        self._checked_at: OrderedDict[UUID, float] = OrderedDict()

    async def relink(self, hubspot: HubSpotClient, user: User, *, origin: Origin) -> bool:
        """Resolve the user's link again. Return True if the user is linked to another contact now.

        HubSpot returns a merged contact under its old ID with the new ID
        (https://developers.hubspot.com/changelog/updated-merge-functionality-for-contacts-and-companies). A deleted
        contact is looked up by the user's e-mail address if it is verified. If that finds no contact, or the contact
        of another user, the link becomes null. No contact is created.
        """
        if user.contact_id is None or not self._is_check_due(user.id):
            return False
        contact_id = await self._resolve(hubspot, user, user.contact_id)
        if contact_id == user.contact_id:
            return False
        try:
            await self._store(user, contact_id, origin)
        except IntegrityError:
            # Another user is linked to the surviving contact: that link stays.
            contact_id = None
            await self._store(user, None, origin)
        user.contact_id = contact_id
        return contact_id is not None

    def _is_check_due(self, user_id: UUID) -> bool:
        checked_at = self._clock()
        if checked_at - self._checked_at.get(user_id, float("-inf")) < MIN_CHECK_INTERVAL_SECONDS:
            return False
        self._checked_at[user_id] = checked_at
        self._checked_at.move_to_end(user_id)
        while len(self._checked_at) > MAX_CHECK_TIMES:
            self._checked_at.popitem(last=False)
        return True

    async def _resolve(self, hubspot: HubSpotClient, user: User, contact_id: str) -> str | None:
        try:
            return (await hubspot.contacts.get(contact_id, properties=("hs_object_id",))).id
        except HubSpotNotFoundError:
            pass
        if not user.email_verified:
            return None
        try:
            contact = await hubspot.contacts.get(
                user.email, properties=("hs_object_id", MERGED_IDS), id_property="email"
            )
        except HubSpotNotFoundError:
            return None
        if await _is_linked_to_other_user(self._session_factory, merged_ids(contact), user.id):
            return None
        return contact.id

    async def _store(self, user: User, contact_id: str | None, origin: Origin) -> None:
        statement = update(User).where(User.id == user.id, User.contact_id == user.contact_id)
        async with self._session_factory.begin() as database:
            changed = await database.execute(statement.values(contact_id=contact_id).returning(User.id))
            if changed.first() is not None:
                event: audit.Event = "contact_linked" if contact_id else "contact_link_lost"
                detail = f"was {user.contact_id}, is {contact_id}"
                # The caller's request triggered the check, but the service changes the link.
                origin = replace(origin, actor="system")
                audit.record(database, event, user.id, origin=origin, detail=detail)


def merged_ids(contact: CrmRecord) -> frozenset[str]:
    """Return the contact's ID and the IDs of the contacts that were merged into it."""
    merged = (contact.get(MERGED_IDS) or "").split(";")
    return frozenset({contact.id, *filter(None, merged)})


async def find_or_create_contact(
    session_factory: SessionFactory,
    hubspot: HubSpotClient,
    user_id: UUID,
    email: str,
    values: Mapping[str, str],
    *,
    overwrite: bool,
) -> CrmRecord | None:
    """Return the contact with this address, None if another user is linked to it.

    An existing contact gets the values of its empty properties, or all values if `overwrite` is set.
    """
    try:
        return await _create(hubspot, email, values)
    except HubSpotConflictError as conflict:
        record = await _get_existing(hubspot, email, conflict.existing_id)
    if await _is_linked_to_other_user(session_factory, merged_ids(record), user_id):
        return None
    changed = {
        name: value
        for name, value in values.items()
        if record.get(name) is None or (overwrite and record.get(name) != value)
    }
    if not changed:
        return record
    updated = await _update(hubspot, record.id, changed)
    # HubSpot's response to an update has only the changed properties and some of its own.
    return updated.model_copy(update={"properties": {**record.properties, **updated.properties}})


async def update_own_contact(
    hubspot: HubSpotClient,
    user: User,
    changed: Mapping[str, str],
    *,
    links: ContactLinkResolver,
    origin: Origin,
) -> None:
    """Update the user's contact, if there is one."""
    if user.contact_id is None:
        return
    try:
        await _update(hubspot, user.contact_id, changed)
    except HubSpotNotFoundError:
        if await links.relink(hubspot, user, origin=origin) and user.contact_id is not None:
            await _update(hubspot, user.contact_id, changed)


async def _create(hubspot: HubSpotClient, email: str, values: Mapping[str, str]) -> CrmRecord:
    try:
        return await hubspot.contacts.create(
            {"email": email, **values},
            unique=UniqueValue("email", email),
            lookup_properties=_READ_PROPERTIES,
        )
    except HubSpotValidationError as error:
        if refusal := map_validation_error(error, ("email", *PERSONAL_FIELDS)):
            raise refusal from error
        raise


async def _update(hubspot: HubSpotClient, contact_id: str, changed: Mapping[str, str]) -> CrmRecord:
    try:
        return await hubspot.contacts.update(contact_id, changed)
    except HubSpotValidationError as error:
        if refusal := map_validation_error(error, PERSONAL_FIELDS):
            raise refusal from error
        raise


async def _get_existing(hubspot: HubSpotClient, email: str, existing_id: str | None) -> CrmRecord:
    if existing_id is not None:
        try:
            return await hubspot.contacts.get(existing_id, properties=_READ_PROPERTIES)
        except HubSpotNotFoundError:
            pass  # the contact was merged or archived after the conflict
    return await hubspot.contacts.get(email, properties=_READ_PROPERTIES, id_property="email")


async def _is_linked_to_other_user(
    session_factory: SessionFactory, contact_ids: Collection[str], user_id: UUID
) -> bool:
    query = select(User.id).where(User.contact_id.in_(contact_ids), User.id != user_id)
    async with session_factory() as database:
        return (await database.execute(query)).first() is not None
