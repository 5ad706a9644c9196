"""Quota shared by all processes through Redis; the local quota while Redis is unavailable."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

from crm_api.hubspot.errors import QuotaPolicy
from crm_api.hubspot.quota.arrivals import FASTEST_RISE, MARGIN_SECONDS, SentCalls, ignored_responses
from crm_api.hubspot.quota.daily import DailyReport
from crm_api.hubspot.quota.quota import (
    CLOCK_RESOLUTION_SECONDS,
    PAUSE_SECONDS,
    Budget,
    LocalQuota,
    Quota,
    QuotaTimeout,
    budget_for,
)
from crm_api.hubspot.quota.window import CHECK_SECONDS, RETENTION_SECONDS

logger = logging.getLogger(__name__)

# Interval between attempts while Redis is unavailable; each attempt may take the whole timeout.
RETRY_SECONDS: Final = 2.0
# A reservation of a cancelled caller may be used this much late; the window's guard is longer.
MAX_REUSE_DELAY_SECONDS: Final = 0.05

_REDIS_ERRORS: Final = (RedisError, OSError, TimeoutError)

# The window of `window.py`, in microseconds of Redis' clock. It reserves a time for each call at once, so that
# waiting processes send at different times without calling Redis again. In a window without pacing, `check` is not 0:
# a call that would wait longer reserves nothing and asks again, because responses can shorten the wait.
_RESERVE: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local stamps, state = KEYS[1], KEYS[2]
local limit, length, window = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local unpaced, longest_wait, pause = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local server_used, elapsed, retention = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local check, ignored, margin = tonumber(ARGV[10]), tonumber(ARGV[11]), tonumber(ARGV[12])
local rise = tonumber(ARGV[13])

local function add(at)
  local id = redis.call('HINCRBY', state, 'last_id', 1)
  redis.call('ZADD', stamps, at, id)
  return id
end
local function count(after, up_to)
  return redis.call('ZCOUNT', stamps, string.format('(%.0f', after), string.format('%.0f', up_to))
end
local function score(rank)
  return tonumber(redis.call('ZRANGE', stamps, rank, rank, 'WITHSCORES')[2])
end

-- Responses: call, time when it was sent, and response time, as in `arrivals.py`.
for index = 14, #ARGV, 3 do
  local sent_at, response_time = tonumber(ARGV[index + 1]), tonumber(ARGV[index + 2])
  local fastest = tonumber(redis.call('HGET', state, 'fastest') or math.huge)
  fastest = math.min(response_time, fastest * rise)
  redis.call('HSET', state, 'fastest', string.format('%.0f', fastest))
  local unused = length - window - margin - (response_time - fastest)
  if redis.call('HINCRBY', state, 'responses', 1) > ignored and unused > 0 then
    redis.call('ZADD', stamps, 'XX', string.format('%.0f', sent_at - unused), ARGV[index])
  end
end
redis.call('ZREMRANGEBYSCORE', stamps, '-inf', string.format('%.0f', now - length - retention))
local blocked = tonumber(redis.call('HGET', state, 'blocked_until') or 0)
if pause > 0 and now + pause > blocked then
  blocked = now + pause
  redis.call('HSET', state, 'blocked_until', string.format('%.0f', blocked))
end
if server_used >= 0 then
  local others = math.min(server_used, limit) - count(now - elapsed - length, now)
  for index = 1, others do
    add(math.floor(now - window + window / others * (index - 0.5)))
  end
end
local when = math.max(now, blocked)
local known = redis.call('ZCARD', stamps)
if known > 0 then
  if known >= limit then
    when = math.max(when, score(-limit) + length)
  end
  if unpaced < limit then
    local last = score(-1)
    when = math.max(when, last)
    local after = string.format('(%.0f', when - length)
    local used = redis.call('ZCOUNT', stamps, after, '+inf')
    if used >= unpaced then
      local rate = math.huge
      local found = redis.call('ZRANGE', stamps, -used, -1, 'WITHSCORES')
      for index = 0, used - 1 do
        local remaining = math.max(found[2 * index + 2] + length - when, 1)
        rate = math.min(rate, (limit - used + index) / remaining)
      end
      if rate > 0 then
        when = math.max(when, last + 1 / rate)
      end
    end
  end
end
local result, id = 'refused', 0
if when - now <= longest_wait then
  if check > 0 and when - now > check then
    result = 'ask again'
  else
    result = 'reserved'
    when = math.floor(when)
    id = add(when)
  end
end
local ttl = math.ceil((length + retention + math.max(0, when - now)) / 1000)
redis.call('PEXPIRE', stamps, ttl)
redis.call('PEXPIRE', state, ttl)
return {result, math.ceil(when - now), id, when}
"""

