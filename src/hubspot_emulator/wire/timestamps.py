"""Timestamps as HubSpot writes them."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def iso(moment: datetime) -> str:
    """`2026-11-02T10:00:00.120Z`, as every time on the wire."""
    # Not strftime, which writes the year 1 as `1`.
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def from_milliseconds(milliseconds: int) -> datetime:
    """Raises OverflowError for a year beyond 9999."""
    return _EPOCH + timedelta(milliseconds=milliseconds)
