"""Cursors of lists and searches: opaque, signed, and bound to user, endpoint and query."""

import base64
import binascii
import hmac
import json
from typing import Any
from uuid import UUID

from crm_api.errors import ApiError
from crm_api.security.crypto import keyed_hash


class Cursors:
    """Reader and writer of cursors that are signed with the service's secret key."""

    def __init__(self, key: str) -> None:
        self._key = key

    def write(self, position: dict[str, Any], user_id: UUID, endpoint: str, filters: str = "") -> str:
        """Return a cursor for this position. `filters` identifies the query."""
        body = _encode(json.dumps(position, separators=(",", ":"), sort_keys=True).encode())
        return f"{body}.{self._signature(body, user_id, endpoint, filters)}"

    def read(self, cursor: str, user_id: UUID, endpoint: str, filters: str = "") -> dict[str, Any]:
        """Return the position in a cursor. Raises 400 `invalid_cursor` if it was not written for the same arguments."""
        body, _, signature = cursor.partition(".")
        if not hmac.compare_digest(
            signature.encode(), self._signature(body, user_id, endpoint, filters).encode()
        ):
            raise ApiError("invalid_cursor")
        try:
            position = json.loads(_decode(body))
        except (ValueError, binascii.Error) as error:
            raise ApiError("invalid_cursor") from error
        return dict(position)

    def _signature(self, body: str, user_id: UUID, endpoint: str, filters: str) -> str:
        return keyed_hash(self._key, "cursor", body, str(user_id), endpoint, filters)


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
