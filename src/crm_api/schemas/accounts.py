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
_NAME_PATTERN = r"^[^\x00-\x1f\x7f!\"#$%&()*+,/0-9:;<=>?@\[\\\]^_`{|}~]+$"
_NAME_LENGTH = 100
# Persian names contain this invisible character.
_ZWNJ = "\N{ZERO WIDTH NON-JOINER}"
# Characters that keyboards and text processors put in place of a hyphen or a space.
_NAME_REPLACEMENTS = str.maketrans(
    {"\N{HYPHEN}": "-", "\N{NON-BREAKING HYPHEN}": "-", "\N{NO-BREAK SPACE}": " "}
)
_NAME_PUNCTUATION = {
    " ",
    "-",
    ".",
    _ZWNJ,
    "'",
    "\N{RIGHT SINGLE QUOTATION MARK}",
    "\N{MODIFIER LETTER APOSTROPHE}",
}
_PHONE_PATTERN = r"^([0-9 +()./-]+)((;ext=| ?[eE][xX][tT]\.?| ?[xX]) ?([0-9]{1,6}))?$"
_MAX_PHONE_LENGTH = 20


def normalise_email(address: str) -> str:
    """Return the address as the database and HubSpot store it. Raises `ValueError` if it is not valid.

    HubSpot stores addresses in lower case (https://github.com/HubSpot/hubspot-api-nodejs/issues/545).
    Local parts outside ASCII are refused: two that look alike would be two users.
    Domains under `.test` are accepted, because they are reserved for tests (RFC 6761).
    """
    try:
        parsed = validate_email(
            address.strip(), check_deliverability=False, allow_smtputf8=False, test_environment=True
        )
    except EmailNotValidError as error:
        raise ValueError("is not a valid e-mail address") from error
    if "." not in parsed.domain:
        raise ValueError("is not a valid e-mail address")
    return (parsed.ascii_email or parsed.normalized).lower()


def _only_name_characters(name: str) -> str:
    # NFC can change the length, so the length is checked after it: https://unicode.org/faq/normalization.html#12
    name = unicodedata.normalize("NFC", name.translate(_NAME_REPLACEMENTS)).strip(f" {_ZWNJ}")
    if len(name) > _NAME_LENGTH:
        raise ValueError(f"must have at most {_NAME_LENGTH} characters")
    if not any(unicodedata.category(char).startswith("L") for char in name):
        raise ValueError("needs at least one letter")
    for char in name:
        if unicodedata.category(char)[0] not in "LM" and char not in _NAME_PUNCTUATION:
            raise ValueError("may contain only letters, spaces, hyphens, apostrophes and dots")
    if not all(_has_dots_of_abbreviation(word) for word in re.split("[ -]", name)):
        raise ValueError("may contain a dot only at the end of a word or between initials")
    return name


def _has_dots_of_abbreviation(word: str) -> bool:
    """Return True for `Jr.` and `J.R.`, False for `example.com`, which mail programs would make a link of."""
    parts = word.removesuffix(".").split(".")
    return "." not in word or all(len(part) == 1 for part in parts) or (len(parts) == 1 and parts[0] != "")


def _normalise_phone(phone: str) -> str:
    """Return the number with its extension as `x12`, without separators if it is too long otherwise."""
    match = re.fullmatch(_PHONE_PATTERN, phone)
    if match is None:
        raise ValueError("may contain only digits, spaces, + - ( ) . / and an extension such as x12")
    number, extension = match[1].strip(), match[4]
    if len(re.findall(r"[0-9]", number)) < 5:
        raise ValueError("needs at least five digits")
    phone = f"{number} x{extension}" if extension else number
    if len(phone) > _MAX_PHONE_LENGTH:
        phone = re.sub(r"[ ()./-]", "", phone)
    if len(phone) > _MAX_PHONE_LENGTH:
        raise ValueError("is too long for a phone number")
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
        description="Letters of any script, spaces, hyphens, apostrophes, and dots as in `Jr.` or `J.R.`.",
        examples=["Ada"],
    ),
    AfterValidator(_only_name_characters),
]
Phone = Annotated[
    str,
    Field(
        min_length=5,
        max_length=40,
        json_schema_extra={"pattern": _PHONE_PATTERN},
        description="At least five digits, spaces and `+ - ( ) . /`; then an extension such as `x12`, `ext. 12` or "
        "`;ext=12`, which is stored as `x12`.",
        examples=["+44 20 7946 0018"],
    ),
    AfterValidator(_normalise_phone),
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
