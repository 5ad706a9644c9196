"""Settings, read from environment variables and a `.env` file."""

import re
from functools import cached_property
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict, SettingsError

from crm_api.security.crypto import KeyRing
from crm_api.security.proxies import ProxyError, proxy_for
from crm_api.setting_checks import (
    browser_origin,
    ineffective_limits,
    is_trust_of_everybody,
    is_web_address,
    mail_sender,
    normalised_domain,
    path_prefix,
    rate_limit,
    redis_address,
    similar_secrets,
)

DEVELOPMENT_SECRET = "development-only-secret-that-production-refuses"
PLACEHOLDERS = ("change-me", "changeme", "placeholder", "secret-key", "your-", "development-only")
MIN_SECRET_LENGTH = 32
MIN_BCRYPT_ROUNDS = 10
PRODUCTION_REGISTRATIONS = "10 per 1 hour"
# HubSpot refuses URLs that are too long (414), and the URL of a list or of a single read contains the names.
# https://developers.hubspot.com/docs/api-reference/error-handling
MAX_PROPERTY_NAMES_LENGTH = 6_000
# Printable characters without space: a token with a pasted line break is no valid header.
_TOKEN = re.compile(r"[\x21-\x7e]+")
STAFF_ONLY_PROPERTIES = frozenset({"email", "lifecyclestage", "hubspot_owner_id"})


class SettingsRefusedError(ValueError):
    """Settings with which the service cannot start or would be unsafe in production."""

    def __init__(self, problems: list[str]) -> None:
        lines = [f"  - {problem}" for problem in problems]
        super().__init__("\n".join(["crm-api refuses to start with these settings:", *lines]))
        self.problems = problems


TicketCategory = Literal["general_inquiry", "technical_issue", "billing", "service_request", "meeting"]
CustomerOperation = Literal[
    "create_deal", "update_deal", "archive_deal", "create_ticket", "update_ticket", "archive_ticket"
]
RateLimit = Annotated[str, AfterValidator(rate_limit)]
Domain = Annotated[str, AfterValidator(normalised_domain)]
Origin = Annotated[str, AfterValidator(browser_origin)]
PropertyName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,99}$")]


class PropertyLists(BaseModel):
    """HubSpot properties that the operator adds to one object type."""

    model_config = ConfigDict(extra="forbid")

    # The contract limits `properties` of a record to 100 members.
    readable: Annotated[list[PropertyName], Field(max_length=100)] = []
    """Properties in `properties` of every record, for all callers."""
    writable_by_customer: list[PropertyName] = []
    writable_by_staff: list[PropertyName] = []
    filterable: list[PropertyName] = []

    @model_validator(mode="after")
    def _check_readable_and_reserved(self) -> "PropertyLists":
        for name in (*self.writable_by_customer, *self.writable_by_staff, *self.filterable):
            if name not in self.readable:
                raise ValueError(f"{name} is not readable")
        if len(",".join(self.readable)) > MAX_PROPERTY_NAMES_LENGTH:
            maximum = MAX_PROPERTY_NAMES_LENGTH
            raise ValueError(f"the names of readable have more than {maximum} characters together")
        if reserved := STAFF_ONLY_PROPERTIES & set(self.writable_by_customer):
            raise ValueError(f"customers cannot write {', '.join(sorted(reserved))}")
        return self


