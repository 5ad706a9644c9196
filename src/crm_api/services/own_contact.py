"""The HubSpot contact that an account stands for: found by its address or created, filled in, kept up to date."""

from collections.abc import Collection, Mapping
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from crm_api.hubspot import CrmRecord, HubSpotClient, UniqueValue
from crm_api.hubspot.errors import HubSpotConflictError, HubSpotNotFoundError, HubSpotValidationError
from crm_api.models import User
from crm_api.services.audit import Origin
from crm_api.services.contact_link import MERGED_IDS, ContactLinks, ids_of
from crm_api.services.properties.mapping import CONTACT_PROPERTIES, refused_fields

Sessions = async_sessionmaker[AsyncSession]
_READ = (*CONTACT_PROPERTIES, MERGED_IDS)
PERSONAL_FIELDS = ("firstname", "lastname", "phone")


async def find_or_create_contact(
    sessions: Sessions,
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
    if await _linked_to_another(sessions, ids_of(record), user_id):
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
    hubspot: HubSpotClient, user: User, changed: Mapping[str, str], *, links: ContactLinks, origin: Origin
) -> None:
    """Write what somebody changed about themselves; where they have no contact any more, there is nothing to write."""
    if user.contact_id is None:
        return
    try:
        await _update(hubspot, user.contact_id, changed)
    except HubSpotNotFoundError:
        if await links.heal(hubspot, user, origin=origin) and user.contact_id is not None:
            await _update(hubspot, user.contact_id, changed)


async def _create(hubspot: HubSpotClient, email: str, wanted: Mapping[str, str]) -> CrmRecord:
    try:
        return await hubspot.contacts.create(
            {"email": email, **wanted}, unique=UniqueValue("email", email), read=_READ
        )
    except HubSpotValidationError as error:
        raise refused_fields(error, ("email", *PERSONAL_FIELDS)) or error from error


async def _update(hubspot: HubSpotClient, contact_id: str, changed: Mapping[str, str]) -> CrmRecord:
    try:
        return await hubspot.contacts.update(contact_id, changed)
    except HubSpotValidationError as error:
        raise refused_fields(error, PERSONAL_FIELDS) or error from error


async def _existing(hubspot: HubSpotClient, email: str, existing_id: str | None) -> CrmRecord:
    if existing_id is not None:
        try:
            return await hubspot.contacts.get(existing_id, properties=_READ)
        except HubSpotNotFoundError:
            pass  # merged or archived in between
    return await hubspot.contacts.get(email, properties=_READ, id_property="email")


async def _linked_to_another(sessions: Sessions, contact_ids: Collection[str], user_id: UUID) -> bool:
    query = select(User.id).where(User.contact_id.in_(contact_ids), User.id != user_id)
    async with sessions() as database:
        return (await database.execute(query)).first() is not None
