"""Contacts: create (staff), read with deals and tickets, update."""

from crm_api.errors import ApiError, invalid
from crm_api.hubspot import UniqueValue
from crm_api.hubspot.errors import HubSpotConflictError
from crm_api.schemas.accounts import normalise_email
from crm_api.schemas.contacts import Contact, ContactCreate, ContactResponse, ContactUpdate
from crm_api.schemas.overview import ContactWithDeals
from crm_api.services.idempotency import Attempt
from crm_api.services.records.access import visible_contact
from crm_api.services.records.context import RecordContext
from crm_api.services.records.etags import representation_etag
from crm_api.services.records.idempotent_create import create_record
from crm_api.services.records.nesting import with_deals_and_tickets
from crm_api.services.records.updates import update_record


async def create_contact(context: RecordContext, contact: ContactCreate, attempt: Attempt) -> ContactResponse:
    """Create a contact. Raises 409 `contact_exists` if another contact has the address, 400 for an invalid value."""
    email = _email(contact.email)
    body = contact.model_copy(update={"email": email})
    try:
        record = await create_record(context, "contacts", body, attempt, unique=UniqueValue("email", email))
    except HubSpotConflictError:
        raise ApiError("contact_exists") from None
    created = context.to_model(Contact, record)
    return ContactResponse(message=ContactResponse.CREATED, data=created)


async def get_contact(context: RecordContext, contact_id: str) -> tuple[ContactWithDeals, str]:
    """Return the contact with its deals and their tickets, and its ETag. Raises 404 if the caller cannot see it."""
    record = await visible_contact(context, contact_id, associations=("deals",))
    [contact] = await with_deals_and_tickets(context, [record])
    return contact, representation_etag(record, context.fields["contacts"], contact)


async def update_contact(
    context: RecordContext, contact_id: str, changes: ContactUpdate, *, if_match: str | None
) -> tuple[Contact, str]:
    """Update a contact; return it and its ETag. `update_record` lists the errors."""
    if "email" in changes.model_fields_set and context.is_staff:
        changes = changes.model_copy(update={"email": _email(str(changes.email))})
    return await update_record(context, Contact, contact_id, changes, if_match=if_match)


def _email(address: str) -> str:
    try:
        return normalise_email(address)
    except ValueError as error:
        raise invalid("email", str(error)) from None
