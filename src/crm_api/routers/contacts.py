"""Contacts over HTTP."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response, status
from pydantic.json_schema import SkipJsonSchema

from crm_api.dependencies.auth import StaffUser
from crm_api.dependencies.idempotency import IdempotentCreateDep
from crm_api.dependencies.records import WITH_ETAG, FilterText, IfMatch, RecordContextDep, SortBy
from crm_api.openapi.document import problems
from crm_api.schemas.common import Cursor, Limit, RecordId
from crm_api.schemas.contacts import (
    ContactCreate,
    ContactPageResponse,
    ContactResponse,
    ContactUpdate,
    SingleContact,
)
from crm_api.schemas.overview import ContactDetail, ContactDetailResponse
from crm_api.schemas.search import ContactSearchResponse, RecordSearch
from crm_api.services.records import contacts

router = APIRouter(prefix="/api/contacts", tags=["Contacts"])

ContactId = Annotated[RecordId, Path(description="The id of the contact.", examples=["501"])]


@router.get("", responses=problems(400, 401, 429, 502, 503, 504))
async def list_contacts(
    context: RecordContextDep,
    limit: Annotated[Limit, Query()] = 10,
    cursor: Annotated[Cursor | SkipJsonSchema[None], Query()] = None,
    lifecyclestage: Annotated[
        FilterText | SkipJsonSchema[None],
        Query(
            description="Only those in this stage of life, an option of `GET /api/properties/contacts`.",
            examples=["lead"],
        ),
    ] = None,
    sort: SortBy = None,
) -> ContactPageResponse:
    """List contacts. Staff page through the account; a customer gets their own contact alone."""
    page = await contacts.list_contacts(
        context, limit=limit, cursor=cursor, lifecyclestage=lifecyclestage, sort=sort
    )
    return ContactPageResponse(message="Contacts retrieved successfully", data=page)


@router.post(
    "",
    status_code=status.HTTP_201_CREATED,
    response_model=ContactResponse,
    responses=problems(400, 401, 403, 409, 422, 429, 502, 503, 504),
)
async def create_contact(
    contact: ContactCreate, user: StaffUser, context: RecordContextDep, idempotent_create: IdempotentCreateDep
) -> Response:
    """Add a contact to the CRM; for staff. An e-mail address belongs to one contact alone."""
    return await idempotent_create.execute(
        partial(contacts.create_contact, context, contact),
        operation="create_contact",
        owner=str(user.id),
        body=contact,
        location_prefix="/api/contacts",
    )


@router.post("/search", responses=problems(400, 401, 429, 502, 503, 504))
async def search_contacts(search: RecordSearch, context: RecordContextDep) -> ContactSearchResponse:
    """Search contacts by text, filters, or both. A customer searches their own contact, fresh and exact."""
    page = await contacts.search_contacts(context, search)
    return ContactSearchResponse(message="Contacts found successfully", data=page)


@router.get("/{id}", responses=problems(400, 401, 404, 429, 502, 503, 504) | WITH_ETAG)
async def get_contact(
    id: ContactId,  # noqa: A002
    context: RecordContextDep,
    response: Response,
) -> ContactDetailResponse:
    """Read a contact with its deals, each deal with its tickets."""
    contact, response.headers["ETag"] = await contacts.get_contact(context, id)
    return ContactDetailResponse(
        message="Contact retrieved successfully", data=ContactDetail(contact=contact)
    )


@router.patch("/{id}", responses=problems(400, 401, 404, 409, 412, 429, 502, 503, 504) | WITH_ETAG)
async def update_contact(
    id: ContactId,  # noqa: A002
    changes: ContactUpdate,
    context: RecordContextDep,
    response: Response,
    if_match: IfMatch = None,
) -> ContactResponse:
    """Change a contact: what is left out stays, null clears. Only staff change the e-mail address."""
    contact, response.headers["ETag"] = await contacts.update_contact(context, id, changes, if_match=if_match)
    return ContactResponse(message="Contact updated successfully", data=SingleContact(contact=contact))
