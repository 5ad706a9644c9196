"""Who we are to HubSpot: a static token, or access tokens renewed one at a time."""

import asyncio
import json
import logging
import re
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from datetime import UTC, datetime
from typing import Any, Final, NoReturn

import httpx

from crm_api.hubspot.errors import (
    HubSpotConnectionError,
    HubSpotError,
    HubSpotGrantError,
    HubSpotQuotaError,
    HubSpotServerError,
    HubSpotUnreadableError,
)
from crm_api.hubspot.observer import NullObserver, Observer
from crm_api.hubspot.replies import TOKEN_REQUEST
from crm_api.hubspot.retry import parse_retry_after

logger = logging.getLogger(__name__)

# A request yielded from an auth flow does not inherit the client's timeouts.
TOKEN_TIMEOUT: Final = httpx.Timeout(connect=2.0, pool=1.0, read=4.0, write=4.0)
# `status` in the answers of the token endpoint that no repeat will change.
# https://developers.hubspot.com/docs/api-reference/auth-oauth-v1/guide and
# https://github.com/NangoHQ/nango/pull/7664
DEAD_STATUSES: Final = frozenset(
    {"BAD_REFRESH_TOKEN", "BAD_CLIENT_ID", "BAD_CLIENT_SECRET", "BAD_HUB", "BAD_AUTH_CODE", "BAD_SCOPES"}
)
DEAD_ERRORS: Final = frozenset({"invalid_grant", "invalid_client", "unauthorized_client", "access_denied"})
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

    A 401 leads to one renewal and one more try, and only if the token refused is still the current one. A
    refresh token or app that HubSpot no longer knows is logged once and then refused here, without asking, for
    `dead_seconds`. Errors raised here have `sent` False: the call itself never left.
    """

    def __init__(
        self,
        client_id: str,
        client_secret: str,
        refresh_token: str,
        token_url: str,
        *,
        on_refresh_token_changed: Callable[[str], Awaitable[None]] | None = None,
        clock: Callable[[], float] = time.monotonic,
        renew_margin_seconds: float = 300.0,
        dead_seconds: float = 60.0,
        renewal_pause_seconds: float = 10.0,
        observer: Observer | None = None,
    ) -> None:
        self._client_id = client_id
        self._client_secret = client_secret
        self._refresh_token = refresh_token
        self._token_url = token_url
        self._on_refresh_token_changed = on_refresh_token_changed
        self._clock = clock
        self._renew_margin_seconds = renew_margin_seconds
        self._dead_seconds = dead_seconds
        self._renewal_pause_seconds = renewal_pause_seconds
        self.observer: Observer = observer or NullObserver()
        """Told of token requests."""
        self._lock = asyncio.Lock()
        self._access_token: str | None = None
        self._expires_at = 0.0
        self._renew_at = 0.0
        self._dead_until = float("-inf")
        self._dead_code: str | None = None
        self._refusals_ignored_until = float("-inf")
        self._failures = 0
        self._last_failure: Callable[[], HubSpotError] | None = None
        self._saving: set[asyncio.Future[None]] = set()
        self.hub_id: str | None = None
        """The account, once HubSpot has named it."""
        self.granted_scopes: frozenset[str] | None = None
        """What the app may do, once HubSpot has said so."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(client_id='***', client_secret='***', refresh_token='***')"

    def sync_auth_flow(self, request: httpx.Request) -> NoReturn:
        """There is none."""
        raise RuntimeError("this authentication is for asynchronous clients")

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Renew if due, send, and after a 401 renew and send once more.

        The lock is held across the token request; httpx closes this generator, and so frees the lock, when that
        fails or its caller is cancelled.
        """
        failures = self._failures
        for is_last in (False, True):
            token = self._usable_token()
            if token is None:
                async with self._lock:
                    token = self._usable_token()
                    if token is None:
                        self._raise_if_pointless(failures)
                        answered = False
                        self._renew_at = self._clock() + self._renewal_pause_seconds
                        try:
                            answer = yield self._token_request()
                            answered = True
                            await answer.aread()
                        finally:
                            if not answered and not _is_being_cancelled():
                                self._note_failure(HubSpotConnectionError, "token request failed")
                        token = await self._token_from(answer)
            request.headers["Authorization"] = bearer(token)
            response = yield request
            if response.status_code != 401 or not self._may_renew_after_refusal(token, is_last=is_last):
                return

    def _usable_token(self) -> str | None:
        """The current token; None where it has expired or is due. Who renews it puts the due time off first."""
        due = self._access_token is None or self._clock() >= min(self._renew_at, self._expires_at)
        return None if due else self._access_token

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

    def _raise_if_pointless(self, failures_seen: int) -> None:
        """Share the failure of the renewal that this caller waited for; leave a dead grant alone for a while."""
        if self._clock() < self._dead_until:
            raise HubSpotGrantError(
                "refresh token or app credentials are dead", category=self._dead_code, operation=OPERATION
            )
        if self._failures > failures_seen and self._last_failure is not None:
            raise self._last_failure()

    def _token_request(self) -> httpx.Request:
        # Everything in the body: queries end up in logs.
        # https://developers.hubspot.com/docs/api-reference/auth-oauth-v1/guide
        form = {
            "grant_type": "refresh_token",
            "client_id": self._client_id,
            "client_secret": self._client_secret,
            "refresh_token": self._refresh_token,
        }
        return httpx.Request(
            "POST",
            self._token_url,
            data=form,
            headers={"Accept": "application/json"},
            extensions={"timeout": TOKEN_TIMEOUT.as_dict(), TOKEN_REQUEST: True},
        )

    async def _token_from(self, answer: httpx.Response) -> str:
        body = _object(answer)
        access_token, lifetime_seconds = body.get("access_token"), body.get("expires_in")
        if (
            answer.is_success
            and isinstance(access_token, str)
            and _TOKEN.fullmatch(access_token)
            and isinstance(lifetime_seconds, int | float)
        ):
            await self._accept(body, access_token, float(lifetime_seconds))
            return access_token
        error = self._error_from(answer, body)
        self.observer.token_refreshed(
            outcome="dead_grant" if isinstance(error, HubSpotGrantError) else type(error).__name__
        )
        if self._access_token is not None and self._clock() < self._expires_at:
            return self._access_token  # renewed too early to matter: the current one still holds
        raise error

    async def _accept(self, body: dict[str, Any], access_token: str, lifetime_seconds: float) -> None:
        now = self._clock()
        margin = min(self._renew_margin_seconds, lifetime_seconds / 2)
        self._access_token = access_token
        self._expires_at = now + lifetime_seconds
        self._renew_at = self._expires_at - margin
        self._dead_until = float("-inf")
        self._dead_code = None
        if isinstance(body.get("hub_id"), int | str):
            self.hub_id = str(body["hub_id"])
        if isinstance(body.get("scopes"), list):
            self.granted_scopes = frozenset(each for each in body["scopes"] if isinstance(each, str))
        self.observer.token_refreshed(outcome="ok")
        refresh_token = body.get("refresh_token")
        if isinstance(refresh_token, str) and refresh_token and refresh_token != self._refresh_token:
            self._refresh_token = refresh_token
            await self._save(refresh_token)

    async def _save(self, refresh_token: str) -> None:
        """Hand the new refresh token over, even if the caller who happened to get it is cancelled meanwhile."""
        if self._on_refresh_token_changed is None:
            return
        task = asyncio.ensure_future(self._on_refresh_token_changed(refresh_token))
        self._saving.add(task)
        task.add_done_callback(self._saved)
        await asyncio.wait([task])

    def _saved(self, task: asyncio.Future[None]) -> None:
        self._saving.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            logger.error("the changed HubSpot refresh token could not be kept: %s", type(error).__name__)

    def _error_from(self, answer: httpx.Response, body: dict[str, Any]) -> HubSpotError:
        status = answer.status_code
        facts: dict[str, Any] = {"status_code": status}
        if answer.is_success:
            return self._note_failure(HubSpotUnreadableError, "token answer not understood", **facts)
        retry_after = parse_retry_after(answer.headers, now=datetime.now(UTC))
        if status == 429:
            # https://github.com/PostHog/posthog/issues/64049: many refreshes at once.
            return self._note_failure(HubSpotQuotaError, policy="token", retry_after=retry_after, **facts)
        if status >= 500 or status == 408:
            reason = "token endpoint failed"
            return self._note_failure(HubSpotServerError, reason, retry_after=retry_after, **facts)
        code = body.get("status") if body.get("status") in DEAD_STATUSES else body.get("error")
        return self._note_dead(status, code if isinstance(code, str) else None)

    def _note_dead(self, status: int, code: str | None) -> HubSpotGrantError:
        error = HubSpotGrantError(
            "refresh token or app credentials are dead",
            status_code=status,
            category=code,
            operation=OPERATION,
        )
        if self._dead_code is None:
            logger.error(
                "HubSpot refuses the refresh token or the app's credentials (%s); install the app anew or set "
                "other credentials",
                error.category or status,
            )
        self._dead_code = error.category or "UNKNOWN"
        self._dead_until = self._clock() + self._dead_seconds
        return error

    def _note_failure(self, kind: type[HubSpotError], reason: str = "", **facts: Any) -> HubSpotError:
        """Remember a failure for those who wait behind it: they share it instead of each asking again."""

        def failure() -> HubSpotError:
            return kind(reason, operation=OPERATION, sent=False, **facts)

        self._failures += 1
        self._last_failure = failure
        return failure()


def bearer(token: str) -> str:
    """The header's value; a token with other characters would be quoted in the error that h11 raises."""
    if not _TOKEN.fullmatch(token):
        raise ValueError("the HubSpot access token is empty or has characters that no token has")
    return f"Bearer {token}"


def _is_being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _object(answer: httpx.Response) -> dict[str, Any]:
    try:
        body = json.loads(answer.content)
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}
