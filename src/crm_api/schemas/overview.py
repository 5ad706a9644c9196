"""Contacts with their deals and those deals' tickets, as the contract has them."""

from typing import Annotated, ClassVar, Final

from pydantic import Field

from crm_api.schemas.common import Cursor, Envelope, ResponseModel
from crm_api.schemas.contacts import Contact
from crm_api.schemas.deals import Deal
from crm_api.schemas.tickets import Ticket

MOST_CHILDREN: Final = 10_000
"""On one record; an answer that would hold more is marked as incomplete."""


class DealWithTickets(Deal):
    """A deal and the tickets raised on it."""

    tickets: Annotated[list[Ticket], Field(max_length=MOST_CHILDREN)]
    incomplete: bool = False
    """True where not all of its tickets could be read."""


class ContactWithDeals(Contact):
    """A contact and their deals."""

    deals: Annotated[list[DealWithTickets], Field(max_length=MOST_CHILDREN)]
    incomplete: bool = False
    """True where not all of the deals could be read."""


class CrmObjectsPage(ResponseModel):
    """A page of contacts."""

    contacts: Annotated[list[ContactWithDeals], Field(max_length=100)]
    next_after: Cursor | None
    """The `cursor` of the next page; null on the last."""


class CrmObjects(ResponseModel):
    """The page once more nested, as front ends of the first version read it."""

    data: CrmObjectsPage


class CrmObjectsResponse(Envelope[CrmObjects]):
    """A page of contacts with deals and tickets."""

    MESSAGE: ClassVar = "CRM objects retrieved successfully"


class ContactDetail(ResponseModel):
    """One contact with its deals and their tickets."""

    contact: ContactWithDeals


class ContactDetailResponse(Envelope[ContactDetail]):
    """The contact with its deals and their tickets."""

    MESSAGE: ClassVar = "Contact retrieved successfully"


class DealDetail(ResponseModel):
    """One deal with its tickets."""

    deal: DealWithTickets


class DealDetailResponse(Envelope[DealDetail]):
    """The deal with its tickets."""

    MESSAGE: ClassVar = "Deal retrieved successfully"