# Replaces the stored report by a newer one, then returns the stored one. A report is outdated after a day.
_SHARE_REPORT: Final = """
if #ARGV > 0 then
  local time = redis.call('TIME')
  local reported_at = time[1] * 1000 + math.floor(time[2] / 1000) - tonumber(ARGV[3])
  if reported_at >= tonumber(redis.call('HGET', KEYS[1], 'reported_at') or 0) then
    redis.call('HSET', KEYS[1], 'limit', ARGV[1], 'remaining', ARGV[2],
      'reported_at', string.format('%.0f', reported_at))
    redis.call('PEXPIRE', KEYS[1], 86400000)
  end
end
return redis.call('HMGET', KEYS[1], 'limit', 'remaining', 'reported_at')
"""


@dataclass(frozen=True, slots=True)
class _Stamp:
    """Call in Redis, and its time on Redis's clock in microseconds."""

    id: int
    microseconds: int


@dataclass(frozen=True, slots=True)
class _Reservation:
    """Time at which a call may be sent, or without a stamp, at which to ask again."""

    stamp: _Stamp | None
    at: float
    counted_at: float
    """Earliest time that Redis can have counted, whose clock is known up to the duration of the call."""


class RedisQuota(Quota):
    """One quota for all processes with the same account key.

    Callers of this process take turns before they reserve. `local` counts the daily limit, because the headers that
    correct it include every process. While Redis is unavailable or slow, `local` decides alone and a 429 is possible.
    """

    def __init__(
        self,
        redis: Redis,
        *,
        account_key: str,
        local: LocalQuota,
        timeout_seconds: float = 0.2,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        super().__init__(local.windows, clock=clock, sleep=sleep)
        self._script = redis.register_script(_RESERVE)
        self._share_report = redis.register_script(_SHARE_REPORT)
        # The hash tag keeps both keys of a budget on one node of a cluster.
        self._key = f"hubspot-quota:{{{account_key}}}"
        self._local = local
        self._timeout_seconds = timeout_seconds
        self._unavailable_until: float | None = None
        self._paused_until: dict[Budget, float] = {}
        self._server_used: tuple[int, float] | None = None
        self._shared_report: DailyReport | None = None
        self._unused_reservations: dict[Budget, _Reservation] = {}
        self._sent: dict[Budget, SentCalls[_Stamp]] = {
            budget: SentCalls() for budget, window in local.windows.items() if not window.is_paced
        }
        self._responses: dict[Budget, list[tuple[_Stamp, float]]] = {}
        self._reserved_until: dict[Budget, float] = {}

    def expected_wait(self, budget: Budget) -> float:
        """Estimate the wait from the latest reservation, which follows those of all processes."""
        calls_ahead = self.calls_ahead(budget)
        window = self.windows[budget]
        until_latest = self._reserved_until.get(budget, 0.0) - self._clock()
        until_sent = until_latest + (calls_ahead + 1) * window.length_seconds / window.limit
        return max(self._local.wait_behind(budget, calls_ahead), until_sent if until_latest > 0 else 0.0)

    def observe(self, budget: Budget, headers: Mapping[str, str], *, elapsed_seconds: float = 0.0) -> None:
        """Correct the local counts now, and the shared counts with the next call."""
        self._local.observe(budget, headers, elapsed_seconds=elapsed_seconds)
        sent_at = self._clock() - elapsed_seconds
        if budget in self._sent and (stamp := self._sent[budget].pop(sent_at)) is not None:
            self._responses.setdefault(budget, []).append((stamp, elapsed_seconds))
        used = self._local.adopt_headers(headers)
        if used is not None:
            self._server_used = (used, sent_at)

    def on_rate_limited(self, policy: QuotaPolicy, retry_after: float | None) -> None:
        """Pause the limit that a 429 reports: in this process now, in each other process before its next call."""
        self._local.on_rate_limited(policy, retry_after)
        budget = budget_for(policy)
        if budget is not None:
            pause = PAUSE_SECONDS[budget] if retry_after is None else retry_after
            self._paused_until[budget] = max(self._paused_until.get(budget, 0.0), self._clock() + pause)

    def snapshot(self) -> dict[str, float]:
        """Return limits, this process's use and waiting calls; `shared` is 0 while Redis is unavailable."""
        values = self._local.snapshot()
        values |= {f"{budget}_waiting": self.waiting(budget) for budget in self._queues}
        return values | {"shared": float(self._unavailable_until is None)}

    async def daily_report(self) -> DailyReport | None:
        """Return the latest report of all processes, that of this process while Redis is unavailable."""
        own = self._local.daily.report
        arguments: list[int] = []
        if own is not None and own is not self._shared_report:
            arguments = [own.limit, own.remaining, int(self._local.daily.report_age_seconds * 1000)]
        try:
            async with asyncio.timeout(self._timeout_seconds):
                values = await self._share_report(keys=[f"{self._key}:daily"], args=arguments)
        except _REDIS_ERRORS:
            return own
        self._shared_report = own
        if None in values:
            return own
        limit, remaining, reported_at = map(int, values)
        return DailyReport(limit, remaining, reported_at / 1000)

    async def wait_for_capacity(self, budget: Budget, expires_at: float, *, unpaced_share: float) -> None:
        while True:
            reservation = await self._reserve(budget, expires_at, unpaced_share)
            if reservation is None:
                await self._local.wait_for_capacity(budget, expires_at, unpaced_share=unpaced_share)
                return
            await self._sleep_until(reservation, budget)
            if reservation.stamp is None:
                continue
            if self._paused_until.get(budget, 0.0) <= self._clock() + CLOCK_RESOLUTION_SECONDS:
                break
        self._local.count_sent(budget)
        if budget in self._sent:
            now = self._clock()
            late = _microseconds(now - reservation.counted_at)
            stamp = _Stamp(reservation.stamp.id, reservation.stamp.microseconds + late)
            self._sent[budget].add(stamp, sent_at=now)

    async def _sleep_until(self, reservation: _Reservation, budget: Budget) -> None:
        seconds = reservation.at - self._clock()
        if seconds <= 0:
            return
        try:
            await self._sleep(seconds)
        except asyncio.CancelledError:
            # Redis has counted the call of the cancelled caller, so the next call of this budget takes over
            # the reserved time.
            if reservation.stamp is not None:
                self._unused_reservations[budget] = reservation
            raise

    async def _reserve(self, budget: Budget, expires_at: float, unpaced_share: float) -> _Reservation | None:
        """Return a reservation, None without Redis. Raises `QuotaTimeout` if its time is after `expires_at`."""
        now, is_paced = self._clock(), unpaced_share < 1
        # A call that is not paced would wait longer for a reserved time than for its own.
        unused = self._unused_reservations.pop(budget, None) if is_paced else None
        if unused is not None and now - MAX_REUSE_DELAY_SECONDS <= unused.at <= expires_at:
            return unused
        if self._unavailable_until is not None and now < self._unavailable_until:
            return None
        try:
            result, wait, stamp = await self._run_script(
                budget, self._arguments(budget, now, expires_at, unpaced_share)
            )
        except _REDIS_ERRORS as error:
            if self._unavailable_until is None:
                logger.warning(
                    "redis unavailable, HubSpot quota falls back to this process: error=%s",
                    type(error).__name__,
                )
            self._unavailable_until = self._clock() + RETRY_SECONDS
            return None
        if self._unavailable_until is not None:
            logger.warning("redis available again, HubSpot quota is shared")
            self._unavailable_until = None
        received_at = self._clock()
        # A call that is not paced overtakes the latest one.
        latest = 0.0 if is_paced else self._reserved_until.get(budget, 0.0)
        self._reserved_until[budget] = max(latest, received_at + wait)
        if result == b"refused":
            raise QuotaTimeout(wait)
        if result == b"ask again":
            wait = self.windows[budget].seconds_until_check(wait)
            return _Reservation(None, received_at + wait, now + wait)
        return _Reservation(stamp, received_at + wait, now + wait)

    async def _run_script(self, budget: Budget, arguments: list[Any]) -> tuple[bytes, float, _Stamp]:
        try:
            return await self._run_script_once(budget, arguments)
        except _REDIS_ERRORS:
            if self._unavailable_until is not None:
                raise
            # A busy event loop, as at process start, looks like a slow Redis.
            return await self._run_script_once(budget, arguments)

    async def _run_script_once(self, budget: Budget, arguments: list[Any]) -> tuple[bytes, float, _Stamp]:
        async with asyncio.timeout(self._timeout_seconds):
            result, wait_microseconds, stamp_id, microseconds = await self._script(
                keys=[f"{self._key}:{budget}", f"{self._key}:{budget}:state"], args=arguments
            )
        return result, wait_microseconds / 1e6, _Stamp(stamp_id, microseconds)

    def _arguments(self, budget: Budget, now: float, expires_at: float, unpaced_share: float) -> list[Any]:
        window = self.windows[budget]
        used, elapsed = -1, 0.0
        if budget == "burst" and self._server_used is not None:
            server_used, sent_at = self._server_used
            self._server_used = None
            if now - sent_at < RETENTION_SECONDS:
                used, elapsed = server_used, now - sent_at
        pause = max(0.0, self._paused_until.get(budget, 0.0) - now)
        return [
            window.limit,
            _microseconds(window.length_seconds),
            _microseconds(window.window_seconds),
            window.unpaced(unpaced_share),
            _microseconds(max(0.0, expires_at - now)),
            _microseconds(pause),
            used,
            _microseconds(elapsed),
            _microseconds(RETENTION_SECONDS),
            0 if window.is_paced else _microseconds(CHECK_SECONDS),
            ignored_responses(window.configured_limit),
            _microseconds(MARGIN_SECONDS),
            FASTEST_RISE,
            *(
                value
                for stamp, elapsed_seconds in self._responses.pop(budget, [])
                for value in (stamp.id, stamp.microseconds, _microseconds(elapsed_seconds))
            ),
        ]

    def seconds_for(self, budget: Budget, calls: int) -> float:
        return self._local.seconds_for(budget, calls)


def _microseconds(seconds: float) -> int:
    return int(seconds * 1e6)
