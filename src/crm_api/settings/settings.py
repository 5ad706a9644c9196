"""All settings: their source, the defaults of each environment, and what is unsafe in production."""

from functools import cached_property

from pydantic import SecretStr, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from crm_api.settings.accounts import AccountSettings
from crm_api.settings.checks import ineffective_limits, similar_secrets, trusts_all_proxies
from crm_api.settings.hubspot import HubSpotSettings, hubspot_problems
from crm_api.settings.observability import ObservabilitySettings
from crm_api.settings.server import ServerSettings

DEVELOPMENT_SECRET = "development-only-secret-that-production-refuses"
PLACEHOLDERS = ("change-me", "changeme", "placeholder", "secret-key", "your-", "development-only")
MIN_SECRET_LENGTH = 32
MIN_BCRYPT_ROUNDS = 10
PRODUCTION_REGISTRATIONS = "10 per 1 hour"


class SettingsRefusedError(ValueError):
    """Settings with which the service cannot start or would be unsafe in production."""

    def __init__(self, problems: list[str]) -> None:
        lines = [f"  - {problem}" for problem in problems]
        super().__init__("\n".join(["crm-api refuses to start with these settings:", *lines]))
        self.problems = problems


# Documents list the fields of the last base class first.
class Settings(ObservabilitySettings, AccountSettings, HubSpotSettings, ServerSettings, BaseSettings):
    """Settings; each field is an environment variable of the same name in capitals."""

    model_config = SettingsConfigDict(
        env_file=".env",
        env_file_encoding="utf-8",
        extra="ignore",
        hide_input_in_errors=True,
    )

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
        if problems := [*self.production_problems, *no_database, *hubspot_problems(self)]:
            raise SettingsRefusedError(problems)

    def require_hubspot(self) -> None:
        """Raise `SettingsRefusedError` if HubSpot cannot be called with these settings."""
        if self.hubspot_access_token is None:
            # Rotated refresh tokens are in the database, so that is needed too.
            self.require_startable()
        elif problems := hubspot_problems(self):
            raise SettingsRefusedError(problems)


def _describe(error: ErrorDetails) -> str:
    names = [part for part in error["loc"] if isinstance(part, str)]
    variable = names[0].upper() if names else "settings"
    within = ".".join(str(part) for part in error["loc"][1:])
    message = error["msg"].removeprefix("Value error, ")
    return f"{variable}: {within + ': ' if within else ''}{message}"


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
    if trusts_all_proxies(settings.forwarded_allow_ips):
        problems.append("FORWARDED_ALLOW_IPS lets every caller choose an address; list the proxies")
    if not settings.rate_limit_enabled:
        problems.append("RATE_LIMIT_ENABLED=false is for load tests only")
    return problems
