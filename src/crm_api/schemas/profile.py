"""Contract of the caller's profile."""

from typing import Annotated, ClassVar

from pydantic import MISSING, BeforeValidator, Field

from crm_api.schemas.accounts import CustomerOperation, PersonName, Phone, Role
from crm_api.schemas.common import Envelope, RecordId, RequestModel, ResponseModel


class ProfileUpdate(RequestModel):
    """Changes to the caller's profile. Omitted fields are unchanged."""

    firstname: PersonName | MISSING = MISSING
    lastname: Annotated[PersonName, Field(examples=["Lovelace"])] | MISSING = MISSING
    phone: Phone | MISSING = MISSING


class Profile(ResponseModel):
    """The caller's user account."""

    id: Annotated[
        str, BeforeValidator(str), Field(max_length=36, examples=["0b54c5b3-7a0e-4b6b-8f5e-0a4f6f1f6c11"])
    ]
    email: Annotated[str, Field(max_length=254, examples=["ada@example.com"])]
    firstname: Annotated[str, Field(max_length=100, examples=["Ada"])]
    lastname: Annotated[str, Field(max_length=100, examples=["Lovelace"])]
    phone: Annotated[str, Field(max_length=20, examples=["+44 20 7946 0018"])]
    role: Role
    """`customer` sees their own records, `staff` all records."""
    email_verified: bool
    """Whether the e-mail address is verified."""
    contact_id: RecordId | None
    """The user's HubSpot contact; null if no contact is linked."""
    operations: Annotated[list[CustomerOperation], Field(max_length=6)]
    """What the operator allows the user to do with the deals and tickets that they may read."""


class ProfileResponse(Envelope[Profile]):
    """The caller's own profile."""

    RETRIEVED: ClassVar = "Profile retrieved successfully"
    UPDATED: ClassVar = "Profile updated successfully"
