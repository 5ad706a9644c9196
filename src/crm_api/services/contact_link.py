"""The link from a user to a HubSpot contact, and how it heals when the contact is merged or made anew."""

import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import replace
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from crm_api.hubspot import CrmRecord, HubSpotClient
from crm_api.hubspot.errors import HubSpotNotFoundError
from crm_api.models import User
from crm_api.services import audit
from crm_api.services.audit import Origin

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


class ContactLinks:
    """Re-resolves links that lead nowhere, each user's at most once a minute."""

    def __init__(
        self, sessions: async_sessionmaker[AsyncSession], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._sessions = sessions
        self._clock = clock
        self._looked: OrderedDict[UUID, float] = OrderedDict()

    async def heal(self, hubspot: HubSpotClient, user: User, *, origin: Origin) -> bool:
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
        async with self._sessions() as database:
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
        async with self._sessions.begin() as database:
            changed = await database.execute(statement.values(contact_id=contact_id).returning(User.id))
            if changed.first() is not None:
                event: audit.Event = "contact_linked" if contact_id else "contact_link_lost"
                detail = f"was {user.contact_id}, is {contact_id}"
                audit.record(database, event, user.id, origin=ours, detail=detail)
