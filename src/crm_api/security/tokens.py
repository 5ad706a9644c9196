"""Access tokens (JWT) and opaque refresh and mail tokens."""

import hashlib
import secrets
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final
from uuid import UUID, uuid4

# python-jose imports `cryptography` (8 MB) if it can, but HS256 needs only `hmac`. The entry makes that import fail:
# https://docs.python.org/3/reference/import.html#the-module-cache
sys.modules["jose.backends.cryptography_backend"] = None  # type: ignore[assignment]
from jose import JOSEError, jwt  # noqa: E402

from crm_api.security.crypto import keyed_hash  # noqa: E402

ISSUER: Final = "crm-api"
AUDIENCE: Final = "crm-api"
ALGORITHM: Final = "HS256"
MAX_TOKEN_LENGTH: Final = 2048
# A caller sends the same token for half an hour. A full cache takes about 1 MB.
_MAX_CACHED_TOKENS: Final = 1024
# python-jose accepts tokens without these claims unless these options are set. It ignores PyJWT's option `require`.
_DECODE_OPTIONS: Final = {
    f"require_{claim}": True for claim in ("exp", "sub", "iat", "jti", "aud", "iss")
} | {"leeway": 0}


class InvalidTokenError(Exception):
    """The access token is forged, expired, malformed or issued for another service."""


@dataclass(frozen=True, slots=True)
class AccessClaims:
    """User and session of an access token, and the session's generation when the token was issued."""

    user_id: UUID
    session_id: UUID
    generation: int = 0
    token_id: str = field(default="", repr=False)
    """The token's `jti`; set when a token is read."""


def create_access_token(claims: AccessClaims, key: str, *, issued_at: datetime, lifetime_seconds: int) -> str:
    """Return a signed access token."""
    body = {
        "sub": str(claims.user_id),
        "sid": str(claims.session_id),
        "gen": claims.generation,
        "iat": int(issued_at.timestamp()),
        "exp": int((issued_at + timedelta(seconds=lifetime_seconds)).timestamp()),
        "jti": uuid4().hex,
        "aud": AUDIENCE,
        "iss": ISSUER,
    }
    return str(jwt.encode(body, key, algorithm=ALGORITHM))


def read_access_token(token: str, keys: Iterable[str]) -> AccessClaims:
    """Return the claims of a token that one of the keys has signed. Raises `InvalidTokenError` otherwise."""
    if not token or len(token) > MAX_TOKEN_LENGTH:
        raise InvalidTokenError
    claims, expires_at = _verify_with_any(token, keys)
    if expires_at < int(time.time()):
        raise InvalidTokenError
    return claims


def _verify_with_any(token: str, keys: Iterable[str]) -> tuple[AccessClaims, int]:
    for key in keys:
        with suppress(InvalidTokenError):
            return _verify(token, key)
    raise InvalidTokenError


# Verified tokens are cached because only their expiry can change. Errors are raised, so they are not cached.
@lru_cache(maxsize=_MAX_CACHED_TOKENS)
def _verify(token: str, key: str) -> tuple[AccessClaims, int]:
    """Return the claims of a token, and its expiry in seconds since 1970."""
    try:
        claims: dict[str, Any] = jwt.decode(
            token, key, algorithms=[ALGORITHM], audience=AUDIENCE, issuer=ISSUER, options=_DECODE_OPTIONS
        )
        read = AccessClaims(
            user_id=UUID(claims["sub"]),
            session_id=UUID(claims["sid"]),
            generation=int(claims.get("gen", 0)),
            token_id=str(claims["jti"])[:32],
        )
        return read, int(claims["exp"])
    # python-jose raises other errors for crafted tokens, such as RecursionError for a header with 1,000 levels.
    except (
        JOSEError,
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        OverflowError,
        RecursionError,
    ) as error:
        raise InvalidTokenError from error


def new_refresh_token() -> str:
    """Return a new opaque refresh token with 256 random bits."""
    return "rt_" + secrets.token_urlsafe(32)


def successor_of(refresh_token: str, *, salt: str, key: str) -> str:
    """Return the refresh token that replaces this one; it cannot be computed without both the token and the key."""
    return "rt_" + keyed_hash(key, "successor of a refresh token", refresh_token, salt)


def new_mail_token() -> str:
    """Return a new token for a mailed link, with 256 random bits."""
    return secrets.token_urlsafe(32)


def hash_token(token: str) -> str:
    """Return the hash under which an opaque token is stored. 256 random bits need no slow hash."""
    return hashlib.sha256(token.encode()).hexdigest()
