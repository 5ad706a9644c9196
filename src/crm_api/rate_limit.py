"""What we allow our callers: requests per user and per address, and failed logins."""

import inspect
import logging
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

from fastapi import Request
from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage as AsyncMemoryStorage
from limits.aio.storage import RedisStorage
from limits.aio.strategies import FixedWindowRateLimiter
from limits.storage import MemoryStorage
from slowapi import Limiter
from slowapi.errors import RateLimitExceeded
from starlette.concurrency import run_in_threadpool

from crm_api.errors import ApiError
from crm_api.networks import network_of
from crm_api.security.crypto import keyed_hash
from crm_api.settings import Settings

logger = logging.getLogger(__name__)

_PREFIX = "crm-api:limit"
# A Redis that hangs must not hold up a request.
_REDIS_TIMEOUT_SECONDS = 0.2
_RETRY_REDIS_AFTER_SECONDS = 1.0
_SWEEP_SECONDS = 60.0

_WRONG_GUESSES = frozenset({"invalid_credentials", "invalid_grant", "invalid_link", "wrong_password"})


# slowapi finds a limit by the name of a function: these two stand for all routes that share one.
def registrations(request: Request) -> None:
    """Registrations and mails from one network address."""


def user_requests(request: Request) -> None:
    """Everything else that one user asks for."""


def client_address(request: Request) -> str:
    """The caller's network address; a proxy's word for it counts only as uvicorn was told to believe it."""
    return request.client.host if request.client else "unknown"


def _network(request: Request) -> str:
    return network_of(client_address(request))


def _user_or_address(request: Request) -> str:
    user_id = getattr(request.state, "user_id", None)
    return f"user:{user_id}" if user_id else f"address:{_network(request)}"


class _SweptMemory(MemoryStorage):
    """Counts in memory; that of `limits` starts a thread with nearly every count, to look for what has expired."""

    STORAGE_SCHEME = ["swept-memory"]  # noqa: RUF012 - `limits` reads it so

    def __init__(self, uri: str | None = None, wrap_exceptions: bool = False, **options: str) -> None:
        super().__init__(uri, wrap_exceptions, **options)
        self.timer.cancel()
        self.timer = cast("threading.Timer", _AlwaysRunning())
        self._sweep_at = time.monotonic() + _SWEEP_SECONDS

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        if time.monotonic() >= self._sweep_at:
            self._sweep_at = time.monotonic() + _SWEEP_SECONDS
            for each in list(self.expirations):
                self.get(each)  # forgets it where it has expired
        return super().incr(key, expiry, amount)


class _AlwaysRunning:
    """In the place of the timer that `limits` starts when it does not run."""

    def is_alive(self) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class _FailedLoginLimit:
    item: RateLimitItem
    key: str


