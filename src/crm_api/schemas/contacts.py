"""Contract of the contact operations."""

from typing import Annotated, ClassVar

from pydantic import MISSING, Field

from crm_api.schemas.common import (
    Envelope,
    Page,
    PropertyChanges,
    PropertyTexts,
    RecordModel,
    RequestModel,
    Timestamp,
    text,
)

ContactName = Annotated[str, text(100, minimum=1, example="Ada")]
ContactPhone = Annotated[str, text(50, minimum=1, example="+44 20 7946 0018")]
LifecycleStage = Annotated[
    str,
    text(100, minimum=1, example="lead", description="One of the options in `GET /api/properties/contacts`."),
]
ContactEmail = Annotated[
    str,
    Field(
        max_length=254,
        # The format is for clients only: the messages of `normalise_email` are better.
        json_schema_extra={"format": "email", "minLength": 5},
        description="Stored in lower case.",
        examples=["ada@example.com"],
    ),
]


class Contact(RecordModel):
    """Contact in the CRM."""

    OBJECT_TYPE = "contacts"
    email: Annotated[str | None, Field(examples=["ada@example.com"])]
    firstname: Annotated[str | None, Field(examples=["Ada"])]
    lastname: Annotated[str | None, Field(examples=["Lovelace"])]
    phone: Annotated[str | None, Field(examples=["+44 20 7946 0018"])]
    lifecyclestage: Annotated[str | None, Field(examples=["lead"])]
    createdate: Timestamp | None
    lastmodifieddate: Timestamp | None
    properties: PropertyTexts


class ContactCreate(RequestModel):
    """Contact to add to the CRM."""

    email: ContactEmail
    firstname: ContactName | MISSING = MISSING
    lastname: Annotated[ContactName, Field(examples=["Lovelace"])] | MISSING = MISSING
    phone: ContactPhone | MISSING = MISSING
    lifecyclestage: LifecycleStage | MISSING = MISSING
    properties: PropertyChanges | MISSING = MISSING


class ContactUpdate(RequestModel):
    """Changes to a contact. Omitted fields are unchanged; null clears a field."""

    email: ContactEmail | MISSING = MISSING
    """Only for staff."""
    firstname: ContactName | MISSING | None = MISSING
    lastname: Annotated[ContactName, Field(examples=["Lovelace"])] | MISSING | None = MISSING
    phone: ContactPhone | MISSING | None = MISSING
    lifecyclestage: LifecycleStage | MISSING | None = MISSING
    """Only for staff. HubSpot moves the stage only forward; to move it back, clear it first."""
    properties: PropertyChanges | MISSING = MISSING


class ContactResponse(Envelope[Contact]):
    """The contact with its current values."""

    CREATED: ClassVar = "Contact created successfully"
    UPDATED: ClassVar = "Contact updated successfully"


class ContactPage(Page[Contact]):
    """A page of contacts."""


class ContactPageResponse(Envelope[ContactPage]):
    """A page of contacts."""

    MESSAGE: ClassVar = "Contacts retrieved successfully"
