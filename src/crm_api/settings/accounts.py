"""Settings of user accounts: registration, mails, passwords, tokens and rate limits."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field, SecretStr, field_validator
from pydantic_settings import NoDecode

from crm_api.settings.checks import is_web_address, mail_sender, normalised_domain, rate_limit

RateLimit = Annotated[str, AfterValidator(rate_limit)]
Domain = Annotated[str, AfterValidator(normalised_domain)]


class AccountSettings(BaseModel):
    """Settings of user accounts."""

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

    @field_validator("app_public_url")
    @classmethod
    def _check_public_url(cls, value: str) -> str:
        if not is_web_address(value):
            raise ValueError("write https://portal.example.com, with the path if it has one")
        return value
