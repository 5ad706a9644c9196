"""Quota of one process: HubSpot's burst, search and daily limits, shared fairly between callers.

https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines
"""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Literal

from crm_api.hubspot.errors import QuotaPolicy
from crm_api.hubspot.quota.arrivals import ResponseTimes, SentCalls
from crm_api.hubspot.quota.daily import DailyAllowance, DailyReport, parse_count
from crm_api.hubspot.quota.fair_queue import FairQueue, Priority, RecentCalls
from crm_api.hubspot.quota.window import UNPACED_REFRESH_SHARE, UNPACED_SHARE, SlidingWindow

# Searches have their own limit, and their responses carry no rate headers. HubSpot does not document that they also
# count in the burst limit. https://developers.hubspot.com/docs/api-reference/search/guide
Budget = Literal["burst", "search"]
BUDGETS: Final[tuple[Budget, ...]] = ("burst", "search")
CLOCK_RESOLUTION_SECONDS: Final = 1e-6
# Pause after a 429 without Retry-After. The windows slide, so capacity returns gradually.
PAUSE_SECONDS: Final[Mapping[Budget, float]] = {"burst": 1.0, "search": 1.0}


class QuotaTimeout(Exception):  # noqa: N818 - named like asyncio's TimeoutError
    """No quota within the caller's time; `retry_after` is in seconds."""

    def __init__(self, retry_after: float) -> None:
        super().__init__(retry_after)
        self.retry_after = max(0.0, retry_after)


