"""Access and refresh tokens: issue, check, renew and revoke."""

import secrets
from collections.abc import Callable, Collection
from datetime import datetime, timedelta

from hubspot_emulator.state.journal import Journal
from hubspot_emulator.wire.replies import Refusal
from hubspot_emulator.wire.timestamps import format_timestamp


class Tokens:
    """Tokens of the account.

    With `access_tokens` None every bearer token is accepted, except one that was issued here and has expired.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], datetime],
        access_tokens: Collection[str] | None,
        client_id: str,
        client_secret: str,
        refresh_tokens: Collection[str],
        lifetime_seconds: float,
        rotate_refresh_tokens: bool,
    ) -> None:
        self._clock = clock
        self.static_tokens = None if access_tokens is None else frozenset(access_tokens)
        self.client_id = client_id
        self.client_secret = client_secret
        self._first_refresh_tokens = tuple(refresh_tokens)
        self.lifetime_seconds = lifetime_seconds
        self.rotate_refresh_tokens = rotate_refresh_tokens
        self._journal = Journal(None)
        self._expiry: dict[str, datetime] = {}
        self._refresh_tokens: dict[str, bool] = {}
        self.reset()

    def attach(self, journal: Journal) -> None:
        self._journal = journal

    def reset(self) -> None:
        self._expiry.clear()
        self._refresh_tokens = dict.fromkeys(self._first_refresh_tokens, True)

    def load(self) -> None:
        for token, expiry in self._journal.rows("access_token"):
            self._expiry[token] = datetime.fromisoformat(expiry)
        for token, is_valid in self._journal.rows("refresh_token"):
            self._refresh_tokens[token] = is_valid

    def authorise(self, header: str | None) -> None:
        """Check an Authorization header. Raises Refusal (401) if it has no valid token."""
        scheme, token = _credentials(header)
        if scheme == "bearer" and token:
            expiry = self._expiry.get(token)
            if expiry is not None:
                if self._clock() < expiry:
                    return
                raise self._expired(expiry)
            if self.static_tokens is None or token in self.static_tokens:
                return
        raise Refusal(
            401,
            "Authentication credentials not found. This API supports OAuth 2.0 authentication and you can find "
            "more details at https://developers.hubspot.com/docs/methods/auth/oauth-overview",
            category="INVALID_AUTHENTICATION",
        )

    def was_issued(self, header: str | None) -> bool:
        """Return True if the header has an access token that was issued here, even if expired."""
        return _credentials(header)[1] in self._expiry

    def _expired(self, expiry: datetime) -> Refusal:
        age = int((self._clock() - expiry).total_seconds())
        # HubSpot's responses have this key, with a space.
        # https://github.com/airbytehq/airbyte/issues/74726
        return Refusal(
            401,
            f"The OAuth token used to make this call expired {age} second(s) ago.",
            category="EXPIRED_AUTHENTICATION",
            context={"expire time": [format_timestamp(expiry)]},
        )

    def issue(self) -> str:
        """Issue an access token."""
        token = f"demo-access-token-{secrets.token_urlsafe(96)}"
        expiry = self._clock() + timedelta(seconds=self.lifetime_seconds)
        self._expiry[token] = expiry
        self._journal.put("access_token", token, expiry.isoformat)
        return token

    def renew(self, refresh_token: str) -> str | None:
        """Return the refresh token for the token response, or None if the given one is not valid."""
        if not self.is_valid_refresh_token(refresh_token):
            return None
        if not self.rotate_refresh_tokens:
            # HubSpot was observed to return the same refresh token: https://github.com/NangoHQ/nango/pull/7664
            return refresh_token
        self.revoke(refresh_token)
        return self.issue_refresh_token()

    def issue_refresh_token(self) -> str:
        token = f"demo-refresh-token-{secrets.token_urlsafe(32)}"
        self._refresh_tokens[token] = True
        self._journal.put("refresh_token", token, lambda: True)
        return token

    def is_valid_refresh_token(self, token: str) -> bool:
        return self._refresh_tokens.get(token, False)

    def remaining_seconds(self, access_token: str) -> int | None:
        """Return the remaining lifetime of an access token, or None if it is not valid."""
        expiry = self._expiry.get(access_token)
        if expiry is None:
            is_static = self.static_tokens is not None and access_token in self.static_tokens
            return int(self.lifetime_seconds) if is_static else None
        remaining = int((expiry - self._clock()).total_seconds())
        return remaining if remaining > 0 else None

    def revoke(self, token: str) -> None:
        """Invalidate a token. Access tokens issued with a revoked refresh token stay valid."""
        if token in self._refresh_tokens:
            self._refresh_tokens[token] = False
            self._journal.put("refresh_token", token, lambda: False)
        elif token in self._expiry:
            self._expire(token)

    def expire_all(self) -> None:
        """Let every access token that was issued here expire now."""
        for token in list(self._expiry):
            self._expire(token)

    def _expire(self, token: str) -> None:
        expiry = min(self._expiry[token], self._clock())
        self._expiry[token] = expiry
        self._journal.put("access_token", token, expiry.isoformat)


def _credentials(header: str | None) -> tuple[str, str]:
    scheme, _, token = (header or "").partition(" ")
    return scheme.lower(), token.strip()
