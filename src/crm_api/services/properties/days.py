"""Days in the HubSpot account's time zone: dates without time, as values and in filters of date-times."""

import re
from datetime import date, datetime, time, tzinfo
from typing import Final

from crm_api.services.properties.mapping import datetime_to_wire

_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_LAST_MILLISECOND: Final = time(23, 59, 59, 999_000)


def is_day(value: str) -> bool:
    """Return whether a text is written as a date without time."""
    return _DAY.fullmatch(value.strip()) is not None


def day_bounds(value: str, zone: tzinfo) -> tuple[str, str]:
    """Return the first and the last millisecond of a day in HubSpot's format. Raises `ValueError`."""
    try:
        day = date.fromisoformat(value.strip())
        first, last = (datetime.combine(day, at, zone) for at in (time.min, _LAST_MILLISECOND))
        return datetime_to_wire(first), datetime_to_wire(last)
    except (ValueError, OverflowError):
        raise ValueError("is not a date or time that exists between the years 1 and 9999") from None
