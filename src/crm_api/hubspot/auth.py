"""Authentication at HubSpot: a static token, or access tokens renewed with a refresh token."""

import asyncio
import logging
import math
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Protocol
from urllib.parse import urlencode

import httpx

from crm_api.hubspot.circuit import CircuitBreaker, CircuitOpenError
from crm_api.hubspot.connections import Connection
from crm_api.hubspot.error_parsing import certificate_problem
from crm_api.hubspot.errors import (
    HubSpotCertificateError,
    HubSpotConnectionError,
    HubSpotError,
    HubSpotGrantError,
    HubSpotQuotaError,
    HubSpotServerError,
    HubSpotTimeoutError,
    HubSpotUnavailableError,
    HubSpotUnreadableError,
)
from crm_api.hubspot.observer import Observer
from crm_api.hubspot.response_bodies import json_object
from crm_api.hubspot.retry import parse_retry_after

logger = logging.getLogger(__name__)

CLOSE_SECONDS: Final = 2.0
# Values of `status` in responses of the token endpoint that mean that retrying is useless.
# https://developers.hubspot.com/docs/api-reference/auth-oauth-v1/guide and
# https://github.com/NangoHQ/nango/pull/7664
PERMANENT_STATUSES: Final = frozenset(
    {"BAD_REFRESH_TOKEN", "BAD_CLIENT_ID", "BAD_CLIENT_SECRET", "BAD_HUB", "BAD_AUTH_CODE", "BAD_SCOPES"}
)
OPERATION: Final = "oauth.token"
FORM_CONTENT: Final = {"Content-Type": "application/x-www-form-urlencoded"}
_TOKEN = re.compile(r"[\x21-\x7e]+")


class Auth(Protocol):
    """What calls need: access tokens, and a decision after a 401."""

    async def access_token(self) -> str:
        """Return the token for the next attempt, renewed if due."""

    def may_send_again(self, rejected_token: str, *, is_last: bool) -> bool:
        """Return True if a call should be sent again with a newer token after HubSpot refused this one with a 401."""


class StaticTokenAuth:
    """A service key or private-app token."""

    def __init__(self, token: str) -> None:
        if not _TOKEN.fullmatch(token):
            # h11 would quote the token in its error.
            raise ValueError("the HubSpot access token is empty or has invalid characters")
        self._token = token

    def __repr__(self) -> str:
        return f"{type(self).__name__}('***')"

    async def access_token(self) -> str:
        """Return the token."""
        return self._token

    def may_send_again(self, rejected_token: str, *, is_last: bool) -> bool:
        """Return False: there is no newer token."""
        return False


