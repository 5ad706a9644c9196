"""Rate limits for callers: requests, registrations, mails, logins, invalid requests and HubSpot calls."""

import inspect
import logging
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from fastapi import Request
from limits import RateLimitItem, RateLimitItemPerDay, parse
from limits.aio.storage import MemoryStorage as AsyncMemoryStorage
from limits.aio.storage import RedisStorage
from limits.aio.strategies import FixedWindowRateLimiter
from limits.storage import MemoryStorage
from slowapi import Limiter
from slowapi.errors import RateLimitExceeded
from starlette.concurrency import run_in_threadpool

from crm_api.errors import ApiError
from crm_api.security.crypto import keyed_hash
from crm_api.security.networks import networks_of
from crm_api.settings import Settings

logger = logging.getLogger(__name__)

_PREFIX = "crm-api:limit"
# A Redis server that does not respond must not delay requests.
_REDIS_TIMEOUT_SECONDS = 0.2
_REDIS_RETRY_INTERVAL_SECONDS = 1.0
_SWEEP_INTERVAL_SECONDS = 60.0
_MAX_REFUSED_NETWORKS = 10_000

# Providers assign a /64, a /56 or a /48 to one customer. A larger network may send this many times what a /64 may.
_IPV6_FACTORS = {64: 1, 56: 4, 48: 16}

_WRONG_GUESSES = frozenset({"invalid_credentials", "invalid_grant", "invalid_link", "wrong_password"})


# slowapi identifies a limit by a function's name, so each of these names a limit that several routes share.
def registrations(request: Request) -> None: ...


def user_requests(request: Request) -> None: ...


def client_address(request: Request) -> str:
    """Return the caller's network address. Forwarded headers count only from the proxies that uvicorn trusts."""
    return request.client.host if request.client else "unknown"


def client_networks(request: Request) -> tuple[str, ...]:
    """Return the networks that count as one caller, smallest first: the IPv4 address, or IPv6 networks."""
    return networks_of(client_address(request), tuple(_IPV6_FACTORS))


def _network(request: Request) -> str:
    return client_networks(request)[0]


def _user_or_address(request: Request) -> str:
    user_id = getattr(request.state, "user_id", None)
    return f"user:{user_id}" if user_id else f"address:{_network(request)}"


class _SweptMemory(MemoryStorage):
    """Counters in memory. The base class starts a thread for nearly every count to delete expired counters."""

    STORAGE_SCHEME = ["swept-memory"]  # noqa: RUF012 - `limits` reads this attribute

    def __init__(self, uri: str | None = None, wrap_exceptions: bool = False, **options: str) -> None:
        super().__init__(uri, wrap_exceptions, **options)
        self.timer.cancel()
        self.timer = cast("threading.Timer", _AlwaysRunning())
        self._sweep_at = time.monotonic() + _SWEEP_INTERVAL_SECONDS

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        if time.monotonic() >= self._sweep_at:
            self._sweep_at = time.monotonic() + _SWEEP_INTERVAL_SECONDS
            for expiring_key in list(self.expirations):
                self.get(expiring_key)  # deletes the counter if it has expired
        return super().incr(key, expiry, amount)


class _AlwaysRunning:
    """Timer that claims to run, so that the library `limits` does not start its own thread."""

    def is_alive(self) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class _Counter:
    """Counter of one limit, for the account, network or user that the key identifies."""

    item: RateLimitItem
    name: str
    key: str = field(repr=False)


def _per_network(item: RateLimitItem, name: str, request: Request) -> list[_Counter]:
    """Return a counter for each network of the caller, with a higher limit for larger networks."""
    scaled = [type(item)(item.amount * factor, item.multiples) for factor in _IPV6_FACTORS.values()]
    return [
        _Counter(limit, name, f"address:{network}")
        for limit, network in zip(scaled, client_networks(request), strict=False)
    ]


