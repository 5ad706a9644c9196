"""Registration and the caller's own profile, as the contract has them."""

import re
import unicodedata
from typing import Annotated, Literal

from email_validator import EmailNotValidError, validate_email
from pydantic import (
    MISSING,
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)

from crm_api.schemas.common import Answer, Envelope, RecordId, Request, Timestamp
from crm_api.schemas.contacts import Contact
from crm_api.schemas.crm_objects import ContactWithDeals
from crm_api.schemas.tickets import Ticket

Role = Literal["customer", "staff"]

# What this class lets through is narrowed to letters and marks below: a pattern that names
# them needs \p{L}, which Python's and many JSON Schema validators' regular expressions lack.
_NAME_PATTERN = r"^[^\x00-\x1f\x7f!\"#$%&()*+,./0-9:;<=>?@\[\\\]^_`{|}~]+$"
_NAME_LENGTH = 100
_NAME_PUNCTUATION = {" ", "-", "'", "\N{RIGHT SINGLE QUOTATION MARK}", "\N{MODIFIER LETTER APOSTROPHE}"}
_PHONE_PATTERN = r"^[0-9 +().-]*$"


def normalise_email(address: str) -> str:
    """The one spelling of an address that our table and HubSpot both hold.

    HubSpot stores addresses in lower case (https://github.com/HubSpot/hubspot-api-nodejs/issues/545), so we do too.
    Local parts outside ASCII are refused: two that look alike would be two accounts.
    """
    try:
        parsed = validate_email(address.strip(), check_deliverability=False, allow_smtputf8=False)
    except EmailNotValidError as error:
        raise ValueError("is not a valid e-mail address") from error
    return (parsed.ascii_email or parsed.normalized).lower()


def _only_name_characters(name: str) -> str:
    # Composing takes letters together, and some of them apart: https://unicode.org/faq/normalization.html#12
    name = unicodedata.normalize("NFC", name)
    if len(name) > _NAME_LENGTH:
        raise ValueError(f"must have at most {_NAME_LENGTH} characters")
    if not any(unicodedata.category(char).startswith("L") for char in name):
        raise ValueError("needs at least one letter")
    for char in name:
        if unicodedata.category(char)[0] not in "LM" and char not in _NAME_PUNCTUATION:
            raise ValueError("may hold letters, spaces, hyphens and apostrophes only")
    return name


def _phone_characters(phone: str) -> str:
    if not re.fullmatch(_PHONE_PATTERN, phone):
        raise ValueError("may hold digits, spaces and + - ( ) . only")
    if len(re.findall(r"[0-9]", phone)) < 5:
        raise ValueError("needs at least five digits")
    return phone


Email = Annotated[
    str,
    Field(max_length=254, examples=["ada@example.com"]),
    AfterValidator(normalise_email),
    WithJsonSchema({"type": "string", "format": "email", "minLength": 5, "maxLength": 254}),
]
PersonName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=_NAME_LENGTH,
        # For clients; the validator says better what is wrong.
        json_schema_extra={"pattern": _NAME_PATTERN},
        description="Letters of any script, spaces, hyphens and apostrophes.",
        examples=["Ada"],
    ),
    AfterValidator(_only_name_characters),
]
Phone = Annotated[
    str,
    Field(
        min_length=5,
        max_length=20,
        json_schema_extra={"pattern": _PHONE_PATTERN},
        description="Digits, spaces and `+ - ( ) .`, at least five digits.",
        examples=["+44 20 7946 0018"],
    ),
    AfterValidator(_phone_characters),
]


def _keep_spaces(password: object) -> object:
    # `Request` strips strings; a password's spaces are part of it, as they are in the OAuth2 form.
    if not isinstance(password, str):
        return password
    if any("\ud800" <= char <= "\udfff" for char in password):
        raise ValueError("has characters that are not allowed here")
    return SecretStr(password)


NewPassword = Annotated[
    SecretStr,
    Field(
        min_length=8,
        max_length=128,
        description="8 to 128 characters, not a common one, not the e-mail address.",
        examples=["correct horse battery"],
    ),
    BeforeValidator(_keep_spaces),
]
Password = Annotated[
    SecretStr,
    Field(min_length=1, max_length=128, examples=["correct horse battery"]),
    BeforeValidator(_keep_spaces),
]


class Registration(Request):
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


class Registered(Answer):
    """Whom a registration created or linked."""

    contact: Contact | None
    """The caller's HubSpot contact; null where the address belongs to a contact that another user is linked to."""


class RegistrationResponse(Envelope[Registered]):
    """The account is made; this is its contact."""


class AcceptedResponse(Envelope[None]):
    """What comes next comes by mail; the answer is the same whether or not the address is known."""


class ProfileUpdate(Request):
    """What to change of one's own profile; what is left out stays."""

    firstname: PersonName | MISSING = MISSING
    lastname: Annotated[PersonName, Field(examples=["Lovelace"])] | MISSING = MISSING
    phone: Phone | MISSING = MISSING


class Profile(Answer):
    """The caller, as this service knows them."""

    id: Annotated[str, Field(max_length=36, examples=["0b54c5b3-7a0e-4b6b-8f5e-0a4f6f1f6c11"])]
    email: Annotated[str, Field(max_length=254, examples=["ada@example.com"])]
    firstname: Annotated[str, Field(max_length=100, examples=["Ada"])]
    lastname: Annotated[str, Field(max_length=100, examples=["Lovelace"])]
    phone: Annotated[str, Field(max_length=20, examples=["+44 20 7946 0018"])]
    role: Role
    """What they may see: `customer` their own records, `staff` all."""
    email_verified: bool
    """Whether they have shown that the address is theirs."""
    contact_id: RecordId | None
    """Their HubSpot contact; null while there is none to link."""


class ProfileResponse(Envelope[Profile]):
    """The caller's own profile."""


class SessionRecord(Answer):
    """A login that is held about somebody."""

    created_at: Timestamp
    expires_at: Timestamp
    revoked_at: Timestamp | None
    """When it was ended; null where it was not."""


class AuditRecord(Answer):
    """Something that was written down about somebody."""

    at: Timestamp
    event: Annotated[str, Field(max_length=50, examples=["login_succeeded"])]
    actor: Annotated[str, Field(max_length=50, examples=["user"])]
    address: Annotated[str | None, Field(max_length=45, examples=["203.0.113.7"])]
    """The network address that it came from."""
    request_id: Annotated[str | None, Field(max_length=64, examples=["5f0c8a52c2f04d6c8a1d0a2b7c9e4f11"])]
    detail: Annotated[str | None, Field(max_length=500, examples=["was customer, is staff"])]


class PersonalExport(Answer):
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