class RefreshTokenAuth:
    """Access tokens from a refresh token, renewed before they expire by one token request at a time.

    A renewal runs in its own task: if a caller is cancelled, the other callers still get the token, and a rotated
    refresh token is still stored. While the current token is valid, no call waits for a renewal. A 401 leads to one
    renewal and one retry, if the rejected token is still the current one. If HubSpot rejects the refresh token, it is
    loaded again, because another process may have stored a rotated one. If that does not help, the error is logged
    once, and calls fail without a token request for `rejected_seconds`. Errors raised here have `sent` False: the call
    was not sent, or HubSpot refused it with a 401.
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
        rejected_seconds: float = 60.0,
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
        self._rejected_seconds = rejected_seconds
        self._renewal_pause_seconds = renewal_pause_seconds
        # A response may arrive byte by byte, and no caller's deadline ends a renewal.
        self._renewal_seconds = renewal_seconds
        self._observer = Observer()
        self._circuit = CircuitBreaker(clock=clock)
        self._connection: Callable[[], AbstractContextManager[Connection]] | None = None
        self._renewal: asyncio.Task[_Renewal] | None = None
        self._access_token: str | None = None
        self._expires_at = 0.0
        self._renew_at = 0.0
        self._rejection: _Failure | None = None
        self._rejected_until = float("-inf")
        self._ignore_401_until = float("-inf")
        self.granted_scopes: frozenset[str] | None = None
        """The app's granted scopes, once a token response contained them."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(client_id='***', client_secret='***', refresh_token='***')"

    def connect(
        self,
        connection: Callable[[], AbstractContextManager[Connection]],
        observer: Observer,
        circuit: CircuitBreaker,
    ) -> None:
        """Set the connection and the circuit breaker for token requests, and the observer."""
        self._connection = connection
        self._observer = observer
        self._circuit = circuit

    async def aclose(self) -> None:
        """Wait briefly for a running renewal, which may return a rotated refresh token, then cancel it."""
        if self._renewal is not None:
            await asyncio.wait([self._renewal], timeout=CLOSE_SECONDS)
            self._renewal.cancel()

    async def access_token(self) -> str:
        """Return the current token; renew it first if it has expired. Raises `HubSpotError`."""
        now = self._clock()
        if self._access_token is not None and now < self._expires_at:
            if now >= self._renew_at and now >= self._rejected_until:
                self._start_renewal()
            return self._access_token
        if self._rejection is not None and now < self._rejected_until:
            raise self._rejection.error()
        outcome = await asyncio.shield(self._start_renewal())
        if isinstance(outcome, _Failure):
            raise outcome.error()
        return outcome

    def may_send_again(self, rejected_token: str, *, is_last: bool) -> bool:
        """Return True if the call should be sent again with a new or newer token.

        HubSpot rejects some fresh tokens permanently, so renewals after a 401 are limited in rate.
        https://github.com/HubSpot/hubspot-api-php/issues/363
        """
        now = self._clock()
        if is_last:
            self._ignore_401_until = now + self._renewal_pause_seconds
            return False
        if now < self._ignore_401_until:
            return False
        if self._access_token == rejected_token:
            self._access_token = None
        return True

    def _start_renewal(self) -> "asyncio.Task[_Renewal]":
        """Return the running renewal. Start one if none is running."""
        if self._renewal is None or self._renewal.done():
            self._renew_at = self._clock() + self._renewal_pause_seconds
            self._renewal = asyncio.create_task(self._renew())
        return self._renewal

    async def _renew(self) -> "_Renewal":
        outcome = await self._request_token()
        if isinstance(outcome, _Failure) and outcome.is_rejection:
            if await self._reload_refresh_token():
                outcome = await self._request_token()
            if isinstance(outcome, _Failure) and outcome.is_rejection:
                self._record_rejection(outcome)
        self._observer.token_refreshed(outcome=outcome.name if isinstance(outcome, _Failure) else "ok")
        return outcome

    async def _request_token(self) -> "_Renewal":
        try:
            permit = self._circuit.enter()
        except CircuitOpenError as error:
            return _Failure(HubSpotUnavailableError, "circuit open", {"retry_after": error.retry_after})
        try:
            outcome = await self._send_token_request()
        finally:
            self._circuit.abandon(permit)
        self._circuit.finish(permit, failed=isinstance(outcome, _Failure) and outcome.is_outage)
        return outcome

    async def _send_token_request(self) -> "_Renewal":
        if self._connection is None:
            raise RuntimeError("this authentication is not connected")
        # Secrets go into the body, because URLs are logged.
        # https://developers.hubspot.com/docs/api-reference/auth-oauth-v1/guide
        form = {
            "grant_type": "refresh_token",
            "client_id": self._client_id,
            "client_secret": self._client_secret,
            "refresh_token": self._refresh_token,
        }
        try:
            with self._connection() as connection:
                async with asyncio.timeout(self._renewal_seconds):
                    response = await connection.send(
                        "POST", self._token_url, headers=FORM_CONTENT, content=urlencode(form).encode()
                    )
        except (TimeoutError, httpx.TimeoutException) as error:
            return _Failure(HubSpotTimeoutError, f"{type(error).__name__} at the token endpoint")
        except httpx.TransportError as error:
            if problem := certificate_problem(error):
                return _Failure(HubSpotCertificateError, problem)
            return _Failure(HubSpotConnectionError, f"{type(error).__name__} at the token endpoint")
        except (httpx.HTTPError, httpx.StreamError):  # for example a body that does not decompress
            return _Failure(HubSpotUnreadableError, "token response not understood")
        return await self._outcome_of(response)

    async def _outcome_of(self, response: httpx.Response) -> "_Renewal":
        body = json_object(response.content)
        fields: dict[str, Any] = {"status_code": response.status_code}
        if response.is_success:
            access_token, lifetime_seconds = body.get("access_token"), _positive(body.get("expires_in"))
            if not (isinstance(access_token, str) and _TOKEN.fullmatch(access_token) and lifetime_seconds):
                return _Failure(HubSpotUnreadableError, "token response not understood", fields)
            await self._accept(body, access_token, lifetime_seconds)
            return access_token
        retry_after = parse_retry_after(response.headers, now=datetime.now(UTC))
        if response.status_code == 429:
            # Many renewals at once: https://github.com/PostHog/posthog/issues/64049
            fields |= {"policy": "token", "retry_after": retry_after}
            return _Failure(HubSpotQuotaError, "", fields)
        if response.status_code >= 500 or response.status_code == 408:
            return _Failure(
                HubSpotServerError, "token endpoint failed", fields | {"retry_after": retry_after}
            )
        code = body.get("status") if body.get("status") in PERMANENT_STATUSES else body.get("error")
        fields["category"] = code if isinstance(code, str) else None
        return _Failure(HubSpotGrantError, "refresh token or app credentials rejected", fields)

    async def _accept(self, body: dict[str, Any], access_token: str, lifetime_seconds: float) -> None:
        margin = min(self._renew_margin_seconds, lifetime_seconds / 2)
        self._access_token = access_token
        self._expires_at = self._clock() + lifetime_seconds
        self._renew_at = self._expires_at - margin
        self._rejection = None
        self._rejected_until = float("-inf")
        if isinstance(body.get("scopes"), list):
            self.granted_scopes = frozenset(scope for scope in body["scopes"] if isinstance(scope, str))
        refresh_token = body.get("refresh_token")
        if isinstance(refresh_token, str) and refresh_token and refresh_token != self._refresh_token:
            self._refresh_token = refresh_token
            await self._store(refresh_token)

    async def _store(self, refresh_token: str) -> None:
        if self._store_refresh_token is None:
            return
        try:
            await self._store_refresh_token(refresh_token)
        except Exception as error:  # noqa: BLE001 - calls still work; the operator must know
            logger.error("rotated HubSpot refresh token not stored: error=%s", type(error).__name__)

    async def _reload_refresh_token(self) -> bool:
        """Load the stored refresh token. Return True if it differs, because another process stored a rotated one."""
        if self._load_refresh_token is None:
            return False
        try:
            stored = await self._load_refresh_token()
        except Exception as error:  # noqa: BLE001 - the same as no stored token
            logger.warning("stored HubSpot refresh token not readable: error=%s", type(error).__name__)
            return False
        if stored is None or stored == self._refresh_token:
            return False
        self._refresh_token = stored
        return True

    def _record_rejection(self, failure: "_Failure") -> None:
        if self._rejection is None:
            logger.error(
                "HubSpot rejects the refresh token or the app credentials, install the app again or set other "
                "credentials: reason=%s",
                failure.error().category or failure.fields.get("status_code"),
            )
        self._rejection = failure
        self._rejected_until = self._clock() + self._rejected_seconds


@dataclass(frozen=True, slots=True)
class _Failure:
    """Failed renewal, from which every waiting call creates its own exception."""

    error_class: type[HubSpotError]
    reason: str
    fields: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_rejection(self) -> bool:
        return self.error_class is HubSpotGrantError

    @property
    def is_outage(self) -> bool:
        return issubclass(self.error_class, HubSpotConnectionError | HubSpotServerError)

    @property
    def name(self) -> str:
        return "dead_grant" if self.is_rejection else self.error_class.__name__

    def error(self) -> HubSpotError:
        return self.error_class(self.reason, operation=OPERATION, sent=False, **self.fields)


_Renewal = str | _Failure
"""The new access token, or the failure."""


def _positive(value: object) -> float | None:
    """Return a positive number of seconds; None if it is invalid."""
    if isinstance(value, int | float) and math.isfinite(value) and value > 0:
        return float(value)
    return None
