"""The contact of a user: created or found at registration, and updated with the profile."""

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from crm_api.database import SessionFactory
from crm_api.errors import ApiError
from crm_api.hubspot import CrmRecord, HubSpotClient, UniqueValue
from crm_api.hubspot.errors import HubSpotConflictError, HubSpotNotFoundError, HubSpotValidationError
from crm_api.models import User
from crm_api.services.audit import Origin
from crm_api.services.link_resolver import (
    MERGED_IDS,
    ContactLinkResolver,
    is_claimed_by_other_user,
    merged_ids,
)
from crm_api.services.properties.fields import ObjectFields
from crm_api.services.properties.refusals import refused_write
from crm_api.services.record_versions import RecordVersions

PERSONAL_FIELDS = ("firstname", "lastname", "phone")


async def find_or_create_contact(
    session_factory: SessionFactory,
    hubspot: HubSpotClient,
    user_id: UUID,
    email: str,
    values: Mapping[str, str],
    *,
    fields: ObjectFields,
    overwrite: bool,
) -> CrmRecord | None:
    """Return the contact with this address, None if another user is linked to it.

    An existing contact gets the values of its empty properties, or all values if `overwrite` is set.
    Raises 400 if HubSpot refuses a value or requires another property.
    """
    read = (*fields.properties, MERGED_IDS)
    settable = {"email", *fields.writable("customer")}
    try:
        return await _create(hubspot, email, values, read=read)
    except HubSpotConflictError as conflict:
        record = await _get_existing(hubspot, email, conflict.existing_id, read=read)
    except HubSpotValidationError as error:
        raise await refused_write(hubspot, error, fields, settable) from error
    if await is_claimed_by_other_user(session_factory, merged_ids(record), user_id):
        return None
    changed = {
        name: value
        for name, value in values.items()
        if record.get(name) is None or (overwrite and record.get(name) != value)
    }
    if not changed:
        return record
    updated = await _update(hubspot, record.id, changed, fields=fields, settable=settable)
    # HubSpot's response to an update has only the changed properties and some of its own.
    return updated.model_copy(update={"properties": {**record.properties, **updated.properties}})


async def update_own_contact(
    hubspot: HubSpotClient,
    user: User,
    changed: Mapping[str, str],
    *,
    fields: ObjectFields,
    links: ContactLinkResolver,
    versions: RecordVersions,
    origin: Origin,
) -> None:
    """Update the user's contact, if there is one.

    Raises 503 if it has been missing for a short time only, 400 if HubSpot refuses a value.
    """
    # HubSpot writes to the surviving contact under every old ID, and that may be another user's contact.
    try:
        await links.resolve(hubspot, user, origin=origin)
    except ApiError:
        if not links.is_long_lost(user):
            raise
    if user.contact_id is None:
        return
    try:
        # A failure before this write changes nothing in HubSpot, so it must not invalidate cached reads.
        async with versions.writing(user, [user.contact_id]):
            await _update(hubspot, user.contact_id, changed, fields=fields, settable=PERSONAL_FIELDS)
    except HubSpotNotFoundError:
        await links.resolve(hubspot, user, origin=origin)
        raise


async def _create(
    hubspot: HubSpotClient, email: str, values: Mapping[str, str], *, read: Sequence[str]
) -> CrmRecord:
    return await hubspot.contacts.create(
        {"email": email, **values}, unique=UniqueValue("email", email), lookup_properties=read
    )


async def _update(
    hubspot: HubSpotClient,
    contact_id: str,
    changed: Mapping[str, str],
    *,
    fields: ObjectFields,
    settable: Collection[str],
) -> CrmRecord:
    try:
        return await hubspot.contacts.update(contact_id, changed)
    except HubSpotValidationError as error:
        raise await refused_write(hubspot, error, fields, settable) from error


async def _get_existing(
    hubspot: HubSpotClient, email: str, existing_id: str | None, *, read: Sequence[str]
) -> CrmRecord:
    if existing_id is not None:
        try:
            return await hubspot.contacts.get(existing_id, properties=read)
        except HubSpotNotFoundError:
            pass  # the contact was merged or archived after the conflict
    return await hubspot.contacts.get(email, properties=read, id_property="email")
