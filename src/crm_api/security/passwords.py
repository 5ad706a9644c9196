"""Password hashing in a bounded thread pool, and the list of common passwords."""

import ast
import asyncio
import unicodedata
from collections.abc import Callable
from functools import cache
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar, cast

import anyio
import anyio.to_thread
from passlib.context import CryptContext

Result = TypeVar("Result")


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
