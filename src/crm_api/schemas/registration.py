"""Registration, as the contract has it."""

from typing import Annotated, ClassVar

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from crm_api.schemas.accounts import Email, NewPassword, PersonName, Phone
from crm_api.schemas.common import Envelope, RequestModel, ResponseModel
from crm_api.schemas.contacts import Contact


class Registration(RequestModel):
    """A person who wants to work with their own CRM records."""

    email: Email
    """Where to reach them; the name they log in with."""
    firstname: PersonName
    lastname: Annotated[PersonName, Field(examples=["Lovelace"])]
    password: NewPassword
    phone: Phone

    @field_validator("password")
    @classmethod
    def _is_not_the_email(cls, password: SecretStr, info: ValidationInfo) -> SecretStr:
        email = info.data.get("email", "")
        if password.get_secret_value().strip().lower() in {email, email.partition("@")[0]}:
            raise ValueError("must not be the e-mail address")
        return password


class Registered(ResponseModel):
    """Whom a registration created or linked."""

    contact: Contact | None
    """The caller's HubSpot contact; null where the address belongs to a contact that another user is linked to."""


class RegistrationResponse(Envelope[Registered]):
    """The account is made; this is its contact."""

    MESSAGE: ClassVar = "User registered successfully"


class AcceptedResponse(Envelope[None]):
    """What comes next comes by mail; the answer is the same whether or not the address is known."""

    MESSAGE: ClassVar = "Check your e-mail to finish"
