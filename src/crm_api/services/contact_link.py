"""The link from a user to a HubSpot contact, and how it heals when the contact is merged or made anew."""

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

# A missing record sends everybody here who guesses ids; one look in so many seconds is enough for each.
LOOK_AGAIN_SECONDS = 60.0
REMEMBER_AT_MOST = 10_000
# A merge normally makes a contact with a new id; the old ones, of which users may still be linked to, stand here.
# https://github.com/HubSpot/hubspot-api-nodejs/issues/6
MERGED_IDS = "hs_merged_object_ids"


def ids_of(contact: CrmRecord) -> frozenset[str]:
    """The contact's id and those of the contacts that were merged into it."""
    merged = (contact.get(MERGED_IDS) or "").split(";")
    return frozenset({contact.id, *filter(None, merged)})


class ContactLinkResolver:
    """Re-resolves links that lead nowhere, each user's at most once a minute."""

    def __init__(
        self, session_factory: SessionFactory, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._session_factory = session_factory
        self._clock = clock
        self._looked: OrderedDict[UUID, float] = OrderedDict()

    async def relink(self, hubspot: HubSpotClient, user: User, *, origin: Origin) -> bool:
        """Look again whom the user is linked to, and say whether that is somebody else now.

        A merged contact answers to its old id with its new one
        (https://developers.hubspot.com/changelog/updated-merge-functionality-for-contacts-and-companies); one that
        is gone is looked for by the e-mail address, if the user has shown that it is theirs. Where nobody is found,
        or somebody who is another user's, the link becomes null; nothing is created.
        """
        if user.contact_id is None or not self._may_look(user.id):
            return False
        found = await self._resolve(hubspot, user, user.contact_id)
        if found is not None and found.id == user.contact_id:
            return False
        user.contact_id = await self._relink(user, found.id if found is not None else None, origin)
        return user.contact_id is not None

    def _may_look(self, user_id: UUID) -> bool:
        moment = self._clock()
        if moment - self._looked.get(user_id, float("-inf")) < LOOK_AGAIN_SECONDS:
            return False
        self._looked[user_id] = moment
        self._looked.move_to_end(user_id)
        while len(self._looked) > REMEMBER_AT_MOST:
            self._looked.popitem(last=False)
        return True

    async def _resolve(self, hubspot: HubSpotClient, user: User, contact_id: str) -> CrmRecord | None:
        try:
            return await hubspot.contacts.get(contact_id, properties=("hs_object_id",))
        except HubSpotNotFoundError:
            pass
        if not user.email_verified:
            return None
        try:
            found = await hubspot.contacts.get(
                user.email, properties=("hs_object_id", MERGED_IDS), id_property="email"
            )
        except HubSpotNotFoundError:
            return None
        return None if await self._is_anothers(user, ids_of(found)) else found

    async def _is_anothers(self, user: User, contact_ids: Collection[str]) -> bool:
        """Whether somebody else is linked to one of the ids, perhaps one that was merged away: that link stays."""
        query = select(User.id).where(User.contact_id.in_(contact_ids), User.id != user.id)
        async with self._session_factory() as database:
            return (await database.execute(query)).first() is not None

    async def _relink(self, user: User, contact_id: str | None, origin: Origin) -> str | None:
        try:
            await self._store(user, contact_id, origin)
        except IntegrityError:
            # Another user is linked to the surviving contact: the earlier link stays.
            await self._store(user, None, origin)
            return None
        return contact_id

    async def _store(self, user: User, contact_id: str | None, origin: Origin) -> None:
        # Nobody asked for it, but a request made us look.
        ours = replace(origin, actor="system")
        statement = update(User).where(User.id == user.id, User.contact_id == user.contact_id)
        async with self._session_factory.begin() as database:
            changed = await database.execute(statement.values(contact_id=contact_id).returning(User.id))
            if changed.first() is not None:
                event: audit.Event = "contact_linked" if contact_id else "contact_link_lost"
                detail = f"was {user.contact_id}, is {contact_id}"
                audit.record(database, event, user.id, origin=ours, detail=detail)


_READ = (*CONTACT_PROPERTIES, MERGED_IDS)
PERSONAL_FIELDS = ("firstname", "lastname", "phone")


async def find_or_create_contact(
    session_factory: SessionFactory,
    hubspot: HubSpotClient,
    user_id: UUID,
    email: str,
    wanted: Mapping[str, str],
    *,
    overwrite: bool,
) -> CrmRecord | None:
    """The contact with this address; None where it is another user's (their earlier link stays).

    An existing contact gets the wanted values where it has none, and with `overwrite` all of them.
    """
    try:
        return await _create(hubspot, email, wanted)
    except HubSpotConflictError as conflict:
        record = await _existing(hubspot, email, conflict.existing_id)
    if await _linked_to_another(session_factory, ids_of(record), user_id):
        return None
    changed = {
        name: value
        for name, value in wanted.items()
        if record.get(name) is None or (overwrite and record.get(name) != value)
    }
    if not changed:
        return record
    updated = await _update(hubspot, record.id, changed)
    # The answer to an update holds only what changed and some of HubSpot's own.
    return updated.model_copy(update={"properties": {**record.properties, **updated.properties}})


async def update_own_contact(
    hubspot: HubSpotClient,
    user: User,
    changed: Mapping[str, str],
    *,
    links: ContactLinkResolver,
    origin: Origin,
) -> None:
    """Write what somebody changed about themselves; where they have no contact any more, there is nothing to write."""
    if user.contact_id is None:
        return
    try:
        await _update(hubspot, user.contact_id, changed)
    except HubSpotNotFoundError:
        if await links.relink(hubspot, user, origin=origin) and user.contact_id is not None:
            await _update(hubspot, user.contact_id, changed)


async def _create(hubspot: HubSpotClient, email: str, wanted: Mapping[str, str]) -> CrmRecord:
    try:
        return await hubspot.contacts.create(
            {"email": email, **wanted}, unique=UniqueValue("email", email), lookup_properties=_READ
        )
    except HubSpotValidationError as error:
        raise map_validation_error(error, ("email", *PERSONAL_FIELDS)) or error from error


async def _update(hubspot: HubSpotClient, contact_id: str, changed: Mapping[str, str]) -> CrmRecord:
    try:
        return await hubspot.contacts.update(contact_id, changed)
    except HubSpotValidationError as error:
        raise map_validation_error(error, PERSONAL_FIELDS) or error from error


async def _existing(hubspot: HubSpotClient, email: str, existing_id: str | None) -> CrmRecord:
    if existing_id is not None:
        try:
            return await hubspot.contacts.get(existing_id, properties=_READ)
        except HubSpotNotFoundError:
            pass  # merged or archived in between
    return await hubspot.contacts.get(email, properties=_READ, id_property="email")


async def _linked_to_another(
    session_factory: SessionFactory, contact_ids: Collection[str], user_id: UUID
) -> bool:
    query = select(User.id).where(User.contact_id.in_(contact_ids), User.id != user_id)
    async with session_factory() as database:
        return (await database.execute(query)).first() is not None
