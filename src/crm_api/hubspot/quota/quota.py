"""What HubSpot allows us: three budgets, waited for fairly.

https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines
"""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Literal, Protocol

from crm_api.hubspot.errors import QuotaPolicy
from crm_api.hubspot.quota.daily import DailyAllowance, whole_number
from crm_api.hubspot.quota.fair_queue import FairQueue
from crm_api.hubspot.quota.window import SlidingWindow

# Searches have a limit of their own and their answers carry no rate headers; that they count in the burst limit
# too is stated nowhere. https://developers.hubspot.com/docs/api-reference/search/guide
Budget = Literal["burst", "search"]
BUDGETS: Final[tuple[Budget, ...]] = ("burst", "search")
CLOCK_RESOLUTION_SECONDS: Final = 1e-6
# After a 429 without Retry-After nothing leaves for so long; the windows slide, so room appears bit by bit.
PAUSE_SECONDS: Final[Mapping[Budget, float]] = {"burst": 1.0, "search": 1.0}


class QuotaTimeout(Exception):  # noqa: N818 - it is what asyncio calls such a thing
    """No room within the time that the caller had; ask again after `retry_after` seconds."""

    def __init__(self, retry_after: float) -> None:
        super().__init__(retry_after)
        self.retry_after = max(0.0, retry_after)


class Quota(Protocol):
    """Decides when a request may leave."""

    async def acquire(
        self,
        budget: Budget,
        *,
        caller: str | None,
        timeout_seconds: float,
        slot: asyncio.Semaphore | None = None,
    ) -> float:
        """Wait until a request may leave, and return the seconds waited. Raises `QuotaTimeout`.

        `slot` is a free connection: it is taken before the request is counted, so that none is counted and
        then waits; it is the caller's to release once this has returned.
        """

    def observe(self, budget: Budget, headers: Mapping[str, str], *, elapsed_seconds: float = 0.0) -> None:
        """Correct the counts by the headers of an answer to a request sent `elapsed_seconds` ago."""

    def penalise(self, policy: QuotaPolicy, retry_after: float | None) -> None:
        """HubSpot answered 429."""

    def snapshot(self) -> dict[str, float]:
        """Limits, use and waiting callers, for metrics."""


class TurnTaking(ABC):
    """Fairness: requests of one budget leave one after the other, their callers taking turns."""

    def __init__(self, *, clock: Callable[[], float], sleep: Callable[[float], Awaitable[None]]) -> None:
        self._clock = clock
        self._sleep = sleep
        self._queues: Mapping[Budget, FairQueue] = {budget: FairQueue() for budget in BUDGETS}

    async def acquire(
        self,
        budget: Budget,
        *,
        caller: str | None,
        timeout_seconds: float,
        slot: asyncio.Semaphore | None = None,
    ) -> float:
        """Wait for the turn, for a connection, for room. Raises `QuotaTimeout`."""
        started = self._clock()
        expires_at = started + timeout_seconds
        queue = self._queues[budget]
        if not queue.take_free_turn():
            try:
                async with asyncio.timeout(max(0.0, timeout_seconds)):
                    await queue.wait_for_turn(caller)
            except TimeoutError:
                raise QuotaTimeout(self._seconds_for(budget, len(queue) + 1)) from None
        try:
            if slot is not None:
                await self._take(slot, expires_at)
            try:
                await self._wait_for_room(budget, expires_at)
            except BaseException:
                if slot is not None:
                    slot.release()
                raise
        finally:
            queue.release()
        return self._clock() - started

    async def _take(self, slot: asyncio.Semaphore, expires_at: float) -> None:
        if not slot.locked():
            await slot.acquire()
            return
        try:
            async with asyncio.timeout(max(0.0, expires_at - self._clock())):
                await slot.acquire()
        except TimeoutError:
            raise QuotaTimeout(1.0) from None

    def waiting(self, budget: Budget) -> int:
        """Requests that wait for their turn."""
        return len(self._queues[budget])

    @abstractmethod
    async def _wait_for_room(self, budget: Budget, expires_at: float) -> None:
        """Return when the request may leave; raise `QuotaTimeout` where that is after `expires_at`."""

    @abstractmethod
    def _seconds_for(self, budget: Budget, requests: int) -> float:
        """About how long so many requests take to leave."""