class Settings(BaseSettings):
    """Settings; each field is an environment variable of the same name in capitals."""

    model_config = SettingsConfigDict(
        env_file=".env",
        env_file_encoding="utf-8",
        extra="ignore",
        hide_input_in_errors=True,
    )

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

    hubspot_base_url: str = "https://api.hubapi.com"
    """URL of HubSpot or of an emulator."""
    hubspot_api_version: Annotated[str, Field(pattern=r"^\d{4}-\d{2}(-beta)?$")] = "2026-09"
    """Dated version of HubSpot's API."""
    hubspot_access_token: SecretStr | None = None
    """A service key or private-app token; alternatively set the next three variables."""
    hubspot_client_id: str | None = None
    """Client ID of the OAuth app."""
    hubspot_client_secret: SecretStr | None = None
    """Client secret of the OAuth app."""
    hubspot_refresh_token: SecretStr | None = None
    """Refresh token of the app's installation in the HubSpot account."""
    hubspot_max_connections: Annotated[int, Field(ge=1, le=100)] = 40
    """Maximum connections of one process to HubSpot, and so its maximum parallel calls."""
    hubspot_burst_limit: Annotated[int, Field(ge=1)] = 100
    """Requests per 10 seconds that the HubSpot account allows this app."""
    hubspot_search_limit: Annotated[int, Field(ge=1)] = 5
    """Searches per second that the HubSpot account allows."""
    hubspot_daily_limit: Annotated[int, Field(ge=1)] = 250_000
    """Requests per day that the HubSpot account allows."""
    hubspot_daily_limit_per_user: Annotated[int, Field(ge=1)] | None = None
    """Requests per day that the service sends for one user. By default 5 % of `HUBSPOT_DAILY_LIMIT`."""
    read_cache_seconds: Annotated[float, Field(ge=0, le=3600)] = 10.0
    """Time for which HubSpot's responses to customers' reads count as fresh; 0 switches the cache off. Customers see
    their own changes at once, and changes made in HubSpot after this time."""
    read_cache_stale_seconds: Annotated[float, Field(ge=0, le=86_400)] = 300.0
    """Maximum age of a cached response, which is used only while HubSpot's quota is exhausted or HubSpot fails."""
    read_cache_max_bytes: Annotated[int, Field(ge=1_048_576)] = 33_554_432
    """Maximum memory of the read cache in one process; a page of one customer takes about 8 KB."""
    hubspot_ticket_categories: dict[TicketCategory, Annotated[str, Field(min_length=1, max_length=100)]] = {}
    """HubSpot's option for each ticket category, as JSON, if the HubSpot account has other options:
    `{"billing": "INVOICES"}`. Callers can always use HubSpot's own options as well."""
    customer_stages: dict[Literal["deals", "tickets"], dict[str, list[str]]] = {}
    """Pipelines that customers see and stages that they may set, as JSON: `{"deals": {"default": ["qualifiedtobuy"]}}`.
    Deals and tickets in other pipelines do not exist for customers. An object type that is not listed is unrestricted;
    an empty list allows all stages."""
    customer_operations: Annotated[list[CustomerOperation], NoDecode] = [
        "create_deal",
        "update_deal",
        "create_ticket",
        "update_ticket",
    ]
    """What customers may do with deals and tickets, separated by commas; `none` forbids all changes. Also possible:
    `archive_deal` and `archive_ticket`, which let every contact of a deal archive it."""
    hubspot_properties: dict[Literal["contacts", "deals", "tickets"], PropertyLists] = {}
    """Properties to add to records, as JSON: `{"deals": {"readable": ["dealtype"], "filterable": ["dealtype"]}}`."""

    registration: Literal["open", "closed"] = "open"
    """`closed` refuses all registrations."""
    registration_email_domains: Annotated[list[Domain], NoDecode] = []
    """E-mail domains that may register, separated by commas; subdomains do not count. All domains by default."""
    email_verification: Literal["off", "required"] | None = None
    """`required` creates a user only after e-mail verification. Default: `off` in development, else `required`."""
    new_user_role: Literal["customer", "staff"] = "customer"
    """Role of a new user; with `staff`, every user sees all records."""
    app_public_url: str = "http://localhost:4012"
    """Base URL of the links in mails; https in production."""
    smtp_url: SecretStr | None = None
    """`smtp://user:password@host:587` or `smtps://...`; without it, development prints mails. Production sends only
    over TLS, except to loopback."""
    mail_from: Annotated[str, AfterValidator(mail_sender)] = "no-reply@example.com"
    """Sender of mails."""

    bcrypt_rounds: Annotated[int, Field(ge=4, le=16)] = 12
    """Cost of a password hash; 12 takes about 0.25 s."""
    access_token_seconds: Annotated[int, Field(ge=60, le=86_400)] = 1800
    """Lifetime of an access token."""
    refresh_token_days: Annotated[int, Field(ge=1, le=90)] = 30
    """Lifetime of an unused refresh token."""
    session_days: Annotated[int, Field(ge=1, le=366)] = 90
    """Maximum lifetime of a session, refreshes included."""
    max_sessions_per_user: Annotated[int, Field(ge=1, le=1000)] = 20
    """Maximum sessions of one user; a further login ends the oldest."""

    rate_limit_enabled: bool = True
    """`false` is for load tests only; production refuses it."""
    rate_limit_failed_logins_per_account: RateLimit = "5 per 1 minute"
    """Failed logins of one e-mail address from one network address."""
    rate_limit_failed_logins_per_account_total: RateLimit = "30 per 1 minute"
    """Failed logins of one e-mail address from all network addresses."""
    rate_limit_failed_logins_per_address: RateLimit = "20 per 1 minute"
    """Failed logins from one network address."""
    rate_limit_logins_per_address: RateLimit = "60 per 1 minute"
    """Logins from one network address, correct ones included."""
    rate_limit_invalid_requests: RateLimit = "60 per 1 minute"
    """Invalid requests without a login from one network address; then its account requests are refused."""
    rate_limit_registrations: RateLimit | None = None
    """Registrations and mails from one network address. By default 10 per hour, in development 60 per minute."""
    rate_limit_mails_per_recipient: RateLimit = "5 per 1 hour"
    """Requested mails to one e-mail address."""
    rate_limit_user: RateLimit = "120 per 1 minute"
    """All other requests of one user."""

    metrics_port: Annotated[int, Field(ge=0, le=65535)] | None = None
    """Port that serves the Prometheus metrics of all workers; no metrics by default."""
    metrics_host: str = "127.0.0.1"
    """Address that serves the metrics."""
    metrics_folder: str | None = None
    """Folder in which each start creates a folder for its metric files, 3 MiB for each worker; by default the system's
    folder of temporary files."""
    otel_exporter_otlp_endpoint: Annotated[str | None, Field(repr=False)] = None
    """OpenTelemetry collector for traces (OTLP over HTTP), such as `http://collector:4318`; no traces by default.
    Needs `crm-api[otel]`."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Minimum level of the lines that are logged."""
    log_format: Literal["json", "text"] | None = None
    """Format of log lines. By default `json` in production and `text` in development."""

    @field_validator("cors_origins", "registration_email_domains", "customer_operations", mode="before")
    @classmethod
    def _split_on_commas(cls, value: object) -> object:
        return (
            [item.strip() for item in value.split(",") if item.strip()] if isinstance(value, str) else value
        )

    @field_validator("customer_operations", mode="before")
    @classmethod
    def _none_is_empty(cls, value: object) -> object:
        # Runs before `_split_on_commas`, because Pydantic calls the last validator first.
        return [] if value == "none" else value

    @field_validator("app_public_url")
    @classmethod
    def _check_public_url(cls, value: str) -> str:
        if not is_web_address(value):
            raise ValueError("write https://portal.example.com, with the path if it has one")
        return value

    @field_validator("*", mode="before")
    @classmethod
    def _empty_is_unset(cls, value: object, info: object) -> object:
        # Docker Compose passes `NAME=` for an unset variable.
        field = cls.model_fields[info.field_name]  # type: ignore[attr-defined]
        return field.get_default(call_default_factory=True) if value == "" else value

    @model_validator(mode="after")
    def _set_defaults_of_environment(self) -> "Settings":
        development = self.environment == "development"
        if development:
            for name in ("secret_key", "jwt_secret_key"):
                if not getattr(self, name).get_secret_value():
                    setattr(self, name, SecretStr(f"{DEVELOPMENT_SECRET}-{name}"))
            self.database_url = self.database_url or "sqlite:///crm-api.db"
        self.email_verification = self.email_verification or ("off" if development else "required")
        self.rate_limit_registrations = self.rate_limit_registrations or (
            "60 per 1 minute" if development else PRODUCTION_REGISTRATIONS
        )
        self.hubspot_daily_limit_per_user = self.hubspot_daily_limit_per_user or max(
            1, self.hubspot_daily_limit // 20
        )
        self.log_format = self.log_format or ("text" if development else "json")
        if self.shutdown_notice_seconds is None:
            self.shutdown_notice_seconds = 0.0 if development else 5.0
        return self

    @property
    def secret_keys(self) -> KeyRing:
        """SECRET_KEY, and the other key of a rotation."""
        return _key_ring(self.secret_key, self.secret_key_previous)

    @property
    def jwt_keys(self) -> KeyRing:
        """JWT_SECRET_KEY, and the other key of a rotation."""
        return _key_ring(self.jwt_secret_key, self.jwt_secret_key_previous)

    @cached_property
    def production_problems(self) -> list[str]:
        """Problems that make these settings unsafe in production; empty in development."""
        return list(_production_problems(self)) if self.environment == "production" else []

    @property
    def production_warnings(self) -> list[str]:
        """Settings that are probably mistakes in production; empty in development."""
        if self.environment == "development":
            return []
        defaults = {
            name: field.default or PRODUCTION_REGISTRATIONS
            for name, field in type(self).model_fields.items()
            if name.startswith("rate_limit_") and name != "rate_limit_enabled"
        }
        return ineffective_limits(
            (name.upper(), getattr(self, name), default) for name, default in defaults.items()
        )

    @classmethod
    def load(cls) -> "Settings":
        """Read the environment and `.env`. Raises `SettingsRefusedError` with all values that are not valid."""
        try:
            return cls()
        except ValidationError as error:
            raise SettingsRefusedError([_describe(details) for details in error.errors()]) from None
        except SettingsError as error:
            name = str(error).partition('"')[2].partition('"')[0]
            raise SettingsRefusedError([f"{name.upper()}: not JSON"]) from None

    @classmethod
    def load_for_hubspot(cls) -> "Settings":
        """Read the settings of a command that calls HubSpot. Raises `SettingsRefusedError`."""
        settings = cls.load()
        settings.require_hubspot()
        return settings

    def require_startable(self) -> None:
        """Raise `SettingsRefusedError` with all problems if the service cannot start."""
        no_database = [] if self.database_url else ["DATABASE_URL is not set"]
        if problems := [*self.production_problems, *no_database, *_hubspot_problems(self)]:
            raise SettingsRefusedError(problems)

    def require_hubspot(self) -> None:
        """Raise `SettingsRefusedError` if HubSpot cannot be called with these settings."""
        if self.hubspot_access_token is None:
            # Rotated refresh tokens are in the database, so that is needed too.
            self.require_startable()
        elif problems := _hubspot_problems(self):
            raise SettingsRefusedError(problems)


