"""Contract of registration."""

from typing import Annotated, ClassVar

from pydantic import MISSING, Field, SecretStr, ValidationInfo, WithJsonSchema, field_validator

from crm_api.schemas.accounts import Email, NewPassword, PersonName, Phone
from crm_api.schemas.common import Envelope, RegistrationProperties, RequestModel, ResponseModel
from crm_api.schemas.contacts import Contact


class Registration(RequestModel):
    """User to register."""

    email: Email
    """Address for mails and for logging in."""
    firstname: PersonName
    lastname: Annotated[PersonName, Field(examples=["Lovelace"])]
    password: NewPassword
    phone: Phone
    properties: RegistrationProperties | MISSING = MISSING

    @field_validator("password")
    @classmethod
    def _is_not_the_email(cls, password: SecretStr, info: ValidationInfo) -> SecretStr:
        email = info.data.get("email", "")
        if password.get_secret_value().strip().lower() in {email, email.partition("@")[0]}:
            raise ValueError("must not be the e-mail address")
        return password


class Registered(ResponseModel):
    """Contact that a registration created or linked."""

    contact: Contact | None
    """The user's HubSpot contact; null if another user is linked to the contact with this address."""


class RegistrationResponse(Envelope[Registered]):
    """The user is registered; `data` has the contact."""

    MESSAGE: ClassVar = "User registered successfully"


class AcceptedResponse(Envelope[None]):
    """A mail describes the next step. The response is the same for known and unknown addresses."""

    MESSAGE: ClassVar = "Check your e-mail to finish"
    # Generators have no type for a schema that only null matches, so the document says: an empty object or null.
    data: Annotated[
        None,
        WithJsonSchema({"type": ["object", "null"], "additionalProperties": False, "examples": [None]}),
    ]
    """Always null."""
