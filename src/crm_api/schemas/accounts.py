"""Field types of the account operations: e-mail address, names, phone, password."""

import re
import unicodedata
from typing import Annotated, Literal

from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, WithJsonSchema

Role = Literal["customer", "staff"]
CustomerOperation = Literal[
    "create_deal", "update_deal", "archive_deal", "create_ticket", "update_ticket", "archive_ticket"
]
"""What the operator may forbid customers."""
# Letters need \p{L}, which Python's and many JSON Schema validators' regular expressions lack, so the pattern
# excludes characters and `_only_name_characters` checks the letters.
_NAME_PATTERN = r"^[^\x00-\x1f\x7f!\"#$%&()*+,./0-9:;<=>?@\[\\\]^_`{|}~]+$"
_NAME_LENGTH = 100
_NAME_PUNCTUATION = {" ", "-", "'", "\N{RIGHT SINGLE QUOTATION MARK}", "\N{MODIFIER LETTER APOSTROPHE}"}
_PHONE_PATTERN = r"^[0-9 +().-]*$"


def normalise_email(address: str) -> str:
    """Return the address as the database and HubSpot store it. Raises `ValueError` if it is not valid.

    HubSpot stores addresses in lower case (https://github.com/HubSpot/hubspot-api-nodejs/issues/545).
    Local parts outside ASCII are refused: two that look alike would be two users.
    """
    try:
        parsed = validate_email(address.strip(), check_deliverability=False, allow_smtputf8=False)
    except EmailNotValidError as error:
        raise ValueError("is not a valid e-mail address") from error
    return (parsed.ascii_email or parsed.normalized).lower()


def _only_name_characters(name: str) -> str:
    # NFC can change the length, so the length is checked after it: https://unicode.org/faq/normalization.html#12
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
        # The pattern is for clients only: the validator's messages are better.
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
    # Spaces are part of a password, but `RequestModel` strips strings.
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
        description="8 to 128 characters; neither a common password nor the e-mail address.",
        examples=["correct horse battery"],
    ),
    BeforeValidator(_keep_spaces),
]
Password = Annotated[
    SecretStr,
    Field(min_length=1, max_length=128, examples=["correct horse battery"]),
    BeforeValidator(_keep_spaces),
]
