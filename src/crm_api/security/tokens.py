"""Access tokens (JWT) and opaque refresh and mail tokens."""

import hashlib
import secrets
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final
from uuid import UUID, uuid4

from jose import JOSEError, JWTError, jwt

ISSUER: Final = "crm-api"
AUDIENCE: Final = "crm-api"
ALGORITHM: Final = "HS256"
MAXIMUM_TOKEN_LENGTH: Final = 2048
# About 1 MB at the most; a caller sends the same one for half an hour.
_TOKENS_KEPT: Final = 1024
# Without these python-jose accepts a token that lacks the claim; PyJWT's spelling is ignored without a word.
_DECODE_OPTIONS: Final = {
    f"require_{claim}": True for claim in ("exp", "sub", "iat", "jti", "aud", "iss")
} | {"leeway": 0}


class InvalidTokenError(Exception):
    """The access token is forged, expired, malformed or not for us."""


@dataclass(frozen=True, slots=True)
class AccessClaims:
    """Who an access token speaks for."""

    user_id: UUID
    session_id: UUID


def create_access_token(claims: AccessClaims, key: str, *, issued_at: datetime, lifetime_seconds: int) -> str:
    """A signed access token."""
    body = {
        "sub": str(claims.user_id),
        "sid": str(claims.session_id),
        "iat": int(issued_at.timestamp()),
        "exp": int((issued_at + timedelta(seconds=lifetime_seconds)).timestamp()),
        "jti": uuid4().hex,
        "aud": AUDIENCE,
        "iss": ISSUER,
    }
    return str(jwt.encode(body, key, algorithm=ALGORITHM))


def read_access_token(token: str, key: str) -> AccessClaims:
    """What a token says, or `InvalidTokenError`."""
    if not token or len(token) > MAXIMUM_TOKEN_LENGTH:
        raise InvalidTokenError
    claims, expires_at = _verified(token, key)
    if expires_at < int(time.time()):
        raise InvalidTokenError
    return claims


# Of all that was found good, only the end of its time can change; what is refused is raised, and never kept.
@lru_cache(maxsize=_TOKENS_KEPT)
def _verified(token: str, key: str) -> tuple[AccessClaims, int]:
    """What a token says, and when it expires, in seconds since 1970."""
    try:
        claims: dict[str, Any] = jwt.decode(
            token, key, algorithms=[ALGORITHM], audience=AUDIENCE, issuer=ISSUER, options=_DECODE_OPTIONS
        )
        return AccessClaims(user_id=UUID(claims["sub"]), session_id=UUID(claims["sid"])), int(claims["exp"])
    # python-jose lets other errors out for hand-made tokens: a header nested 1,000 deep is a RecursionError.
    except (
        JWTError,
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
    """A new opaque refresh token with 256 bits of randomness."""
    return "rt_" + secrets.token_urlsafe(32)


def new_mail_token() -> str:
    """A new token for a link in a mail, with 256 bits of randomness."""
    return secrets.token_urlsafe(32)


def hash_token(token: str) -> str:
    """How an opaque token is stored; it has enough randomness that a plain hash cannot be reversed."""
    return hashlib.sha256(token.encode()).hexdigest()
