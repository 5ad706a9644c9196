"""Cursors of lists and searches: opaque, signed, and bound to user, endpoint and query."""

import base64
import binascii
import hmac
import json
from typing import Any
from uuid import UUID

from crm_api.errors import ApiError
from crm_api.security.crypto import KeyRing, keyed_hash


class Cursors:
    """Reader and writer of cursors that are signed with the service's secret key."""

    def __init__(self, keys: KeyRing) -> None:
        self._keys = keys

    def write(self, position: dict[str, Any], user_id: UUID, endpoint: str, filters: str = "") -> str:
        """Return a cursor for this position. `filters` identifies the query."""
        body = _encode(json.dumps(position, separators=(",", ":"), sort_keys=True).encode())
        return f"{body}.{_signature(self._keys.current, body, user_id, endpoint, filters)}"

    def read(self, cursor: str, user_id: UUID, endpoint: str, filters: str = "") -> dict[str, Any]:
        """Return the position in a cursor. Raises 400 `invalid_cursor` if it was not written for the same arguments."""
        body, _, signature = cursor.partition(".")
        expected = (_signature(key, body, user_id, endpoint, filters) for key in self._keys)
        if not any(hmac.compare_digest(signature.encode(), valid.encode()) for valid in expected):
            raise ApiError("invalid_cursor")
        try:
            position = json.loads(_decode(body))
        except (ValueError, binascii.Error) as error:
            raise ApiError("invalid_cursor") from error
        return dict(position)


def _signature(key: str, body: str, user_id: UUID, endpoint: str, filters: str) -> str:
    return keyed_hash(key, "cursor", body, str(user_id), endpoint, filters)


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