def _key_ring(current: SecretStr, other: SecretStr | None) -> KeyRing:
    return KeyRing(current.get_secret_value(), other.get_secret_value() if other is not None else None)


def _describe(error: ErrorDetails) -> str:
    names = [part for part in error["loc"] if isinstance(part, str)]
    variable = names[0].upper() if names else "settings"
    within = ".".join(str(part) for part in error["loc"][1:])
    message = error["msg"].removeprefix("Value error, ")
    return f"{variable}: {within + ': ' if within else ''}{message}"


def _hubspot_problems(settings: Settings) -> list[str]:
    problems = []
    if not is_web_address(settings.hubspot_base_url):
        problems.append("HUBSPOT_BASE_URL is not an http or https URL")
    else:
        try:
            proxy_for(settings.hubspot_base_url)
        except ProxyError as error:
            problems.append(str(error))
    token = settings.hubspot_access_token
    if token is not None and not _TOKEN.fullmatch(token.get_secret_value()):
        problems.append("HUBSPOT_ACCESS_TOKEN contains a space or another invalid character")
    oauth = (settings.hubspot_client_id, settings.hubspot_client_secret, settings.hubspot_refresh_token)
    if settings.hubspot_access_token is None and not all(oauth):
        problems.append(
            "no HubSpot credentials: set HUBSPOT_ACCESS_TOKEN, or HUBSPOT_CLIENT_ID, "
            "HUBSPOT_CLIENT_SECRET and HUBSPOT_REFRESH_TOKEN"
        )
    return problems


