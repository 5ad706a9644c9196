"""Routes for contacts."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response, status
from pydantic.json_schema import SkipJsonSchema

from crm_api.dependencies.auth import StaffUser
from crm_api.dependencies.idempotency import IdempotentCreateDep
from crm_api.dependencies.records import (
    CachedRecordContextDep,
    CursorParameter,
    FilterText,
    IfMatch,
    LimitParameter,
    NotModifiedDep,
    RecordContextDep,
    SortBy,
)
from crm_api.openapi.responses import CREATE_ERRORS, HUBSPOT_ERRORS, responses
from crm_api.schemas.common import DEFAULT_LIMIT, RecordId
from crm_api.schemas.contacts import (
    Contact,
    ContactCreate,
    ContactPage,
    ContactPageResponse,
    ContactResponse,
    ContactUpdate,
)
from crm_api.schemas.overview import ContactDetailResponse
from crm_api.schemas.search import ContactSearchPage, ContactSearchResponse, RecordSearch
from crm_api.services.records import contacts
from crm_api.services.records.queries import list_records, search_records

router = APIRouter(prefix="/api/contacts", tags=["Contacts"])

ContactId = Annotated[RecordId, Path(description="ID of the contact.", examples=["501"])]


@router.get("", responses=responses(*HUBSPOT_ERRORS, message=ContactPageResponse.MESSAGE))
async def list_contacts(
    context: CachedRecordContextDep,
    limit: LimitParameter = DEFAULT_LIMIT,
    cursor: CursorParameter = None,
    lifecyclestage: Annotated[
        FilterText | SkipJsonSchema[None],
        Query(
            description="Only contacts in this lifecycle stage, an option in `GET /api/properties/contacts`.",
            examples=["lead"],
        ),
    ] = None,
    sort: SortBy = None,
) -> ContactPageResponse:
    """List contacts. Staff get all contacts of the HubSpot account, a customer only their own."""
    equal = {"lifecyclestage": lifecyclestage}
    page = await list_records(
        context, ContactPage, Contact, equal=equal, sort=sort, limit=limit, cursor=cursor
    )
    return ContactPageResponse(message=ContactPageResponse.MESSAGE, data=page)


@router.post(
    "",
    status_code=status.HTTP_201_CREATED,
    response_model=ContactResponse,
    responses=responses(
        "forbidden", "contact_exists", *CREATE_ERRORS, message=ContactResponse.CREATED, status=201
    ),
)
async def create_contact(
    contact: ContactCreate, user: StaffUser, context: RecordContextDep, idempotent_create: IdempotentCreateDep
) -> Response:
    """Create a contact (staff only). Each e-mail address can belong to only one contact."""
    return await idempotent_create.execute(
        partial(contacts.create_contact, context, contact),
        operation="create_contact",
        owner=user.id,
        body=contact,
        location_prefix="/api/contacts",
    )


@router.post("/search", responses=responses(*HUBSPOT_ERRORS, message=ContactSearchResponse.MESSAGE))
async def search_contacts(search: RecordSearch, context: CachedRecordContextDep) -> ContactSearchResponse:
    """Search contacts by text, filters, or both.

    A customer searches only their own contact, with its current values.
    """
    page = await search_records(context, ContactSearchPage, Contact, search)
    return ContactSearchResponse(message=ContactSearchResponse.MESSAGE, data=page)


@router.get(
    "/{id}",
    response_model=ContactDetailResponse,
    responses=responses(*HUBSPOT_ERRORS, message=ContactDetailResponse.MESSAGE, etag=True, not_modified=True),
)
async def get_contact(
    id: ContactId, context: CachedRecordContextDep, not_modified: NotModifiedDep
) -> ContactDetailResponse | Response:
    """Get a contact with its deals and their tickets.

    The `ETag` header has the version of the contact, for `If-Match`.
    """
    contact, etag = await contacts.get_contact(context, id)
    return not_modified.of(etag) or ContactDetailResponse(message=ContactDetailResponse.MESSAGE, data=contact)


@router.patch(
    "/{id}",
    responses=responses("contact_exists", *HUBSPOT_ERRORS, message=ContactResponse.UPDATED, etag=True),
)
async def update_contact(
    id: ContactId,
    changes: ContactUpdate,
    context: RecordContextDep,
    response: Response,
    if_match: IfMatch = None,
) -> ContactResponse:
    """Update a contact. Omitted fields are unchanged; null clears a field. Only staff can change the e-mail address."""
    contact, response.headers["ETag"] = await contacts.update_contact(context, id, changes, if_match=if_match)
    return ContactResponse(message=ContactResponse.UPDATED, data=contact)
