"""Contacts with their deals and the deals' tickets, read in three dependent steps."""

from collections.abc import Sequence
from operator import attrgetter

from crm_api.errors import ApiError
from crm_api.hubspot import CrmRecord
from crm_api.hubspot.wire import Page
from crm_api.schemas.overview import CrmObjectsPage
from crm_api.services.records.context import RecordContext
from crm_api.services.records.customer_records import own_contact, read_fitting
from crm_api.services.records.nesting import with_deals_and_tickets

_ENDPOINT = "new-crm-objects"


async def list_crm_objects(context: RecordContext, *, limit: int, cursor: str | None) -> CrmObjectsPage:
    """Return a page of contacts by ascending ID. A customer gets only their own contact.

    Costs 1 + ceil(deals/100) + ceil(deals/1000) + ceil(tickets/100) calls to HubSpot, and one more for
    each further page of associations.
    """
    position = context.cursors.read(cursor, context.user.id, _ENDPOINT) if cursor is not None else None
    contacts: Sequence[CrmRecord]
    if context.is_staff:

        async def read(limit: int) -> Page:
            return await context.hubspot.contacts.list_page(
                limit=limit,
                after=position.get("after") if position else None,
                properties=context.fields["contacts"].properties,
                associations=("deals",),
            )

        page = await read_fitting(read, attrgetter("results"), limit)
        contacts, next_after = page.results, page.after
    else:
        if position is not None:
            # A customer gets one page and no cursor, so this one is not theirs.
            raise ApiError("invalid_cursor")
        own = await own_contact(context, associations=("deals",))
        contacts, next_after = [own] if own else [], None
    nested = await with_deals_and_tickets(context, contacts)
    next_cursor = None
    if next_after:
        next_cursor = context.cursors.write({"after": next_after}, context.user.id, _ENDPOINT)
    return CrmObjectsPage(contacts=nested, next_after=next_cursor)