def _production_problems(settings: Settings) -> list[str]:
    problems: list[str] = []
    secrets = {"SECRET_KEY": settings.secret_key, "JWT_SECRET_KEY": settings.jwt_secret_key}
    others = {
        "SECRET_KEY_PREVIOUS": settings.secret_key_previous,
        "JWT_SECRET_KEY_PREVIOUS": settings.jwt_secret_key_previous,
    }
    secrets |= {name: secret for name, secret in others.items() if secret is not None}
    for name, secret in secrets.items():
        value = secret.get_secret_value()
        if not value:
            problems.append(f"{name} is not set")
        elif len(value) < MIN_SECRET_LENGTH:
            problems.append(f"{name} has fewer than {MIN_SECRET_LENGTH} characters")
        elif any(word in value.lower() for word in PLACEHOLDERS) or len(set(value)) < 8:
            problems.append(f"{name} is a placeholder")
    secrets |= {
        "HUBSPOT_ACCESS_TOKEN": settings.hubspot_access_token or SecretStr(""),
        "HUBSPOT_CLIENT_SECRET": settings.hubspot_client_secret or SecretStr(""),
        "HUBSPOT_REFRESH_TOKEN": settings.hubspot_refresh_token or SecretStr(""),
    }
    problems += similar_secrets({name: secret.get_secret_value() for name, secret in secrets.items()})
    if settings.bcrypt_rounds < MIN_BCRYPT_ROUNDS:
        problems.append(f"BCRYPT_ROUNDS is below {MIN_BCRYPT_ROUNDS}, so stolen hashes are quickly guessed")
    if not settings.hubspot_base_url.startswith("https://"):
        problems.append("HUBSPOT_BASE_URL is not https; plain http is for the emulator only")
    limited = settings.registration == "closed" or bool(settings.registration_email_domains)
    if settings.email_verification == "off" and settings.registration == "open":
        problems.append(
            "EMAIL_VERIFICATION=off lets anyone take over a contact: require it, or set REGISTRATION=closed"
        )
    if settings.new_user_role == "staff" and not (settings.email_verification == "required" and limited):
        problems.append(
            "NEW_USER_ROLE=staff needs EMAIL_VERIFICATION=required and REGISTRATION=closed "
            "or REGISTRATION_EMAIL_DOMAINS"
        )
    if settings.email_verification == "required" and settings.smtp_url is None:
        problems.append("EMAIL_VERIFICATION=required needs SMTP_URL")
    is_used = settings.smtp_url is not None or "app_public_url" in settings.model_fields_set
    if is_used and not settings.app_public_url.startswith("https://"):
        problems.append("APP_PUBLIC_URL is not https, and the links in mails use it")
    problems += [
        f"CORS_ORIGINS contains {origin}; list the https origins of the front ends"
        for origin in settings.cors_origins
        if not origin.startswith("https://")
    ]
    if is_trust_of_everybody(settings.forwarded_allow_ips):
        problems.append("FORWARDED_ALLOW_IPS lets every caller choose an address; list the proxies")
    if not settings.rate_limit_enabled:
        problems.append("RATE_LIMIT_ENABLED=false is for load tests only")
    return problems
