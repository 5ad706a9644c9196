"""The export of everything that is stored about a user, as the contract has it."""

from typing import Annotated, ClassVar

from pydantic import Field

from crm_api.schemas.common import Envelope, ResponseModel, Timestamp
from crm_api.schemas.overview import ContactWithDeals
from crm_api.schemas.profile import Profile
from crm_api.schemas.tickets import Ticket


class SessionRecord(ResponseModel):
    """A login that is held about somebody."""

    created_at: Timestamp
    expires_at: Timestamp
    revoked_at: Timestamp | None
    """When it was ended; null where it was not."""


class AuditRecord(ResponseModel):
    """Something that was written down about somebody."""

    at: Timestamp
    event: Annotated[str, Field(max_length=50, examples=["login_succeeded"])]
    actor: Annotated[str, Field(max_length=50, examples=["user"])]
    address: Annotated[str | None, Field(max_length=45, examples=["203.0.113.7"])]
    """The network address that it came from."""
    request_id: Annotated[str | None, Field(max_length=64, examples=["5f0c8a52c2f04d6c8a1d0a2b7c9e4f11"])]
    detail: Annotated[str | None, Field(max_length=500, examples=["was customer, is staff"])]


class PersonalExport(ResponseModel):
    """Everything that is held about the caller, here and in the CRM, as far as the caller may read it."""

    profile: Profile
    registered_at: Timestamp
    sessions: Annotated[list[SessionRecord], Field(max_length=100_000)]
    audit: Annotated[list[AuditRecord], Field(max_length=100_000)]
    contact: ContactWithDeals | None
    """The caller's contact with its deals and their tickets; null while there is none to link."""
    tickets: Annotated[list[Ticket], Field(max_length=100_000)]
    """All tickets of the contact, those that are on no deal too."""


class PersonalExportResponse(Envelope[PersonalExport]):
    """Everything that is held about the caller."""

    MESSAGE: ClassVar = "Export created successfully"
