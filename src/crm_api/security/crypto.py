"""Keyed hashes and encryption of stored secrets."""

import base64
import hashlib
import hmac

from cryptography.fernet import Fernet, InvalidToken


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
