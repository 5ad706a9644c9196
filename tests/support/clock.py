"""Fake clocks for code that takes `clock`, `sleep` or `utc_clock` as arguments."""

import asyncio
from datetime import UTC, datetime, timedelta


class FakeClock:
    """Clock that only `sleep` and assignments to `now` move; sleeps are recorded and take no time."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += max(0.0, seconds)
        await asyncio.sleep(0)


class UtcClock:
    """Clock that returns a datetime; only additions to `seconds` move it."""

    def __init__(self) -> None:
        self._started_at = datetime.now(UTC)
        self.seconds = 0.0

    def __call__(self) -> datetime:
        return self._started_at + timedelta(seconds=self.seconds)
