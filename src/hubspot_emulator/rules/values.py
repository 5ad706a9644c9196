"""Validation and normalisation of property values."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, NoReturn

from hubspot_emulator.wire.timestamps import format_timestamp, from_milliseconds

# https://developers.hubspot.com/docs/api-reference/crm-properties/guide
MAX_STRING_LENGTH = 65_536
_DAY_MS = 86_400_000
# HubSpot refuses quoted local parts and requires a top-level domain.
_EMAIL = re.compile(
    r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z0-9]",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"-?(?:[0-9]{1,400}(?:\.[0-9]{0,400})?|\.[0-9]{1,400})(?:[eE][+-]?[0-9]{1,4})?")


class BadValueError(ValueError):
    """Invalid property value, with HubSpot's error code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def normalise_email(text: str) -> str:
    # HubSpot stores e-mail addresses in lower case.
    # https://github.com/HubSpot/hubspot-api-nodejs/issues/545
    return text.strip().lower()


def to_stored_value(
    definition: Mapping[str, Any], raw: Any, *, options: Mapping[str, str], current: str | None = None
) -> str:
    """Return the text that HubSpot stores. Raises BadValueError if `raw` is not valid.

    `options` are {value: label}. `current` is the stored value, to which a leading `;` in `raw` adds options.
    """
    text = _text(raw)
    if text == "":
        return ""
    kind = definition["type"]
    if kind == "enumeration":
        return _parse_enumeration(definition, text, options, current)
    if kind == "string" or kind == "phone_number":
        if definition["name"] == "email":
            return _parse_email(text)
        if len(text) > MAX_STRING_LENGTH:
            raise BadValueError(
                "PROPERTY_TOO_LONG", f"Property values may have {MAX_STRING_LENGTH} characters"
            )
        return text
    return _PARSERS[kind](text)


def check_rules(value: str, rules: Mapping[str, str]) -> None:
    """Raise BadValueError if the account's validation rules for the property do not allow the stored value.

    https://developers.hubspot.com/docs/api-reference/legacy/crm/property-validations/guide
    """
    for rule, argument in rules.items():
        if value and not _RULES[rule](value, argument):
            raise BadValueError("FAILED_VALIDATION", _RULE_TEXTS[rule].format(argument))


def _text(raw: Any) -> str:
    # HubSpot accepts JSON numbers and booleans although its OpenAPI document requires strings.
    if isinstance(raw, str):
        if not raw.isascii() and any("\ud800" <= character <= "\udfff" for character in raw):
            raise BadValueError("INVALID_STRING", "the value contains an unpaired surrogate")
        return raw
    if isinstance(raw, bool):
        return "true" if raw else "false"
    if isinstance(raw, int | float):
        return repr(raw) if isinstance(raw, float) else str(raw)
    raise BadValueError("INVALID_STRING", "the value is not a string, a number or a boolean")


def _parse_email(text: str) -> str:
    email = normalise_email(text)
    if not _EMAIL.fullmatch(email):
        raise BadValueError("INVALID_EMAIL", f"Email address {text} is invalid")
    return email


def _parse_enumeration(
    definition: Mapping[str, Any], text: str, options: Mapping[str, str], current: str | None
) -> str:
    if definition.get("externalOptions"):
        return text
    if definition["fieldType"] != "checkbox":
        return _checked_option(text, options)
    # A leading semicolon adds to the current options: https://developers.hubspot.com/docs/api-reference/crm-properties/guide
    selected = (current or "").split(";") if text.startswith(";") else []
    selected += [_checked_option(value, options) for value in text.split(";") if value]
    return ";".join(dict.fromkeys(filter(None, selected)))


def _checked_option(text: str, options: Mapping[str, str]) -> str:
    if text not in options:
        raise invalid_option(text, options)
    return text


def invalid_option(text: str, options: Mapping[str, str]) -> BadValueError:
    listed = ", ".join(f'label: "{label}"\nvalue: "{value}"\n' for value, label in options.items())
    return BadValueError("INVALID_OPTION", f"{text} was not one of the allowed options: [{listed}]")


def _parse_number(text: str) -> str:
    text = text.strip()
    number = Decimal(text) if _NUMBER.fullmatch(text) else None
    if number is None or abs(number.adjusted()) > 300:
        raise BadValueError("INVALID_LONG", f"{text} was not a valid long.")
    return format(number, "f") if "e" in text.lower() else text


def _parse_bool(text: str) -> str:
    if text.lower() not in ("true", "false"):
        raise invalid_option(text, {"true": "True", "false": "False"})
    return text.lower()


def _parse_date(text: str) -> str:
    # https://github.com/HubSpot/hubspot-api-php/issues/74
    if _is_integer(text):
        milliseconds = int(text)
        timestamp = _from_milliseconds(milliseconds, text)
        if milliseconds % _DAY_MS:
            at = f"{timestamp:%H:%M:%S}.{timestamp.microsecond // 1000:03d}"
            raise BadValueError("INVALID_DATE", f"{text} is at {at} UTC, not midnight!")
        return timestamp.date().isoformat()
    try:
        parsed = date.fromisoformat(text)
    except ValueError:
        _refuse_date(text)
    # date.fromisoformat also accepts 20260102 and 2026-W01-5.
    return parsed.isoformat() if parsed.isoformat() == text else _refuse_date(text)


def _parse_datetime(text: str) -> str:
    if _is_integer(text):
        return format_timestamp(_from_milliseconds(int(text), text))
    try:
        timestamp = datetime.fromisoformat(text)
        if timestamp.tzinfo is None and len(text) != 10:
            _refuse_date(text)
        return format_timestamp(timestamp.replace(tzinfo=UTC) if timestamp.tzinfo is None else timestamp)
    except BadValueError:
        raise
    except (ValueError, OverflowError):
        # https://github.com/verbb/formie/issues/1755
        raise BadValueError("INVALID_LONG", f"{text} was not a valid long.") from None


def _is_integer(text: str) -> bool:
    return re.fullmatch(r"-?[0-9]{1,18}", text) is not None


def _from_milliseconds(milliseconds: int, text: str) -> datetime:
    try:
        return from_milliseconds(milliseconds)
    except OverflowError:
        _refuse_date(text)


def _refuse_date(text: str) -> NoReturn:
    raise BadValueError("INVALID_DATE", f"{text} is not a valid date")


_RULES: Mapping[str, Callable[[str, str], bool]] = {
    "MIN_NUMBER": lambda value, argument: Decimal(value) >= Decimal(argument),
    "MAX_NUMBER": lambda value, argument: Decimal(value) <= Decimal(argument),
    "MIN_LENGTH": lambda value, argument: len(value) >= int(argument),
    "MAX_LENGTH": lambda value, argument: len(value) <= int(argument),
    "REGEX": lambda value, argument: re.fullmatch(argument, value) is not None,
}
_RULE_TEXTS = {
    "MIN_NUMBER": "must be at least {}",
    "MAX_NUMBER": "must be at most {}",
    "MIN_LENGTH": "must have at least {} characters",
    "MAX_LENGTH": "must have at most {} characters",
    "REGEX": "must match the pattern {}",
}
_PARSERS = {"number": _parse_number, "bool": _parse_bool, "date": _parse_date, "datetime": _parse_datetime}
