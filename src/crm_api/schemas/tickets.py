"""Tickets, as the contract has them."""

from typing import Annotated, ClassVar, Literal

from pydantic import MISSING, Field

from crm_api.schemas.common import (
    AS_SENT,
    NOT_BLANK,
    Cursor,
    Envelope,
    PropertyChanges,
    PropertyTexts,
    RecordId,
    RequestModel,
    ResponseModel,
    SameId,
    Timestamp,
    text,
)

Category = Literal["general_inquiry", "technical_issue", "billing", "service_request", "meeting"]
Priority = Literal["LOW", "MEDIUM", "HIGH", "URGENT"]
Subject = Annotated[str, text(500, minimum=1, example="Third van is late")]
TicketText = Annotated[str, AS_SENT, text(65_536, minimum=1, example="It was due on Monday."), NOT_BLANK]
TicketPipelineId = Annotated[
    str, text(100, minimum=1, example="0", description="An id of `GET /api/pipelines`.")
]
TicketStageId = Annotated[
    str, text(100, minimum=1, example="1", description="A stage id of that ticket pipeline.")
]


class TicketCreate(RequestModel):
    """A ticket to raise on a deal."""

    subject: Subject
    description: TicketText
    """HubSpot's `content`."""
    hs_pipeline_stage: TicketStageId
    category: Category | MISSING = MISSING
    pipeline: TicketPipelineId | MISSING = MISSING
    """The account's first ticket pipeline where it is left out."""
    hs_ticket_priority: Priority | MISSING = MISSING
    properties: PropertyChanges | MISSING = MISSING


class TicketUpdate(RequestModel):
    """What to change of a ticket; what is left out stays, null clears."""

    subject: Subject | MISSING = MISSING
    description: TicketText | MISSING = MISSING
    hs_pipeline_stage: TicketStageId | MISSING = MISSING
    pipeline: TicketPipelineId | MISSING = MISSING
    """With another pipeline goes a stage of it."""
    category: Category | MISSING | None = MISSING
    hs_ticket_priority: Priority | MISSING | None = MISSING
    properties: PropertyChanges | MISSING = MISSING


class Ticket(ResponseModel):
    """A request for help."""

    id: RecordId
    hs_object_id: SameId
    subject: Annotated[str | None, Field(examples=["Third van is late"])]
    description: Annotated[str | None, Field(examples=["It was due on Monday."])]
    category: Annotated[str | None, Field(examples=["technical_issue"])]
    """One of the categories a request may name, or the account's own option as it stands there."""
    pipeline: Annotated[str | None, Field(examples=["0"])]
    hs_pipeline_stage: Annotated[str | None, Field(examples=["1"])]
    hs_ticket_priority: Annotated[str | None, Field(examples=["HIGH"])]
    createdate: Timestamp | None
    hs_lastmodifieddate: Timestamp | None
    properties: PropertyTexts


class SingleTicket(ResponseModel):
    """One ticket."""

    ticket: Ticket


class TicketResponse(Envelope[SingleTicket]):
    """The ticket as it is now."""

    CREATED: ClassVar = "Ticket created successfully"
    RETRIEVED: ClassVar = "Ticket retrieved successfully"
    UPDATED: ClassVar = "Ticket updated successfully"


class TicketPage(ResponseModel):
    """A page of tickets."""

    results: Annotated[list[Ticket], Field(max_length=100)]
    next_cursor: Cursor | None
    """The `cursor` of the next page; null on the last."""


class TicketPageResponse(Envelope[TicketPage]):
    """A page of tickets."""

    MESSAGE: ClassVar = "Tickets retrieved successfully"
