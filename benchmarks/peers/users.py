"""Users of the peers: an SQLite table, bcrypt, and tokens that are verified without a database read."""

import os
import sqlite3
import time
from contextlib import closing
from typing import Any, Final

from jose import jwt
from passlib.context import CryptContext

SECRET: Final = "secret-of-the-benchmark-only-0123456789"
CONTEXT: Final = CryptContext(
    schemes=["bcrypt_sha256"], bcrypt_sha256__rounds=int(os.environ.get("BCRYPT_ROUNDS", "12"))
)


class Users:
    """Table of users."""

    def __init__(self) -> None:
        self._path = os.environ["PEER_DATABASE"]
        with closing(self._connect()) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute(
                "CREATE TABLE IF NOT EXISTS users (email TEXT PRIMARY KEY, password TEXT, contact_id TEXT)"
            )

    def add(self, email: str, password: str, contact_id: str) -> None:
        with closing(self._connect()) as connection, connection:
            row = (email, CONTEXT.hash(password), contact_id)
            connection.execute("INSERT OR REPLACE INTO users VALUES (?, ?, ?)", row)

    def log_in(self, email: str, password: str) -> str | None:
        """Return a token, or None if the password is wrong."""
        with closing(self._connect()) as connection:
            row = connection.execute(
                "SELECT password, contact_id FROM users WHERE email = ?", (email,)
            ).fetchone()
        if row is None or not CONTEXT.verify(password, row[0]):
            return None
        claims = {"sub": email, "contact_id": row[1], "exp": int(time.time()) + 1800}
        return str(jwt.encode(claims, SECRET, algorithm="HS256"))

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=10)


def claims_of(authorization: str) -> dict[str, Any]:
    """Return the claims of the token. Raises `jose.JWTError`."""
    claims: dict[str, Any] = jwt.decode(authorization.removeprefix("Bearer "), SECRET, algorithms=["HS256"])
    return claims
