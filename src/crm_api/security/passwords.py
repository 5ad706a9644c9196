"""Password hashing in a bounded thread pool, and the list of common passwords."""

import asyncio
import copy
import re
import unicodedata
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import Self, TypeVar

import anyio
import anyio.to_thread
from passlib.context import CryptContext
from passlib.hash import bcrypt

from crm_api.security.turns import FairSemaphore

Result = TypeVar("Result")
_DUMMY_PASSWORD = b"not a password"
# $2b$12$... and $bcrypt-sha256$v=2,t=2b,r=12$...
_ROUNDS = re.compile(r"^(?:\$2[abxy]\$|\$bcrypt-sha256\$v=2,t=2b,r=|\$bcrypt-sha256\$2[ab],)(\d{1,2})\$")


class PasswordsBusyError(TimeoutError):
    """The wait for a hashing thread was too long. The response is a 503, as for every `TimeoutError`."""


class Passwords:
    """Bounded pool for hashing and verifying, so that many logins at once do not block other requests."""

    def __init__(self, *, rounds: int, workers: int, wait_seconds: float = 8.0) -> None:
        # bcrypt alone ignores what follows the first 72 bytes; bcrypt_sha256 uses the whole password.
        self._context = CryptContext(
            schemes=["bcrypt_sha256", "bcrypt"],
            deprecated="auto",
            bcrypt_sha256__rounds=rounds,
            bcrypt__rounds=rounds,
            truncate_error=True,
        )
        self._rounds = rounds
        self.workers = max(1, workers)
        self._free_workers = FairSemaphore(self.workers)
        # A separate limiter, so that passwords do not use up the threads of other work.
        self._threads = anyio.CapacityLimiter(self.workers)
        self._wait_seconds = wait_seconds
        self._caller = ""

    def for_caller(self, caller: str) -> Self:
        """Return the same pool for the passwords of this caller, who takes turns with other callers."""
        passwords = copy.copy(self)
        passwords._caller = caller  # noqa: SLF001 - its own class
        return passwords

    @property
    def in_flight(self) -> int:
        """Number of passwords that are being hashed."""
        return self._threads.borrowed_tokens

    async def hash(self, password: str) -> str:
        """Return a new hash of the password. Raises `ValueError` for lone surrogates, which no keyboard produces."""
        encoded = _encode(password)
        return await self._run(lambda: self._context.hash(encoded))

    async def verify(self, password: str, password_hash: str | None) -> tuple[bool, str | None]:
        """Return whether the password is correct, and a new hash if the stored one uses an outdated scheme or cost.

        Without a hash it takes the same work, so that callers cannot distinguish unknown users from wrong passwords.
        """
        encoded = _encode_or_none(password)
        if encoded is None or password_hash is None:
            await self._run(self._context.dummy_verify)
            return False, None
        try:
            return await self._run(lambda: self._verify(encoded, password_hash))
        except ValueError:  # the stored value is not a hash
            return False, None

    def _verify(self, password: bytes, password_hash: str) -> tuple[bool, str | None]:
        is_correct, new_hash = self._context.verify_and_update(password, password_hash)
        if not is_correct:
            # A hash from before BCRYPT_ROUNDS was raised takes less work than the one for unknown users. Hashes with
            # n, n+1, ... m-1 rounds and one with n rounds take together the work of one with m rounds.
            for rounds in range(_rounds_of(password_hash) or self._rounds, self._rounds):
                bcrypt.using(rounds=rounds, truncate_error=False).hash(_DUMMY_PASSWORD)
        return is_correct, new_hash

    async def _run(self, work: Callable[[], Result]) -> Result:
        try:
            async with asyncio.timeout(self._wait_seconds):
                await self._free_workers.acquire(self._caller)
        except TimeoutError:
            raise PasswordsBusyError from None
        try:
            # bcrypt releases the GIL while it works.
            return await anyio.to_thread.run_sync(work, limiter=self._threads)
        finally:
            self._free_workers.release()


def _rounds_of(password_hash: str) -> int | None:
    """Return the rounds (the base-2 logarithm of the cost) of a bcrypt hash."""
    match = _ROUNDS.search(password_hash)
    return int(match[1]) if match else None


def _encode(password: str) -> bytes:
    # RFC 8265, section 4.2: keyboards send an accented letter as one code point or as two.
    return unicodedata.normalize("NFC", password).encode()


def _encode_or_none(password: str) -> bytes | None:
    try:
        return _encode(password)
    except UnicodeEncodeError:
        return None


@cache
def _common_passwords() -> str:
    # A set of the words would take ten times the memory of the text.
    return "\n" + files("crm_api.security").joinpath("common_passwords.txt").read_text(encoding="utf-8")


def is_common_password(password: str) -> bool:
    """Return True if the password is one of the 30,000 most common ones, ignoring case and outer spaces."""
    word = password.strip().lower()
    return "\n" not in word and f"\n{word}\n" in _common_passwords()
