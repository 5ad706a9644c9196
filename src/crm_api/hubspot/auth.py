"""Who we are to HubSpot: a static token, or access tokens renewed one at a time."""

import asyncio
import json
import logging
import math
import re
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, NoReturn

import httpx

from crm_api.hubspot.errors import (
    HubSpotConnectionError,
    HubSpotError,
    HubSpotGrantError,
    HubSpotQuotaError,
    HubSpotServerError,
    HubSpotTimeoutError,
    HubSpotUnreadableError,
)
from crm_api.hubspot.observer import NullObserver, Observer
from crm_api.hubspot.retry import parse_retry_after

logger = logging.getLogger(__name__)

CLOSE_SECONDS: Final = 2.0
# `status` in the answers of the token endpoint that no repeat will change.
# https://developers.hubspot.com/docs/api-reference/auth-oauth-v1/guide and
# https://github.com/NangoHQ/nango/pull/7664
DEAD_STATUSES: Final = frozenset(
    {"BAD_REFRESH_TOKEN", "BAD_CLIENT_ID", "BAD_CLIENT_SECRET", "BAD_HUB", "BAD_AUTH_CODE", "BAD_SCOPES"}
)
OPERATION: Final = "oauth.token"
_TOKEN = re.compile(r"[\x21-\x7e]+")


