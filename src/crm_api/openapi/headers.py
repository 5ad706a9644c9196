"""The response headers that the OpenAPI document declares."""

from typing import Any, Final

HEADERS: Final[dict[str, dict[str, Any]]] = {
    "X-Request-ID": {
        "description": "ID of this request in the service's log. The caller's ID is used if it has 8 to 64 characters "
        "of A-Z, a-z, 0-9, `.`, `_`, `-`.",
        "required": True,
        "schema": {"type": "string", "maxLength": 64, "pattern": "^[A-Za-z0-9._-]{8,64}$"},
        "example": "5f0c8a52c2f04d6c8a1d0a2b7c9e4f11",
    },
    "Age": {
        "description": "Present if the service used cached data of the CRM: the age of the oldest part in seconds.",
        "schema": {"type": "integer", "format": "int32", "minimum": 0, "maximum": 86_400},
        "example": 4,
    },
    "Cache-Control": {
        "description": "`private` if the service used cached data of the CRM; other responses must not be stored.",
        "required": True,
        "schema": {"type": "string", "enum": ["no-store", "private"]},
        "example": "no-store",
    },
    "ETag": {
        "description": "Version of the record, for `If-Match`; in a response to GET also for `If-None-Match`.",
        "required": True,
        "schema": {"type": "string", "maxLength": 100, "pattern": '^"[0-9a-f]+([.][0-9a-f]+)?"$'},
        "example": '"5f0c8a52c2f04d6c8a1d0a2b7c9e4f11"',
    },
    "Idempotency-Replayed": {
        "description": "Present if this is the stored response of the first request with this key.",
        "schema": {"type": "string", "const": "true"},
        "example": "true",
    },
    "Location": {
        "description": "Path of the new record.",
        "required": True,
        "schema": {"type": "string", "maxLength": 200, "pattern": "^(/[A-Za-z0-9._~-]+)*/api/[a-z]+/[0-9]+$"},
        "example": "/api/deals/9001",
    },
    "RateLimit": {
        "description": "Remaining rate limit: `r` requests in the next `t` seconds.",
        "required": True,
        "schema": {"type": "string", "maxLength": 200, "pattern": '^"[a-z_]+";r=[0-9]+;t=[0-9]+$'},
        "example": '"default";r=0;t=12',
    },
    "RateLimit-Policy": {
        "description": "Rate limit that counted this request, if any: `q` requests in `w` seconds.",
        "schema": {"type": "string", "maxLength": 200, "pattern": '^"[a-z_]+";q=[0-9]+;w=[0-9]+$'},
        "example": '"user_requests";q=120;w=60',
    },
    "Retry-After": {
        "description": "Seconds to wait before a retry.",
        "schema": {"type": "integer", "format": "int32", "minimum": 1, "maximum": 86_400},
        "example": 12,
    },
    "WWW-Authenticate": {
        "description": "Authentication scheme (RFC 6750).",
        "required": True,
        "schema": {"type": "string", "maxLength": 200, "pattern": "^Bearer .*$"},
        "example": 'Bearer realm="crm-api"',
    },
}
COMMON_HEADERS: Final = ("X-Request-ID", "Cache-Control")
ERROR_HEADERS: Final[dict[int, tuple[str, ...]]] = {
    401: ("WWW-Authenticate", "RateLimit-Policy"),
    409: ("Retry-After", "RateLimit-Policy"),
    429: ("Retry-After", "RateLimit", "RateLimit-Policy"),
    503: ("Retry-After", "RateLimit-Policy"),
}
"""Headers by status in addition to `COMMON_HEADERS`; other errors have `RateLimit-Policy` only."""


def header_references(*names: str) -> dict[str, Any]:
    """Return references to these headers, by name."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}
