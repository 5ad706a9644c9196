"""A clock that only sleeping moves."""

import asyncio


class VirtualTime:
    """`clock` and `sleep` for one sleeper at a time; sleeps are recorded and take no time."""

    def __init__(self, start: float = 1000.0) -> None:
        self.now = start
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += max(0.0, seconds)
        await asyncio.sleep(0)