class LocalQuota(TurnTaking):
    """The quota of one process."""

    def __init__(
        self,
        *,
        burst_limit: int = 100,
        burst_window_seconds: float = 10.0,
        search_limit: int = 5,
        search_window_seconds: float = 1.0,
        daily_limit: int = 250_000,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(clock=clock, sleep=sleep)
        self.windows: Mapping[Budget, SlidingWindow] = {
            "burst": SlidingWindow(burst_limit, burst_window_seconds),
            "search": SlidingWindow(search_limit, search_window_seconds),
        }
        self.daily = DailyAllowance(daily_limit, wall_clock=wall_clock)

    def observe(self, budget: Budget, headers: Mapping[str, str], *, elapsed_seconds: float = 0.0) -> None:
        """Lower the limit to what HubSpot states, and count what other programs used."""
        self.daily.observe(headers)
        used = self.server_used(headers)
        if used is None:
            return
        now = self._clock()
        self.windows["burst"].count_others(used, now=now, sent_at=now - elapsed_seconds)

    def server_used(self, headers: Mapping[str, str]) -> int | None:
        """What HubSpot counted in the burst window; its limit, where lower than ours, becomes ours.

        None where the headers do not say, or speak of another window. Answers to searches carry none of these.
        https://developers.hubspot.com/docs/api-reference/search/guide
        """
        window = self.windows["burst"]
        limit = whole_number(headers.get("x-hubspot-ratelimit-max"))
        remaining = whole_number(headers.get("x-hubspot-ratelimit-remaining"))
        interval = whole_number(headers.get("x-hubspot-ratelimit-interval-milliseconds"))
        if limit is None or remaining is None or limit <= 0:
            return None
        if interval is not None and interval != round(window.window_seconds * 1000):
            return None
        window.adopt_limit(limit)
        return max(0, limit - remaining)

    def penalise(self, policy: QuotaPolicy, retry_after: float | None) -> None:
        """Pause the budget that the 429 was about."""
        if policy == "daily":
            self.daily.exhaust()
            return
        budget = budget_of(policy)
        if budget is not None:
            pause = PAUSE_SECONDS[budget] if retry_after is None else retry_after
            self.windows[budget].block_until(self._clock() + pause)

    def snapshot(self) -> dict[str, float]:
        """Limits, use and waiting callers."""
        now = self._clock()
        facts: dict[str, float] = {"daily_limit": self.daily.limit, "daily_remaining": self.daily.remaining}
        for budget, window in self.windows.items():
            facts[f"{budget}_limit"] = window.limit
            facts[f"{budget}_used"] = window.used(now)
            facts[f"{budget}_waiting"] = self.waiting(budget)
        return facts

    async def wait_for_room(self, budget: Budget, expires_at: float) -> None:
        """Wait until a request may leave, without taking a turn; `expires_at` is on this quota's clock."""
        window = self.windows[budget]
        while True:
            now = self._clock()
            when = window.next_time(now)
            if when > expires_at:
                raise QuotaTimeout(when - now)
            if when <= now + CLOCK_RESOLUTION_SECONDS:
                break
            # Asked anew afterwards: meanwhile HubSpot may have refused another request, or shown us other programs.
            await self._sleep(when - now)
        wait = self.daily.take()
        if wait is not None:
            raise QuotaTimeout(wait)
        # What counts is when it leaves, not when it was meant to.
        window.reserve(max(when, self._clock()))

    async def _wait_for_room(self, budget: Budget, expires_at: float) -> None:
        await self.wait_for_room(budget, expires_at)

    def count(self, budget: Budget) -> None:
        """Count a request that somebody else let leave now. Raises `QuotaTimeout` when the day is spent."""
        wait = self.daily.take()
        if wait is not None:
            raise QuotaTimeout(wait)
        self.windows[budget].reserve(self._clock())

    def seconds_for(self, budget: Budget, requests: int) -> float:
        """About how long so many requests take to leave."""
        window = self.windows[budget]
        return max(1.0, requests * window.length_seconds / window.limit)

    def _seconds_for(self, budget: Budget, requests: int) -> float:
        return self.seconds_for(budget, requests)


def budget_of(policy: QuotaPolicy) -> Budget | None:
    """The budget that a 429's policy is about; None where it is neither."""
    if policy == "search":
        return "search"
    return "burst" if policy in ("burst", "unknown") else None
