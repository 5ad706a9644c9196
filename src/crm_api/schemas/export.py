"""Contract of the export of everything that is stored about a user."""

from typing import Annotated, ClassVar, Final

from pydantic import Field

from crm_api.schemas.common import Envelope, NextCursor, ResponseModel, Timestamp
from crm_api.schemas.overview import ContactWithDeals
from crm_api.schemas.profile import Profile
from crm_api.schemas.sessions import ClientAddress, UserAgent
from crm_api.schemas.tickets import Ticket

MAX_ENTRIES: Final = 1_000
"""Maximum of sessions and of audit entries on one page."""


class SessionRecord(ResponseModel):
    """Session of the caller."""

    created_at: Timestamp
    expires_at: Timestamp
    revoked_at: Timestamp | None
    """When the session was ended; null if it was not."""
    last_used_at: Timestamp | None
    """When the session last got tokens; null if an earlier version of the service created it."""
    address: ClientAddress
    user_agent: UserAgent


class AuditRecord(ResponseModel):
    """Entry of the audit log about the caller."""

    at: Timestamp
    event: Annotated[str, Field(max_length=50, examples=["login_succeeded"])]
    actor: Annotated[str, Field(max_length=50, examples=["user"])]
    address: Annotated[str | None, Field(max_length=45, examples=["203.0.113.7"])]
    """Network address of the request."""
    request_id: Annotated[str | None, Field(max_length=64, examples=["5f0c8a52c2f04d6c8a1d0a2b7c9e4f11"])]
    detail: Annotated[str | None, Field(max_length=500, examples=["was customer, is staff"])]


class PersonalExport(ResponseModel):
    """Everything that the service and the CRM store about the caller and that the caller may read."""

    profile: Profile
    registered_at: Timestamp
    sessions: Annotated[list[SessionRecord], Field(max_length=MAX_ENTRIES)]
    audit: Annotated[list[AuditRecord], Field(max_length=MAX_ENTRIES)]
    contact: ContactWithDeals | None
    """The caller's contact with its deals and their tickets; null if no contact is linked, and on later pages."""
    tickets: Annotated[list[Ticket], Field(max_length=100_000)]
    """All tickets of the contact, including those without a deal; empty on later pages."""
    incomplete: bool
    """True if `tickets` does not have all tickets of the contact."""
    next_cursor: NextCursor


class PersonalExportResponse(Envelope[PersonalExport]):
    """Everything that is stored about the caller."""

    MESSAGE: ClassVar = "Export created successfully"