class RateLimits:
    """All limits of one application, counted in memory, or in Redis for all processes together."""

    def __init__(self, settings: Settings) -> None:
        self._enabled = settings.rate_limit_enabled
        self._key = settings.secret_key.get_secret_value()
        redis_url = settings.redis_url.get_secret_value() if settings.redis_url else None
        timeouts: dict[str, Any] = {
            "socket_timeout": _REDIS_TIMEOUT_SECONDS,
            "socket_connect_timeout": _REDIS_TIMEOUT_SECONDS,
        }
        # One Limiter for each application: limits registered on a shared one would count double.
        self._limiter = Limiter(
            key_func=_user_or_address,
            key_style="endpoint",
            strategy="fixed-window",
            storage_uri=redis_url or f"{_SweptMemory.STORAGE_SCHEME[0]}://",
            storage_options=dict(timeouts) if redis_url else {},
            in_memory_fallback_enabled=redis_url is not None,
            key_prefix=f"{_PREFIX}:fixed-window",
            enabled=settings.rate_limit_enabled,
        )
        assert settings.rate_limit_registrations is not None  # the settings fill it in
        self._register(registrations, settings.rate_limit_registrations, _network)
        self._register(user_requests, settings.rate_limit_user, _user_or_address)
        self._per_user = parse(settings.rate_limit_user)
        self._per_account = parse(settings.rate_limit_failed_logins_per_account)
        self._per_address = parse(settings.rate_limit_failed_logins_per_address)
        self._memory = FixedWindowRateLimiter(AsyncMemoryStorage())
        self._redis = (
            RedisStorage(f"async+{redis_url}", implementation="redispy", **timeouts) if redis_url else None
        )
        self._shared = FixedWindowRateLimiter(self._redis) if self._redis else None
        self._shared_away_until = 0.0

    def _register(self, bucket: Callable[..., None], limit: str, key: Callable[..., str]) -> None:
        parse(limit)  # slowapi would only log a malformed limit and leave the route without one
        # slowapi asks for it with every request.
        setattr(key, "__signature__", inspect.signature(key))  # noqa: B010 - unknown to a Callable's type
        self._limiter.limit(limit, key_func=key)(bucket)

    async def require(self, request: Request, bucket: Callable[..., None]) -> None:
        """Count the request; past the limit raise the 429."""
        if not self._enabled:
            return
        try:
            await self._check(request, bucket)
        except RateLimitExceeded as error:
            item, reset_in = await self._exceeded(request)
            raise self._refusal(item, reset_in) from error
        current = getattr(request.state, "view_rate_limit", None)
        if current is not None:
            item, (_, *_identifiers) = current[0], current[1]
            request.state.response_headers = {
                **getattr(request.state, "response_headers", {}),
                "RateLimit-Policy": f'"{bucket.__name__}";q={item.amount};w={item.get_expiry()}',
            }

    async def _check(self, request: Request, bucket: Callable[..., None]) -> None:
        check: Callable[..., None] = self._limiter._check_request_limit  # noqa: SLF001 - its only way without a decorator
        if self._shared is None:
            check(request, bucket, False)  # a dictionary: not worth a thread
            return
        # slowapi's Redis storage is synchronous: on the event loop a slow Redis would stall every request.
        try:
            await run_in_threadpool(check, request, bucket, False)
        except RateLimitExceeded:
            raise
        except Exception:  # noqa: BLE001 - whatever a broken Redis raises
            # slowapi falls back to memory for the first who finds Redis away, and raises for the others who were on
            # their way: asked again, they find it fallen back.
            await run_in_threadpool(check, request, bucket, False)

    async def _exceeded(self, request: Request) -> tuple[RateLimitItem, float]:
        item, identifiers = request.state.view_rate_limit
        stats = await run_in_threadpool(self._limiter.limiter.get_window_stats, item, *identifiers)
        return item, max(0.0, stats.reset_time - time.time())

    @asynccontextmanager
    async def count_failed_login(
        self, request: Request, account: str
    ) -> AsyncGenerator["LoginAttempt", None]:
        """Count a login, and as failed before it is tried; take the latter back when it succeeds, or when we fail.

        Counting first means that a thousand guesses sent at one moment are a thousand, not one. `account` is an
        address, or whatever else the guesses are aimed at.
        """
        attempt = LoginAttempt()
        if not self._enabled:
            yield attempt
            return
        # An e-mail address never stands in Redis: a dump of it would be a list of our users.
        hashed = keyed_hash(self._key, "login-limit", account)
        limits = (
            # First: an address that is refused counts against nobody's account, or it could lock all of them out.
            _FailedLoginLimit(self._per_address, "address:" + _network(request)),
            _FailedLoginLimit(self._per_account, "account:" + hashed),
        )
        # Good logins cost a hash too, and are limited as whatever else a user asks for.
        for limit in (*limits, _FailedLoginLimit(self._per_user, "user:" + hashed)):
            if await self._count(limit, 1) > limit.item.amount:
                raise self._refusal(limit.item, await self._login_reset_in(limit))
        try:
            yield attempt
        except Exception as error:
            # Where the database or HubSpot is away, nobody has guessed wrong.
            attempt.succeeded = not (isinstance(error, ApiError) and error.kind.code in _WRONG_GUESSES)
            raise
        finally:
            if attempt.succeeded:
                for limit in limits:
                    await self._give_back(limit)

    async def aclose(self) -> None:
        """Close the connections to Redis."""
        if self._redis is not None:
            # Neither storage has a close of its own.
            bridge: Any = self._redis.bridge
            await bridge.storage.aclose()
            synchronous: Any = self._limiter._storage  # noqa: SLF001
            await run_in_threadpool(synchronous.storage.close)

    async def _give_back(self, limit: _FailedLoginLimit) -> None:
        # Where the window it was counted in is over, giving back would leave room for a guess more in the next one.
        if await self._count(limit, -1) < 0:
            await self._count(limit, 1)

    async def _count(self, limit: _FailedLoginLimit, change: int) -> int:
        """How many there are in this window after the change."""
        key = limit.item.key_for(_PREFIX, "failed-login", limit.key)
        return int(
            await self._with_fallback(
                lambda limiter: limiter.storage.incr(key, limit.item.get_expiry(), amount=change)
            )
        )

    async def _login_reset_in(self, limit: _FailedLoginLimit) -> float:
        stats = await self._with_fallback(
            lambda limiter: limiter.get_window_stats(limit.item, _PREFIX, "failed-login", limit.key)
        )
        return float(max(0.0, stats.reset_time - time.time()))

    async def _with_fallback(self, ask: Callable[[FixedWindowRateLimiter], Awaitable[Any]]) -> Any:
        if self._shared is not None and time.monotonic() >= self._shared_away_until:
            try:
                return await ask(self._shared)
            except Exception as error:  # noqa: BLE001 - whatever a broken Redis raises, limits go on in memory
                self._shared_away_until = time.monotonic() + _RETRY_REDIS_AFTER_SECONDS
                logger.warning("limits count in memory: Redis is away (%s)", type(error).__name__)
        return await ask(self._memory)

    @staticmethod
    def _refusal(item: RateLimitItem, reset_in: float) -> ApiError:
        seconds = max(1, round(reset_in + 0.499))
        return ApiError(
            "rate_limit_exceeded",
            error=f"ratelimit exceeded {item}",
            retry_after=reset_in,
            headers={
                "RateLimit": f'"default";r=0;t={seconds}',
                "RateLimit-Policy": f'"default";q={item.amount};w={item.get_expiry()}',
            },
        )


@dataclass(slots=True)
class LoginAttempt:
    """A login under way; set `succeeded` when it was one."""

    succeeded: bool = False