class RateLimits:
    """All limits of one application, counted in memory or, shared by all processes, in Redis."""

    def __init__(self, settings: Settings) -> None:
        self._enabled = settings.rate_limit_enabled
        self._keys = settings.secret_keys
        redis_url = settings.redis_url.get_secret_value() if settings.redis_url else None
        timeouts: dict[str, Any] = {
            "socket_timeout": _REDIS_TIMEOUT_SECONDS,
            "socket_connect_timeout": _REDIS_TIMEOUT_SECONDS,
        }
        # Limits registered on a Limiter that several applications share would count twice.
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
        assert settings.rate_limit_registrations is not None  # the settings have a default
        self._register(registrations, settings.rate_limit_registrations, _network)
        self._register(user_requests, settings.rate_limit_user, _user_or_address)
        self._per_user = parse(settings.rate_limit_user)
        self._per_account = parse(settings.rate_limit_failed_logins_per_account)
        self._per_address = parse(settings.rate_limit_failed_logins_per_address)
        self._mails = parse(settings.rate_limit_mails_per_recipient)
        self._registrations = parse(settings.rate_limit_registrations)
        self._per_account_total = parse(settings.rate_limit_failed_logins_per_account_total)
        self._logins = parse(settings.rate_limit_logins_per_address)
        self._invalid_requests = parse(settings.rate_limit_invalid_requests)
        self._hubspot_calls = RateLimitItemPerDay(settings.hubspot_daily_limit_per_user or 1)
        self._refused_until: dict[str, float] = {}
        self._memory = FixedWindowRateLimiter(AsyncMemoryStorage())
        self._redis = (
            RedisStorage(f"async+{redis_url}", implementation="redispy", **timeouts) if redis_url else None
        )
        self._shared = FixedWindowRateLimiter(self._redis) if self._redis else None
        self._redis_retry_at = 0.0

    def _register(self, bucket: Callable[..., None], limit: str, key: Callable[..., str]) -> None:
        parse(limit)  # raises for a malformed limit, which slowapi would only log and ignore
        # slowapi computes the signature for every request unless it is cached on the function.
        setattr(key, "__signature__", inspect.signature(key))  # noqa: B010 - not an attribute of Callable's type
        self._limiter.limit(limit, key_func=key)(bucket)

    async def require(self, request: Request, bucket: Callable[..., None]) -> None:
        """Count the request. Raises 429 if the limit is exceeded."""
        if not self._enabled:
            return
        try:
            await self._check(request, bucket)
        except RateLimitExceeded as error:
            item, reset_in = await self._exceeded(request)
            raise _rate_limit_error(item, reset_in) from error
        current = getattr(request.state, "view_rate_limit", None)
        if current is not None:
            item, (_, *_identifiers) = current[0], current[1]
            request.state.response_headers = {
                **getattr(request.state, "response_headers", {}),
                "RateLimit-Policy": f'"{bucket.__name__}";q={item.amount};w={item.get_expiry()}',
            }

    async def _check(self, request: Request, bucket: Callable[..., None]) -> None:
        check: Callable[..., None] = self._limiter._check_request_limit  # noqa: SLF001 - slowapi has no public method without a decorator
        if self._shared is None:
            check(request, bucket, False)  # counters in a dictionary do not block
            return
        # slowapi's Redis storage is synchronous: in the event loop, a slow Redis would block every request.
        try:
            await run_in_threadpool(check, request, bucket, False)
        except RateLimitExceeded:
            raise
        except Exception:  # noqa: BLE001 - Redis failures have many classes
            # slowapi falls back to memory for the first request that fails, and raises for concurrent requests: their
            # retry uses the fallback.
            await run_in_threadpool(check, request, bucket, False)

    async def _exceeded(self, request: Request) -> tuple[RateLimitItem, float]:
        item, identifiers = request.state.view_rate_limit
        stats = await run_in_threadpool(self._limiter.limiter.get_window_stats, item, *identifiers)
        return item, max(0.0, stats.reset_time - time.time())

    async def require_registrations(self, request: Request) -> None:
        """Count a registration or a requested mail for the networks of the caller. Raises 429."""
        await self.require(request, registrations)
        if self._enabled:
            # slowapi has counted the smallest network.
            await self._require(*_per_network(self._registrations, "registrations", request)[1:])

    async def require_mail(self, recipient: str) -> None:
        """Count a requested mail for its recipient, with or without a user. Raises 429."""
        if self._enabled:
            hashes = self._hashes("mail-limit", recipient)
            await self._require(*(_Counter(self._mails, "mails", hashed) for hashed in hashes))

    def _hashes(self, purpose: str, target: str) -> list[str]:
        """Return a hash with each key, so that processes with different keys count together during a rotation.

        Redis stores only hashes of e-mail addresses, so that a dump is not a list of users.
        """
        return [keyed_hash(key, purpose, target) for key in self._keys]

    async def require_hubspot_calls(self, user_id: str) -> None:
        """Raise 429 if the HubSpot calls for this user have reached the limit of the day."""
        counter = _Counter(self._hubspot_calls, "hubspot", user_id)
        if self._enabled and await self._value(counter) >= counter.item.amount:
            raise _rate_limit_error(counter.item, await self._reset_in(counter))

    async def count_hubspot_calls(self, user_id: str, calls: int) -> None:
        """Count the HubSpot calls of a finished request, so requests that run at the same time may exceed the limit."""
        if self._enabled:
            await self._count(_Counter(self._hubspot_calls, "hubspot", user_id), calls)

    async def count_invalid_request(self, request: Request) -> None:
        """Count an invalid request without a login. Raises 429 if its network has sent too many."""
        if not self._enabled:
            return
        for counter in _per_network(self._invalid_requests, "invalid", request):
            if await self._count(counter, 1) > counter.item.amount:
                reset_in, current = await self._reset_in(counter), time.monotonic()
                if len(self._refused_until) >= _MAX_REFUSED_NETWORKS:
                    self._refused_until = {
                        key: end for key, end in self._refused_until.items() if end > current
                    }
                self._refused_until[counter.key] = current + reset_in
                raise _rate_limit_error(counter.item, reset_in)

    def require_valid_requests(self, request: Request) -> None:
        """Raise 429 if this process refuses the network of the request because of invalid requests."""
        for counter in _per_network(self._invalid_requests, "invalid", request):
            seconds = self._refused_until.get(counter.key, 0.0) - time.monotonic()
            if seconds > 0:
                raise _rate_limit_error(counter.item, seconds)

    @asynccontextmanager
    async def limit_guesses(
        self, request: Request, target: str, *, has_session: bool = False
    ) -> AsyncGenerator[None, None]:
        """Count an attempt to enter a secret of `target` (an e-mail address or a link). Raises 429 above the limit.

        The attempt counts as failed before the block runs, so that concurrent guesses cannot exceed the limit. The
        count is taken back unless the block raises an error for a wrong secret or is cancelled. With a session, only
        the attempts with sessions count, so that strangers' guesses do not lock the user out.
        """
        if not self._enabled:
            yield
            return
        hashes = self._hashes("session-limit" if has_session else "login-limit", target)
        # The network comes first: if it is refused, the account is not counted, and so cannot be locked out.
        failures = _per_network(self._per_address, "failed-login", request)
        for hashed in hashes:
            account = f"account:{hashed}"
            failures += [
                _Counter(self._per_account, "failed-login", f"{account}:{_network(request)}"),
                _Counter(self._per_account_total, "failed-login", account),
            ]
        # Successful logins also cost a password hash, so they have limits too.
        logins = _per_network(self._logins, "login", request)
        if has_session:
            failures = [_Counter(self._per_account, "failed-login", f"account:{hashed}") for hashed in hashes]
            logins = []
        per_user = [_Counter(self._per_user, "failed-login", f"user:{hashed}") for hashed in hashes]
        await self._require(*logins, *failures, *per_user)
        try:
            yield
        except Exception as error:
            # Failures of the database or of HubSpot are not wrong guesses.
            if not (isinstance(error, ApiError) and error.error_type.code in _WRONG_GUESSES):
                await self._take_back(failures)
            raise
        await self._take_back(failures)

    async def aclose(self) -> None:
        """Close the connections to Redis."""
        if self._redis is not None:
            # `limits` cannot close its Redis storages, so their clients are closed directly.
            bridge: Any = self._redis.bridge
            await bridge.storage.aclose()
            synchronous: Any = self._limiter._storage  # noqa: SLF001
            await run_in_threadpool(synchronous.storage.close)

    async def _take_back(self, counters: Iterable[_Counter]) -> None:
        for counter in counters:
            # If a new window has started, its counter would become negative and allow one more guess.
            if await self._count(counter, -1) < 0:
                await self._count(counter, 1)

    async def _require(self, *counters: _Counter) -> None:
        """Count one event on the counters, in this order. Raises 429 at the first whose limit is exceeded."""
        for counter in counters:
            if await self._count(counter, 1) > counter.item.amount:
                raise _rate_limit_error(counter.item, await self._reset_in(counter))

    async def _count(self, counter: _Counter, change: int) -> int:
        """Change the counter of the current window and return its new value."""
        key = counter.item.key_for(_PREFIX, counter.name, counter.key)
        return int(
            await self._with_fallback(
                lambda limiter: limiter.storage.incr(key, counter.item.get_expiry(), amount=change)
            )
        )

    async def _value(self, counter: _Counter) -> int:
        key = counter.item.key_for(_PREFIX, counter.name, counter.key)
        return int(await self._with_fallback(lambda limiter: limiter.storage.get(key)))

    async def _reset_in(self, counter: _Counter) -> float:
        stats = await self._with_fallback(
            lambda limiter: limiter.get_window_stats(counter.item, _PREFIX, counter.name, counter.key)
        )
        return float(max(0.0, stats.reset_time - time.time()))

    async def _with_fallback(self, call: Callable[[FixedWindowRateLimiter], Awaitable[Any]]) -> Any:
        if self._shared is not None and time.monotonic() >= self._redis_retry_at:
            try:
                return await call(self._shared)
            except Exception as error:  # noqa: BLE001 - Redis failures have many classes
                self._redis_retry_at = time.monotonic() + _REDIS_RETRY_INTERVAL_SECONDS
                logger.warning("redis unavailable, rate limits fall back to memory: %s", type(error).__name__)
        return await call(self._memory)


def _rate_limit_error(item: RateLimitItem, reset_in: float) -> ApiError:
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
