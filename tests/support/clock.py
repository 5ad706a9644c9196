"""Fake clock for code that takes `clock` and `sleep` as arguments."""

import asyncio


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
