"""Timestamps as HubSpot writes them."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def format_timestamp(timestamp: datetime) -> str:
    """Return the timestamp in UTC with milliseconds: `2026-11-02T10:00:00.120Z`."""
    # strftime would write the year 1 as `1`, not as `0001`.
    return timestamp.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def from_milliseconds(milliseconds: int) -> datetime:
    """Convert milliseconds since 1970. Raises OverflowError for a year beyond 9999."""
    return _EPOCH + timedelta(milliseconds=milliseconds)