class StaticTokenAuth(httpx.Auth):
    """A service key or private-app token."""

    def __init__(self, token: str) -> None:
        self._authorization = bearer(token)

    def __repr__(self) -> str:
        return f"{type(self).__name__}('***')"

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Put the token on the request."""
        request.headers["Authorization"] = self._authorization
        yield request


class RefreshTokenAuth(httpx.Auth):
    """Access tokens for a refresh token: renewed before they expire, by one token request at a time.

    A renewal is a task of its own: who gives up waiting leaves it to the others, and a refresh token that HubSpot
    changed is not lost with whoever happened to ask. While the current token holds, nobody waits for the next one.
    A 401 leads to one renewal and one more try, and only if the token refused is still the current one. A refresh
    token or app that HubSpot no longer knows is logged once and then refused here, without asking, for
    `dead_seconds`; before that the kept refresh token is read again, which another process may have been given.
    Errors raised here have `sent` False: the call itself never left.
    """

    def __init__(
        self,
        client_id: str,
        client_secret: str,
        refresh_token: str,
        token_url: str,
        *,
        store_refresh_token: Callable[[str], Awaitable[None]] | None = None,
        load_refresh_token: Callable[[], Awaitable[str | None]] | None = None,
        clock: Callable[[], float] = time.monotonic,
        renew_margin_seconds: float = 300.0,
        dead_seconds: float = 60.0,
        renewal_pause_seconds: float = 10.0,
        renewal_seconds: float = 10.0,
    ) -> None:
        self._client_id = client_id
        self._client_secret = client_secret
        self._refresh_token = refresh_token
        self._token_url = token_url
        self._store_refresh_token = store_refresh_token
        self._load_refresh_token = load_refresh_token
        self._clock = clock
        self._renew_margin_seconds = renew_margin_seconds
        self._dead_seconds = dead_seconds
        self._renewal_pause_seconds = renewal_pause_seconds
        # An answer may come byte by byte, and nobody's deadline ends a renewal.
        self._renewal_seconds = renewal_seconds
        self._observer: Observer = NullObserver()
        self._connection: Callable[[], AbstractContextManager[httpx.AsyncClient]] | None = None
        self._renewal: asyncio.Task[_Renewal] | None = None
        self._access_token: str | None = None
        self._expires_at = 0.0
        self._renew_at = 0.0
        self._dead: _Failure | None = None
        self._dead_until = float("-inf")
        self._refusals_ignored_until = float("-inf")
        self.granted_scopes: frozenset[str] | None = None
        """What the app may do, once HubSpot has said so."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(client_id='***', client_secret='***', refresh_token='***')"

    def connect(
        self, connection: Callable[[], AbstractContextManager[httpx.AsyncClient]], observer: Observer
    ) -> None:
        """Send token requests through this connection, and tell of them."""
        self._connection = connection
        self._observer = observer

    async def aclose(self) -> None:
        """End a renewal under way, after giving it a moment: its answer may hold a changed refresh token."""
        if self._renewal is not None:
            await asyncio.wait([self._renewal], timeout=CLOSE_SECONDS)
            self._renewal.cancel()

    def sync_auth_flow(self, request: httpx.Request) -> NoReturn:
        """There is none."""
        raise RuntimeError("this authentication is for asynchronous clients")

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Renew if due, send, and after a 401 renew and send once more."""
        for is_last in (False, True):
            token = await self._current_token()
            request.headers["Authorization"] = bearer(token)
            response = yield request
            if response.status_code != 401 or not self._may_renew_after_refusal(token, is_last=is_last):
                return

    async def _current_token(self) -> str:
        now = self._clock()
        if self._access_token is not None and now < self._expires_at:
            if now >= self._renew_at and now >= self._dead_until:
                self._begin_renewal()
            return self._access_token
        if self._dead is not None and now < self._dead_until:
            raise self._dead.error()
        outcome = await asyncio.shield(self._begin_renewal())
        if isinstance(outcome, _Failure):
            raise outcome.error()
        return outcome

    def _begin_renewal(self) -> "asyncio.Task[_Renewal]":
        """The renewal under way, or a new one."""
        if self._renewal is None or self._renewal.done():
            self._renew_at = self._clock() + self._renewal_pause_seconds
            self._renewal = asyncio.create_task(self._renew())
        return self._renewal

    def _may_renew_after_refusal(self, token: str, *, is_last: bool) -> bool:
        """Whether a 401 is worth a renewal; a token that is no longer the current one was renewed already.

        Some tokens are refused for good, as if expired since 1970: renewing on every refusal would never end.
        https://github.com/HubSpot/hubspot-api-php/issues/363
        """
        now = self._clock()
        if is_last:
            self._refusals_ignored_until = now + self._renewal_pause_seconds
            return False
        if now < self._refusals_ignored_until:
            return False
        if self._access_token == token:
            self._access_token = None
        return True

    async def _renew(self) -> "_Renewal":
        outcome = await self._ask()
        if isinstance(outcome, _Failure) and outcome.is_dead:
            if await self._take_up_kept_token():
                outcome = await self._ask()
            if isinstance(outcome, _Failure) and outcome.is_dead:
                self._note_dead(outcome)
        self._observer.token_refreshed(outcome=outcome.name if isinstance(outcome, _Failure) else "ok")
        return outcome

    async def _ask(self) -> "_Renewal":
        if self._connection is None:
            raise RuntimeError("this authentication is not connected")
        # Everything in the body: queries end up in logs.
        # https://developers.hubspot.com/docs/api-reference/auth-oauth-v1/guide
        form = {
            "grant_type": "refresh_token",
            "client_id": self._client_id,
            "client_secret": self._client_secret,
            "refresh_token": self._refresh_token,
        }
        try:
            with self._connection() as http:
                async with asyncio.timeout(self._renewal_seconds):
                    answer = await http.post(self._token_url, data=form)
        except (TimeoutError, httpx.TimeoutException) as error:
            return _Failure(HubSpotTimeoutError, f"{type(error).__name__} at the token endpoint")
        except httpx.TransportError as error:
            return _Failure(HubSpotConnectionError, f"{type(error).__name__} at the token endpoint")
        except (httpx.HTTPError, httpx.StreamError):  # a body that does not decompress, for one
            return _Failure(HubSpotUnreadableError, "token answer not understood")
        return await self._outcome_of(answer)

    async def _outcome_of(self, answer: httpx.Response) -> "_Renewal":
        body = _object(answer)
        facts: dict[str, Any] = {"status_code": answer.status_code}
        if answer.is_success:
            access_token, lifetime_seconds = body.get("access_token"), _positive(body.get("expires_in"))
            if (
                not isinstance(access_token, str)
                or not _TOKEN.fullmatch(access_token)
                or not lifetime_seconds
            ):
                return _Failure(HubSpotUnreadableError, "token answer not understood", facts)
            await self._accept(body, access_token, lifetime_seconds)
            return access_token
        retry_after = parse_retry_after(answer.headers, now=datetime.now(UTC))
        if answer.status_code == 429:
            # https://github.com/PostHog/posthog/issues/64049: many refreshes at once.
            facts |= {"policy": "token", "retry_after": retry_after}
            return _Failure(HubSpotQuotaError, "", facts)
        if answer.status_code >= 500 or answer.status_code == 408:
            return _Failure(HubSpotServerError, "token endpoint failed", facts | {"retry_after": retry_after})
        code = body.get("status") if body.get("status") in DEAD_STATUSES else body.get("error")
        facts["category"] = code if isinstance(code, str) else None
        return _Failure(HubSpotGrantError, "refresh token or app credentials are dead", facts)

    async def _accept(self, body: dict[str, Any], access_token: str, lifetime_seconds: float) -> None:
        margin = min(self._renew_margin_seconds, lifetime_seconds / 2)
        self._access_token = access_token
        self._expires_at = self._clock() + lifetime_seconds
        self._renew_at = self._expires_at - margin
        self._dead = None
        self._dead_until = float("-inf")
        if isinstance(body.get("scopes"), list):
            self.granted_scopes = frozenset(each for each in body["scopes"] if isinstance(each, str))
        refresh_token = body.get("refresh_token")
        if isinstance(refresh_token, str) and refresh_token and refresh_token != self._refresh_token:
            self._refresh_token = refresh_token
            await self._keep(refresh_token)

    async def _keep(self, refresh_token: str) -> None:
        if self._store_refresh_token is None:
            return
        try:
            await self._store_refresh_token(refresh_token)
        except Exception as error:  # noqa: BLE001 - the calls go on; the operator has to know
            logger.error("the changed HubSpot refresh token could not be kept: %s", type(error).__name__)

    async def _take_up_kept_token(self) -> bool:
        """Whether another refresh token is kept than the one refused: the one that another process was given."""
        if self._load_refresh_token is None:
            return False
        try:
            kept = await self._load_refresh_token()
        except Exception as error:  # noqa: BLE001 - then it is as if none was kept
            logger.warning("the kept HubSpot refresh token could not be read: %s", type(error).__name__)
            return False
        if kept is None or kept == self._refresh_token:
            return False
        self._refresh_token = kept
        return True

    def _note_dead(self, failure: "_Failure") -> None:
        if self._dead is None:
            logger.error(
                "HubSpot refuses the refresh token or the app's credentials (%s); install the app anew or set "
                "other credentials",
                failure.error().category or failure.facts.get("status_code"),
            )
        self._dead = failure
        self._dead_until = self._clock() + self._dead_seconds


@dataclass(frozen=True, slots=True)
class _Failure:
    """How a renewal failed; each who waited for it raises an error of their own."""

    kind: type[HubSpotError]
    reason: str
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_dead(self) -> bool:
        return self.kind is HubSpotGrantError

    @property
    def name(self) -> str:
        return "dead_grant" if self.is_dead else self.kind.__name__

    def error(self) -> HubSpotError:
        return self.kind(self.reason, operation=OPERATION, sent=False, **self.facts)


_Renewal = str | _Failure
"""The new access token, or why there is none."""


def bearer(token: str) -> str:
    """The header's value; a token with other characters would be quoted in the error that h11 raises."""
    if not _TOKEN.fullmatch(token):
        raise ValueError("the HubSpot access token is empty or has characters that no token has")
    return f"Bearer {token}"


def _positive(value: object) -> float | None:
    """A number of seconds; None where it is none."""
    if isinstance(value, int | float) and math.isfinite(value) and value > 0:
        return float(value)
    return None


def _object(answer: httpx.Response) -> dict[str, Any]:
    try:
        body = json.loads(answer.content)
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}
