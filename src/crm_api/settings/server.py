"""Settings of the server: environment, keys, serving, database and Redis."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field, SecretStr
from pydantic_settings import NoDecode

from crm_api.security.crypto import KeyRing
from crm_api.settings.checks import browser_origin, path_prefix, redis_address

Origin = Annotated[str, AfterValidator(browser_origin)]


class ServerSettings(BaseModel):
    """Settings of the server."""

    environment: Literal["development", "production"] = "production"
    """`production` refuses to start with unsafe settings."""
    secret_key: SecretStr = SecretStr("")
    """Signs cursors, keys HMACs and encrypts refresh tokens; at least 32 characters."""
    secret_key_previous: SecretStr | None = None
    """Second key that is accepted for reading while SECRET_KEY is rotated; see docs/key-rotation.md."""
    jwt_secret_key: SecretStr = SecretStr("")
    """Signs access tokens; at least 32 characters, different from SECRET_KEY."""
    jwt_secret_key_previous: SecretStr | None = None
    """Second key that is accepted for access tokens while JWT_SECRET_KEY is rotated."""

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: Annotated[int, Field(ge=0, le=65535)] = 4012
    """Port to listen on."""
    root_path: Annotated[str, Field(max_length=100), AfterValidator(path_prefix)] = ""
    """Path under which a proxy serves this service, such as `/crm`; the proxy may remove it from requests or not."""
    docs_enabled: bool = True
    """Serve `/docs` and `/openapi.json`."""
    support_url: Annotated[str, Field(pattern=r"^https?://\S+$")] = "https://example.com/support"
    """Support page that `/openapi.json` names as its contact."""
    terms_url: Annotated[str, Field(pattern=r"^https?://\S+$")] = "https://example.com/terms"
    """Terms of use that `/openapi.json` names."""
    forwarded_allow_ips: str = ""
    """Addresses of proxies whose `X-Forwarded-For` is trusted, separated by commas; no proxy by default."""
    cors_origins: Annotated[list[Origin], NoDecode] = []
    """Origins of front ends that browsers may call from (CORS), such as `https://portal.example.com`, separated by
    commas; no origin by default."""
    max_body_bytes: Annotated[int, Field(ge=1024)] = 1_048_576
    """Maximum size of a request body; a larger one gets 413. Account operations accept at most 16 KiB."""
    max_connections: Annotated[int, Field(ge=1)] = 800
    """Maximum connections of one process from clients and proxies; the service closes further ones. Keep it 200 below
    the process's limit of open files."""
    max_connections_per_address: Annotated[int, Field(ge=1)] = 100
    """Maximum connections of one process from one network address (IPv6: one /64 network); the addresses in
    FORWARDED_ALLOW_IPS have no limit of their own."""
    max_record_requests_per_user: Annotated[int, Field(ge=1, le=1000)] = 4
    """Maximum simultaneous requests of one user for records in one process; further ones wait."""
    write_timeout_seconds: Annotated[float, Field(gt=0, le=600)] = 20.0
    """Time in which a client must read 64 KiB of a response that waits for it; otherwise its connection is closed."""
    request_deadline_seconds: Annotated[float, Field(gt=0, le=120)] = 10.0
    """Maximum time for one request, HubSpot calls and their retries included."""
    shutdown_notice_seconds: Annotated[float, Field(ge=0, le=300)] | None = None
    """After SIGTERM, seconds during which `/readyz` is 503 but requests are still accepted; set it to the time that a
    load balancer needs to notice. By default 5 in production and 0 in development."""

    database_url: Annotated[str, Field(repr=False)] = ""
    """`postgresql://user:password@host/name`, or `sqlite:///path` for a single process. It accepts libpq's parameters,
    such as `?sslmode=verify-full&sslrootcert=system`; a transaction pooler needs `?statement_cache_size=0`."""
    database_pool_size: Annotated[int, Field(ge=1, le=200)] = 10
    """Maximum connections of one process to PostgreSQL."""
    audit_retention_days: Annotated[int, Field(ge=1, le=36_500)] = 365
    """Days after which the service deletes an audit entry, with the network address in it."""
    redis_url: Annotated[SecretStr, AfterValidator(redis_address)] | None = None
    """Redis in which processes share rate limits, HubSpot's quota and the read cache; without it each process has its
    own."""

    @property
    def secret_keys(self) -> KeyRing:
        """SECRET_KEY, and the other key of a rotation."""
        return _key_ring(self.secret_key, self.secret_key_previous)

    @property
    def jwt_keys(self) -> KeyRing:
        """JWT_SECRET_KEY, and the other key of a rotation."""
        return _key_ring(self.jwt_secret_key, self.jwt_secret_key_previous)


def _key_ring(current: SecretStr, other: SecretStr | None) -> KeyRing:
    return KeyRing(current.get_secret_value(), other.get_secret_value() if other is not None else None)