class Quota(ABC):
    """Decides when a call may be sent: calls of one budget are admitted one at a time, and callers take turns.

    Callers with few recent calls (light callers) have a queue of their own and are not paced, so they do not wait
    behind a caller who sends many, nor behind background calls.
    """

    def __init__(
        self,
        windows: Mapping[Budget, SlidingWindow],
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self.windows = windows
        self._clock = clock
        self._sleep = sleep
        self._queues: Mapping[Budget, FairQueue] = {budget: FairQueue() for budget in BUDGETS}
        self._light_queues: Mapping[Budget, FairQueue] = {budget: FairQueue() for budget in BUDGETS}
        self._recent_calls = {budget: RecentCalls(windows[budget].length_seconds) for budget in BUDGETS}

    async def acquire(
        self,
        budget: Budget,
        *,
        caller: str | None,
        timeout_seconds: float,
        is_background: bool = False,
        has_fallback: bool = False,
        is_started_write: bool = False,
        connection_slot: asyncio.Semaphore | None = None,
    ) -> float:
        """Wait until a call may be sent; return the seconds waited. Raises `QuotaTimeout` if that takes too long.

        A background call waits until no other call does. A call with a fallback (a cached response) is paced, so that
        it leaves quota to the others. A started write, whose incoming request has already used quota, has its turn
        before the other calls of its queue, so that this quota is not used in vain; it is paced like them.
        `connection_slot` is acquired before the call is counted, so that no counted call waits for a connection.
        The code that called `acquire` releases it.
        """
        started = self._clock()
        expires_at = started + timeout_seconds
        is_refresh = is_background or has_fallback
        is_light = not is_refresh and self._is_light(budget, caller)
        unpaced_share = 1.0 if is_light else UNPACED_REFRESH_SHARE if is_refresh else UNPACED_SHARE
        queue = self._light_queues[budget] if is_light else self._queues[budget]
        priority = Priority.NORMAL
        if is_background:
            priority = Priority.BACKGROUND
        elif is_started_write:
            priority = Priority.STARTED_WRITE
        await self._take_turn(queue, budget, caller, expires_at, priority)
        try:
            if not is_light:
                # A paced call also waits until no light call is waiting.
                light_queue = self._light_queues[budget]
                await self._take_turn(light_queue, budget, None, expires_at, Priority.BACKGROUND)
                light_queue.release()
            if connection_slot is not None:
                await self._acquire_slot(connection_slot, expires_at)
            try:
                await self.wait_for_capacity(budget, expires_at, unpaced_share=unpaced_share)
            except BaseException:
                if connection_slot is not None:
                    connection_slot.release()
                raise
        finally:
            queue.release()
        return self._clock() - started

    def _is_light(self, budget: Budget, caller: str | None) -> bool:
        """Count the call and return True if its caller has sent few recently; False if it must be paced."""
        return self._recent_calls[budget].add(caller, self._clock()) <= self.windows[budget].light_calls

    async def _take_turn(
        self, queue: FairQueue, budget: Budget, caller: str | None, expires_at: float, priority: Priority
    ) -> None:
        if queue.take_free_turn():
            return
        try:
            async with asyncio.timeout(max(0.0, expires_at - self._clock())):
                await queue.wait_for_turn(caller, priority)
        except TimeoutError:
            raise QuotaTimeout(self.seconds_for(budget, self.waiting(budget) + 1)) from None

    async def _acquire_slot(self, connection_slot: asyncio.Semaphore, expires_at: float) -> None:
        if not connection_slot.locked():
            await connection_slot.acquire()
            return
        try:
            async with asyncio.timeout(max(0.0, expires_at - self._clock())):
                await connection_slot.acquire()
        except TimeoutError:
            raise QuotaTimeout(1.0) from None

    def waiting(self, budget: Budget) -> int:
        """Return the number of calls that wait for their turn."""
        return len(self._queues[budget]) + len(self._light_queues[budget])

    def calls_ahead(self, budget: Budget) -> int:
        """Return the number of calls that have their turn or wait for it."""
        return self._queues[budget].calls_ahead + self._light_queues[budget].calls_ahead

    @abstractmethod
    def expected_wait(self, budget: Budget) -> float:
        """Estimate the seconds until a refresh that joins the queue now is sent, behind all that wait already."""

    @abstractmethod
    def observe(self, budget: Budget, headers: Mapping[str, str], *, elapsed_seconds: float = 0.0) -> None:
        """Correct the counts with the response headers of a call sent `elapsed_seconds` ago."""

    @abstractmethod
    def on_rate_limited(self, policy: QuotaPolicy, retry_after: float | None) -> None:
        """Pause the limit that a 429 reports."""

    @abstractmethod
    def snapshot(self) -> dict[str, float]:
        """Return limits, use and waiting calls, for metrics."""

    @abstractmethod
    async def daily_report(self) -> DailyReport | None:
        """Return HubSpot's latest report of the calls of the day, None before the first one."""

    @abstractmethod
    async def wait_for_capacity(self, budget: Budget, expires_at: float, *, unpaced_share: float) -> None:
        """Wait until the call may be sent. Raises `QuotaTimeout` if that is after `expires_at`.

        The call is paced if the window holds this share of the limit.
        """

    @abstractmethod
    def seconds_for(self, budget: Budget, calls: int) -> float:
        """Return an estimate of how many seconds it takes until this many waiting calls have been sent."""


class LocalQuota(Quota):
    """Quota of one process."""

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
        windows: Mapping[Budget, SlidingWindow] = {
            "burst": SlidingWindow(burst_limit, burst_window_seconds),
            "search": SlidingWindow(search_limit, search_window_seconds),
        }
        super().__init__(windows, clock=clock, sleep=sleep)
        self.daily = DailyAllowance(daily_limit, wall_clock=wall_clock)
        unpaced = {budget: window for budget, window in self.windows.items() if not window.is_paced}
        self._sent: dict[Budget, SentCalls[float]] = {budget: SentCalls() for budget in unpaced}
        self._response_times = {
            budget: ResponseTimes(window.limit, window.guard_seconds) for budget, window in unpaced.items()
        }

    def expected_wait(self, budget: Budget) -> float:
        return self.wait_behind(budget, self.calls_ahead(budget))

    def wait_behind(self, budget: Budget, calls_ahead: int) -> float:
        """Estimate the seconds until a refresh is sent that this many calls precede."""
        window, now = self.windows[budget], self._clock()
        sent_at = window.next_time(now, unpaced_share=UNPACED_REFRESH_SHARE)
        until_next = max(sent_at - now, self.daily.paused_seconds)
        if until_next <= 0 and window.used(now) + calls_ahead < window.unpaced(UNPACED_REFRESH_SHARE):
            return 0.0
        return until_next + calls_ahead * window.length_seconds / window.limit

    def observe(self, budget: Budget, headers: Mapping[str, str], *, elapsed_seconds: float = 0.0) -> None:
        """Lower the limit to the one that HubSpot states, and count the calls of other programs."""
        self.daily.observe(headers)
        now = self._clock()
        sent_at = now - elapsed_seconds
        if budget in self._sent:
            unused = self._response_times[budget].unused_guard(elapsed_seconds)
            if (stamp := self._sent[budget].pop(sent_at)) is not None:
                self.windows[budget].shorten_guard(stamp, unused)
        used = self.adopt_headers(headers)
        if used is not None:
            self.windows["burst"].count_others(used, now=now, sent_at=sent_at)

    def adopt_headers(self, headers: Mapping[str, str]) -> int | None:
        """Return HubSpot's count of the burst window and adopt its limit if that is lower.

        Returns None without such headers, or if they describe another window. Responses to searches have none.
        https://developers.hubspot.com/docs/api-reference/search/guide
        """
        window = self.windows["burst"]
        limit = parse_count(headers.get("x-hubspot-ratelimit-max"))
        remaining = parse_count(headers.get("x-hubspot-ratelimit-remaining"))
        interval = parse_count(headers.get("x-hubspot-ratelimit-interval-milliseconds"))
        if limit is None or remaining is None or limit <= 0:
            return None
        if interval is not None and interval != round(window.window_seconds * 1000):
            return None
        window.adopt_limit(limit)
        return max(0, limit - remaining)

    def on_rate_limited(self, policy: QuotaPolicy, retry_after: float | None) -> None:
        if policy == "daily":
            self.daily.exhaust()
            return
        budget = budget_for(policy)
        if budget is not None:
            pause = PAUSE_SECONDS[budget] if retry_after is None else retry_after
            self.windows[budget].block_until(self._clock() + pause)

    def snapshot(self) -> dict[str, float]:
        now = self._clock()
        values: dict[str, float] = {
            "daily_limit": self.daily.limit,
            "daily_remaining": self.daily.remaining,
            "daily_paused_seconds": self.daily.paused_seconds,
        }
        for budget, window in self.windows.items():
            values[f"{budget}_limit"] = window.limit
            values[f"{budget}_used"] = window.used(now)
            values[f"{budget}_paused_seconds"] = window.paused_seconds(now)
            values[f"{budget}_waiting"] = self.waiting(budget)
        return values

    async def daily_report(self) -> DailyReport | None:
        return self.daily.report

    async def wait_for_capacity(self, budget: Budget, expires_at: float, *, unpaced_share: float) -> None:
        """Wait until a call may be sent. `expires_at` is a time of the clock that this quota was created with."""
        window = self.windows[budget]
        while True:
            now = self._clock()
            when = window.next_time(now, unpaced_share=unpaced_share)
            if when > expires_at:
                raise QuotaTimeout(when - now)
            if when <= now + CLOCK_RESOLUTION_SECONDS:
                break
            # Check again after the sleep: a 429 or the headers of another response may have changed the time.
            await self._sleep(window.seconds_until_check(when - now))
        wait = self.daily.take()
        if wait is not None:
            raise QuotaTimeout(wait)
        # Count the actual sending time, which may be later than planned.
        self._reserve(budget, max(when, self._clock()))

    def count_sent(self, budget: Budget) -> None:
        """Count a call that another quota admitted. Raises `QuotaTimeout` if the daily limit is reached."""
        wait = self.daily.take()
        if wait is not None:
            raise QuotaTimeout(wait)
        self._reserve(budget, self._clock())

    def _reserve(self, budget: Budget, when: float) -> None:
        stamp = self.windows[budget].reserve(when)
        if budget in self._sent:
            self._sent[budget].add(stamp, sent_at=stamp)

    def seconds_for(self, budget: Budget, calls: int) -> float:
        window = self.windows[budget]
        return max(1.0, calls * window.length_seconds / window.limit)


def budget_for(policy: QuotaPolicy) -> Budget | None:
    """Return the budget that a 429's policy names; None for the daily and token limits."""
    if policy == "search":
        return "search"
    if policy in ("burst", "unknown"):
        return "burst"
    return None
