"""Contacts: list, search, read with deals and tickets, create (staff), update."""

from crm_api.errors import ApiError, invalid
from crm_api.hubspot import UniqueValue
from crm_api.hubspot.errors import HubSpotConflictError
from crm_api.schemas.accounts import normalise_email
from crm_api.schemas.contacts import (
    Contact,
    ContactCreate,
    ContactPage,
    ContactResponse,
    ContactUpdate,
    SingleContact,
)
from crm_api.schemas.overview import ContactWithDeals
from crm_api.schemas.search import ContactSearchPage, RecordSearch
from crm_api.services.idempotency import Attempt
from crm_api.services.properties.filters import parse_list_filters
from crm_api.services.properties.mapping import contact_from_record
from crm_api.services.records.access import visible_contact
from crm_api.services.records.context import RecordContext
from crm_api.services.records.etags import etag_of
from crm_api.services.records.idempotent_create import create_record
from crm_api.services.records.nesting import with_deals_and_tickets
from crm_api.services.records.queries import list_records, search_records
from crm_api.services.records.updates import update_record


async def create_contact(context: RecordContext, contact: ContactCreate, attempt: Attempt) -> ContactResponse:
    """Create a contact. Raises 409 `contact_exists` if another contact has the address, 400 for an invalid value."""
    email = _email(contact.email)
    body = contact.model_copy(update={"email": email})
    try:
        record = await create_record(context, "contacts", body, attempt, unique=UniqueValue("email", email))
    except HubSpotConflictError:
        raise ApiError("contact_exists") from None
    created = contact_from_record(record, context.fields)
    return ContactResponse(message=ContactResponse.CREATED, data=SingleContact(contact=created))


async def list_contacts(
    context: RecordContext, *, limit: int, cursor: str | None, lifecyclestage: str | None, sort: str | None
) -> ContactPage:
    """Return a page of contacts. A customer gets only their own contact."""
    query = await parse_list_filters(
        context.hubspot, context.fields["contacts"], equal={"lifecyclestage": lifecyclestage}, sort=sort
    )
    result, next_cursor = await list_records(context, "contacts", query, limit=limit, cursor=cursor)
    return ContactPage(
        results=[contact_from_record(record, context.fields) for record in result.records],
        next_cursor=next_cursor,
    )


async def get_contact(context: RecordContext, contact_id: str) -> tuple[ContactWithDeals, str]:
    """Return the contact with its deals and their tickets, and its ETag. Raises 404 if the caller cannot see it."""
    record = await visible_contact(context, contact_id, associations=("deals",))
    [contact] = await with_deals_and_tickets(context, [record])
    return contact, etag_of(record, context.fields["contacts"])


async def update_contact(
    context: RecordContext, contact_id: str, changes: ContactUpdate, *, if_match: str | None
) -> tuple[Contact, str]:
    """Update a contact; return it and its ETag. `update_record` lists the errors."""
    if "email" in changes.model_fields_set and context.is_staff:
        changes = changes.model_copy(update={"email": _email(str(changes.email))})
    record = await update_record(context, "contacts", contact_id, changes, if_match=if_match)
    return contact_from_record(record, context.fields), etag_of(record, context.fields["contacts"])


async def search_contacts(context: RecordContext, search: RecordSearch) -> ContactSearchPage:
    """Return a page of the contacts that match the search."""
    result, next_cursor = await search_records(context, "contacts", search)
    return ContactSearchPage(
        results=[contact_from_record(record, context.fields) for record in result.records],
        total=result.total,
        next_cursor=next_cursor,
        truncated=result.truncated,
    )


def _email(address: str) -> str:
    try:
        return normalise_email(address)
    except ValueError as error:
        raise invalid("email", str(error)) from None
