"""How HubSpot takes, refuses and stores the value of one property."""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, NoReturn

from hubspot_emulator.wire.timestamps import format_timestamp, from_milliseconds

# https://developers.hubspot.com/docs/api-reference/crm-properties/guide
LONGEST_STRING = 65_536
_DAY_MS = 86_400_000
# Quoted local parts are refused; a top-level domain is wanted.
_EMAIL = re.compile(
    r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z0-9]",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"-?(?:[0-9]{1,400}(?:\.[0-9]{0,400})?|\.[0-9]{1,400})(?:[eE][+-]?[0-9]{1,4})?")


class BadValueError(ValueError):
    """A value that HubSpot refuses, with its code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def normalise_email(text: str) -> str:
    # Stored in lower case; https://github.com/HubSpot/hubspot-api-nodejs/issues/545
    return text.strip().lower()


def stored_value(
    definition: Mapping[str, Any], raw: Any, *, options: Mapping[str, str], current: str | None = None
) -> str:
    """The text that HubSpot keeps; `options` are the labels by value. Raises BadValueError."""
    text = _text(raw)
    if text == "":
        return ""
    kind = definition["type"]
    if kind == "enumeration":
        return _enumeration(definition, text, options, current)
    if kind == "string" or kind == "phone_number":
        if definition["name"] == "email":
            return _email(text)
        if len(text) > LONGEST_STRING:
            raise BadValueError("PROPERTY_TOO_LONG", f"Property values may have {LONGEST_STRING} characters")
        return text
    return _PARSERS[kind](text)


def _text(raw: Any) -> str:
    # JSON numbers and booleans are tolerated although the spec says string.
    if isinstance(raw, str):
        if not raw.isascii() and any("\ud800" <= each <= "\udfff" for each in raw):
            raise BadValueError("INVALID_STRING", "the value holds half a character")
        return raw
    if isinstance(raw, bool):
        return "true" if raw else "false"
    if isinstance(raw, int | float):
        return repr(raw) if isinstance(raw, float) else str(raw)
    raise BadValueError("INVALID_STRING", "the value is neither text nor a number nor a boolean")


def _email(text: str) -> str:
    email = normalise_email(text)
    if not _EMAIL.fullmatch(email):
        raise BadValueError("INVALID_EMAIL", f"Email address {text} is invalid")
    return email


def _enumeration(
    definition: Mapping[str, Any], text: str, options: Mapping[str, str], current: str | None
) -> str:
    if definition.get("externalOptions"):
        return text
    if definition["fieldType"] != "checkbox":
        return _option(text, options)
    # A leading semicolon appends: https://developers.hubspot.com/docs/api-reference/crm-properties/guide
    kept = [each for each in (current or "").split(";") if each] if text.startswith(";") else []
    for each in text.split(";"):
        if each and _option(each, options) not in kept:
            kept.append(each)
    return ";".join(kept)


def _option(text: str, options: Mapping[str, str]) -> str:
    if text not in options:
        raise not_an_option(text, options)
    return text


def not_an_option(text: str, options: Mapping[str, str]) -> BadValueError:
    listed = ", ".join(f'label: "{label}"\nvalue: "{value}"\n' for value, label in options.items())
    return BadValueError("INVALID_OPTION", f"{text} was not one of the allowed options: [{listed}]")


def _number(text: str) -> str:
    text = text.strip()
    number = Decimal(text) if _NUMBER.fullmatch(text) else None
    if number is None or abs(number.adjusted()) > 300:
        raise BadValueError("INVALID_LONG", f"{text} was not a valid long.")
    return format(number, "f") if "e" in text.lower() else text


def _bool(text: str) -> str:
    if text.lower() not in ("true", "false"):
        raise not_an_option(text, {"true": "True", "false": "False"})
    return text.lower()


def _date(text: str) -> str:
    # https://github.com/HubSpot/hubspot-api-php/issues/74
    if _is_integer(text):
        milliseconds = int(text)
        moment = _moment(milliseconds, text)
        if milliseconds % _DAY_MS:
            at = f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03d}"
            raise BadValueError("INVALID_DATE", f"{text} is at {at} UTC, not midnight!")
        return moment.date().isoformat()
    try:
        found = date.fromisoformat(text)
    except ValueError:
        _refuse_date(text)
    # Python also reads 20260102 and 2026-W01-5.
    return found.isoformat() if found.isoformat() == text else _refuse_date(text)


def _datetime(text: str) -> str:
    if _is_integer(text):
        return format_timestamp(_moment(int(text), text))
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None and len(text) != 10:
            _refuse_date(text)
        return format_timestamp(moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment)
    except BadValueError:
        raise
    except (ValueError, OverflowError):
        # https://github.com/verbb/formie/issues/1755
        raise BadValueError("INVALID_LONG", f"{text} was not a valid long.") from None


def _is_integer(text: str) -> bool:
    return re.fullmatch(r"-?[0-9]{1,18}", text) is not None


def _moment(milliseconds: int, text: str) -> datetime:
    try:
        return from_milliseconds(milliseconds)
    except OverflowError:
        _refuse_date(text)


def _refuse_date(text: str) -> NoReturn:
    raise BadValueError("INVALID_DATE", f"{text} is not a valid date")


_PARSERS = {"number": _number, "bool": _bool, "date": _date, "datetime": _datetime}
