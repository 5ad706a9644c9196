"""Contract of contacts with their deals and tickets."""

from typing import Annotated, ClassVar, Final

from pydantic import Field

from crm_api.schemas.common import Envelope, NextCursor, ResponseModel
from crm_api.schemas.contacts import Contact
from crm_api.schemas.deals import Deal
from crm_api.schemas.tickets import Ticket

MAX_CHILDREN: Final = 10_000
"""Maximum of deals or tickets in one record; a record with more is marked as incomplete."""


class DealWithTickets(Deal):
    """Deal with its tickets."""

    tickets: Annotated[list[Ticket], Field(max_length=MAX_CHILDREN)]
    incomplete: bool = False
    """True if not all tickets could be read, or if they are too large for one response."""


class ContactWithDeals(Contact):
    """Contact with its deals."""

    deals: Annotated[list[DealWithTickets], Field(max_length=MAX_CHILDREN)]
    incomplete: bool = False
    """True if not all deals could be read, or if they are too large for one response."""


class CrmObjectsPage(ResponseModel):
    """A page of contacts."""

    contacts: Annotated[list[ContactWithDeals], Field(max_length=100)]
    next_after: NextCursor


class CrmObjects(ResponseModel):
    """The page, nested once more for front ends of the first version."""

    data: CrmObjectsPage


class CrmObjectsResponse(Envelope[CrmObjects]):
    """A page of contacts with deals and tickets."""

    MESSAGE: ClassVar = "Contacts retrieved successfully"


class ContactDetailResponse(Envelope[ContactWithDeals]):
    """The contact with its deals and their tickets."""

    MESSAGE: ClassVar = "Contact retrieved successfully"


class DealDetailResponse(Envelope[DealWithTickets]):
    """The deal with its tickets."""

    MESSAGE: ClassVar = "Deal retrieved successfully"
