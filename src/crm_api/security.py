"""Passwords, access tokens and keyed hashes."""

import ast
import asyncio
import base64
import hashlib
import hmac
import secrets
import time
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, lru_cache
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, TypeVar, cast
from uuid import UUID, uuid4

import anyio
import anyio.to_thread
from cryptography.fernet import Fernet, InvalidToken
from jose import JOSEError, JWTError, jwt
from passlib.context import CryptContext
from starlette.types import ASGIApp, Message, Receive, Scope, Send

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

Result = TypeVar("Result")


class InvalidTokenError(Exception):
    """The access token is forged, expired, malformed or not for us."""


class PasswordsBusyError(TimeoutError):
    """So many passwords wait to be hashed that this one's turn would come too late; a 503, as every time-out."""


class Passwords:
    """Hashes and verifies passwords in a bounded pool, so that a storm of logins leaves the service responsive."""

    def __init__(self, *, rounds: int, workers: int, wait_seconds: float = 8.0) -> None:
        # bcrypt alone would cut a password at 72 bytes in silence; bcrypt_sha256 takes all of it.
        self._context = CryptContext(
            schemes=["bcrypt_sha256", "bcrypt"],
            deprecated="auto",
            bcrypt_sha256__rounds=rounds,
            bcrypt__rounds=rounds,
            truncate_error=True,
        )
        self.workers = max(1, workers)
        self._turns = asyncio.Semaphore(self.workers)
        # Its own, so that passwords take no thread from whatever else runs in threads.
        self._threads = anyio.CapacityLimiter(self.workers)
        self._wait_seconds = wait_seconds

    @property
    def in_flight(self) -> int:
        """Passwords that are being hashed."""
        return self._threads.borrowed_tokens

    async def hash(self, password: str) -> str:
        """A new hash of the password. Raises `ValueError` for lone surrogates, which no keyboard writes."""
        prepared = _prepared(password)
        return await self._run(lambda: self._context.hash(prepared))

    async def verify(self, password: str, password_hash: str | None) -> tuple[bool, str | None]:
        """Whether the password fits, and a new hash where the old one's policy is out of date.

        Without a hash it takes the same work, so that an unknown user cannot be told from a wrong password.
        """
        prepared = _prepared_or_none(password)
        if prepared is None or password_hash is None:
            await self._run(self._context.dummy_verify)
            return False, None
        try:
            return await self._run(lambda: self._context.verify_and_update(prepared, password_hash))
        except ValueError:  # a column that holds no hash
            return False, None

    async def _run(self, work: Callable[[], Result]) -> Result:
        try:
            async with asyncio.timeout(self._wait_seconds):
                await self._turns.acquire()
        except TimeoutError:
            raise PasswordsBusyError from None
        try:
            # bcrypt lets go of the GIL while it works.
            return await anyio.to_thread.run_sync(work, limiter=self._threads)
        finally:
            self._turns.release()


def _prepared(password: str) -> bytes:
    # RFC 8265, section 4.2: one keyboard sends an accented letter as one code point, another as two.
    return unicodedata.normalize("NFC", password).encode()


def _prepared_or_none(password: str) -> bytes | None:
    try:
        return _prepared(password)
    except UnicodeEncodeError:
        return None


@cache
def _common_passwords() -> str:
    # This one list out of the source, and as the text that it is there: imported, all six lists stay as 5 to 9 MB.
    [folder] = cast("ModuleSpec", find_spec("zxcvbn")).submodule_search_locations or []
    source = Path(folder, "frequency_lists.py").read_text(encoding="utf-8")
    literal, _, _ = source.partition('"passwords": ')[2].partition('.split(",")')
    return f",{ast.literal_eval(literal)},"


def is_common_password(password: str) -> bool:
    """Whether the password is among those that everybody tries first."""
    word = password.strip().lower()
    return "," not in word and f",{word}," in _common_passwords()


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


def encrypt(key: str, purpose: str, secret: str) -> str:
    """The secret, readable only with the key; each call gives another text."""
    return _fernet(key, purpose).encrypt(secret.encode()).decode()


def decrypt(key: str, purpose: str, encrypted: str) -> str | None:
    """The secret; None where the key is another or the text was changed."""
    try:
        return _fernet(key, purpose).decrypt(encrypted.encode()).decode()
    except InvalidToken:
        return None


def _fernet(key: str, purpose: str) -> Fernet:
    return Fernet(base64.urlsafe_b64encode(bytes.fromhex(keyed_hash(key, "encryption", purpose))))


def keyed_hash(key: str, purpose: str, *parts: str) -> str:
    """An HMAC of the parts; `purpose` keeps one use of the key from answering for another."""
    message = "\x1f".join((purpose, *parts)).encode()
    return hmac.new(key.encode(), message, hashlib.sha256).hexdigest()


class SecurityHeaders:
    """Pure ASGI: the headers that every answer bears, unless it brings stricter ones of its own."""

    def __init__(self, app: ASGIApp, *, https_only: bool) -> None:
        self._app = app
        headers = {
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
            "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
            "Cache-Control": "no-store",
        }
        if https_only:
            headers["Strict-Transport-Security"] = "max-age=31536000; includeSubDomains"
        self._headers = [(name.lower().encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message["headers"]
                present = {name for name, _ in headers}
                message["headers"] = [*headers, *(each for each in self._headers if each[0] not in present)]
            await send(message)

        await self._app(scope, receive, send_with_headers)
