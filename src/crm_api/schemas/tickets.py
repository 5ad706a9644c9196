"""Contract of the ticket operations."""

from typing import Annotated, ClassVar

from pydantic import MISSING, Field

from crm_api.schemas.common import (
    AS_SENT,
    NOT_BLANK,
    AssociatedIds,
    Envelope,
    Page,
    PropertyChanges,
    PropertyTexts,
    RecordModel,
    RequestModel,
    Timestamp,
    text,
)

Category = Annotated[
    str,
    AS_SENT,
    text(
        65_536,
        minimum=1,
        example="technical_issue",
        description="`general_inquiry`, `technical_issue`, `billing`, `service_request`, `meeting`, or another option "
        "in `GET /api/properties/tickets`; several are joined by `;`.",
    ),
]
Priority = Annotated[
    str,
    AS_SENT,
    text(65_536, minimum=1, example="HIGH", description="An option in `GET /api/properties/tickets`."),
]
Subject = Annotated[str, text(500, minimum=1, example="Third van is late")]
TicketText = Annotated[str, AS_SENT, text(65_536, minimum=1, example="It was due on Monday."), NOT_BLANK]
TicketPipelineId = Annotated[
    str, text(100, minimum=1, example="0", description="ID of a ticket pipeline in `GET /api/pipelines`.")
]
TicketStageId = Annotated[
    str, text(100, minimum=1, example="1", description="ID of a stage of that ticket pipeline.")
]


class TicketCreate(RequestModel):
    """Ticket to create on a deal."""

    subject: Subject
    description: TicketText
    """HubSpot's `content`."""
    hs_pipeline_stage: TicketStageId | MISSING = MISSING
    """Default: the pipeline's first open stage that you may set, in display order."""
    category: Category | MISSING = MISSING
    pipeline: TicketPipelineId | MISSING = MISSING
    """Default: the first ticket pipeline of the HubSpot account."""
    hs_ticket_priority: Priority | MISSING = MISSING
    properties: PropertyChanges | MISSING = MISSING


class TicketUpdate(RequestModel):
    """Changes to a ticket. Omitted fields are unchanged; null clears a field."""

    subject: Subject | MISSING = MISSING
    description: TicketText | MISSING = MISSING
    hs_pipeline_stage: TicketStageId | MISSING = MISSING
    pipeline: TicketPipelineId | MISSING = MISSING
    """Another pipeline needs one of its stages in the same request."""
    category: Category | MISSING | None = MISSING
    hs_ticket_priority: Priority | MISSING | None = MISSING
    properties: PropertyChanges | MISSING = MISSING


class Ticket(RecordModel):
    """Ticket in the CRM."""

    OBJECT_TYPE = "tickets"
    subject: Annotated[str | None, Field(examples=["Third van is late"])]
    description: Annotated[str | None, Field(examples=["It was due on Monday."])]
    category: Annotated[str | None, Field(examples=["technical_issue"])]
    """As in `TicketCreate`."""
    pipeline: Annotated[str | None, Field(examples=["0"])]
    hs_pipeline_stage: Annotated[str | None, Field(examples=["1"])]
    hs_ticket_priority: Annotated[str | None, Field(examples=["HIGH"])]
    createdate: Timestamp | None
    hs_lastmodifieddate: Timestamp | None
    contact_ids: AssociatedIds | None = None
    """The ticket's contacts, for a customer only their own. Null if not read: `include=associations` reads them."""
    deal_ids: AssociatedIds | None = None
    """The ticket's deals, for a customer only their own. Null if not read: `include=associations` reads them."""
    properties: PropertyTexts


class TicketResponse(Envelope[Ticket]):
    """The ticket with its current values."""

    CREATED: ClassVar = "Ticket created successfully"
    RETRIEVED: ClassVar = "Ticket retrieved successfully"
    UPDATED: ClassVar = "Ticket updated successfully"


class TicketPage(Page[Ticket]):
    """A page of tickets."""


class TicketPageResponse(Envelope[TicketPage]):
    """A page of tickets."""

    MESSAGE: ClassVar = "Tickets retrieved successfully"
