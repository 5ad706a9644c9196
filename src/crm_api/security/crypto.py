"""Keyed hashes and encryption of stored secrets."""

import base64
import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.fernet import Fernet


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The current key, with which the service writes, and the other key of a rotation, which it accepts too."""

    current: str = field(repr=False)
    other: str | None = field(default=None, repr=False)

    def __iter__(self) -> Iterator[str]:
        yield self.current
        if self.other is not None:
            yield self.other


class Cipher:
    """Encryption of bytes with one key for one purpose."""

    def __init__(self, key: str, purpose: str) -> None:
        self._fernet = _fernet(key, purpose)

    def encrypt(self, content: bytes) -> bytes:
        """Return the encrypted content. Each call returns different bytes."""
        return self._fernet.encrypt(content)

    def decrypt(self, encrypted: bytes) -> bytes | None:
        """Return the content, or None if the key is wrong or the bytes were changed."""
        from cryptography.fernet import InvalidToken

        try:
            return self._fernet.decrypt(encrypted)
        except InvalidToken:
            return None


def encrypt(key: str, purpose: str, secret: str) -> str:
    """Return the secret encrypted with the key. Each call returns a different text."""
    return _fernet(key, purpose).encrypt(secret.encode()).decode()


def decrypt(keys: KeyRing, purpose: str, encrypted: str) -> str | None:
    """Return the secret, or None if no key fits or the text was changed."""
    for key in keys:
        decrypted = Cipher(key, purpose).decrypt(encrypted.encode())
        if decrypted is not None:
            return decrypted.decode()
    return None


def _fernet(key: str, purpose: str) -> "Fernet":
    from cryptography.fernet import Fernet  # imported only if needed: it takes 6 MB

    return Fernet(base64.urlsafe_b64encode(bytes.fromhex(keyed_hash(key, "encryption", purpose))))


def keyed_hash(key: str, purpose: str, *parts: str) -> str:
    """Return an HMAC of the parts. `purpose` separates the uses of one key from each other."""
    message = "\x1f".join((purpose, *parts)).encode()
    return hmac.new(key.encode(), message, hashlib.sha256).hexdigest()
