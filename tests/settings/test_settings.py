"""Settings, their checks, and the files that are written from them."""

import re
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from crm_api import main
from crm_api.cli import http_protocol
from crm_api.cli.configuration import dotenv, markdown
from crm_api.main import create_app
from crm_api.openapi.field_docstrings import field_docstrings
from crm_api.security import proxies
from crm_api.security.networks import network_of
from crm_api.services.properties import values
from crm_api.services.properties.mapping import parse_datetime, plain_number
from crm_api.settings import Settings, SettingsRefusedError
from crm_api.settings.checks import trusts_all_proxies

EXAMPLE = Path(__file__).parents[2] / ".env.example"
GOOD: dict[str, Any] = {
    "environment": "production",
    "secret_key": "Zk4fQw8yT2mX6vB1nR7cL3pD9sH5jG0a",
    "jwt_secret_key": "uE7rY1qW9oP3iA5sD2fG8hJ4kL6zX0cV",
    "database_url": "postgresql://crm@db/crm",
    "hubspot_access_token": "pat-na1-not-a-real-one",
    "smtp_url": "smtp://mail.example:587",
    "app_public_url": "https://portal.example",
}


def make(**changes: Any) -> Settings:
    return Settings(_env_file=None, **(GOOD | changes))


def test_valid_production_settings_are_startable() -> None:
    make().require_startable()


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"secret_key": ""}, "SECRET_KEY is not set"),
        ({"jwt_secret_key": "short"}, "JWT_SECRET_KEY has fewer"),
        ({"secret_key": "change-me-change-me-change-me-change-me"}, "SECRET_KEY is a placeholder"),
        ({"secret_key": "a" * 40}, "SECRET_KEY is a placeholder"),
        ({"secret_key": GOOD["jwt_secret_key"]}, "are the same"),
        ({"secret_key_previous": "short"}, "SECRET_KEY_PREVIOUS has fewer"),
        ({"jwt_secret_key_previous": "a" * 40}, "JWT_SECRET_KEY_PREVIOUS is a placeholder"),
        (
            {"secret_key_previous": GOOD["secret_key"]},
            "SECRET_KEY and SECRET_KEY_PREVIOUS are the same",
        ),
        ({"hubspot_base_url": "http://emulator:8100"}, "HUBSPOT_BASE_URL"),
        ({"secret_key": GOOD["jwt_secret_key"][:-2] + "00"}, "are the same or nearly so"),
        ({"secret_key": GOOD["jwt_secret_key"].swapcase()}, "are the same or nearly so"),
        ({"secret_key": "new-" + GOOD["jwt_secret_key"] * 3}, "are the same or nearly so"),
        (
            {"secret_key": GOOD["hubspot_access_token"] * 2},
            "SECRET_KEY and HUBSPOT_ACCESS_TOKEN are the same",
        ),
        ({"email_verification": "off"}, "EMAIL_VERIFICATION=off"),
        (
            {"email_verification": "off", "registration_email_domains": "example.com"},
            "EMAIL_VERIFICATION=off",
        ),
        ({"bcrypt_rounds": 9}, "BCRYPT_ROUNDS is below 10"),
        ({"cors_origins": "*"}, "CORS_ORIGINS contains *"),
        ({"cors_origins": "https://a.example, http://b.example"}, "CORS_ORIGINS contains http://b.example"),
        ({"app_public_url": "http://portal.example", "smtp_url": None}, "APP_PUBLIC_URL is not https"),
        ({"new_user_role": "staff"}, "NEW_USER_ROLE=staff"),
        (
            {"new_user_role": "staff", "email_verification": "off", "registration": "closed"},
            "NEW_USER_ROLE=staff",
        ),
        ({"smtp_url": None}, "needs SMTP_URL"),
        ({"app_public_url": "http://localhost:4012"}, "APP_PUBLIC_URL is not https"),
        ({"rate_limit_enabled": False}, "RATE_LIMIT_ENABLED=false"),
        *(
            ({"forwarded_allow_ips": proxies}, "FORWARDED_ALLOW_IPS lets every caller")
            for proxies in (
                "*",
                "10.0.0.1, 0.0.0.0/0",
                "::/0",
                "0.0.0.0/1,128.0.0.0/1",
                "2000::/3",
                "::ffff:0:0/96",
            )
        ),
        ({"database_url": ""}, "DATABASE_URL is not set"),
        ({"hubspot_access_token": None}, "no HubSpot credentials"),
        ({"hubspot_access_token": "pat-na1-x\n"}, "HUBSPOT_ACCESS_TOKEN contains a space"),
        ({"hubspot_access_token": "pät"}, "HUBSPOT_ACCESS_TOKEN contains a space"),
        ({"hubspot_base_url": "api.hubapi.com"}, "HUBSPOT_BASE_URL is not an http"),
        ({"hubspot_base_url": "localhost:8100"}, "HUBSPOT_BASE_URL is not an http"),
        ({"hubspot_base_url": "https://api.hubapi.com:port"}, "HUBSPOT_BASE_URL is not an http"),
        ({"hubspot_base_url": "https:///crm"}, "HUBSPOT_BASE_URL is not an http"),
        ({"hubspot_base_url": "https://api.hubapi.com?x=1"}, "HUBSPOT_BASE_URL is not an http"),
        ({"hubspot_access_token": None, "hubspot_client_id": "x"}, "no HubSpot credentials"),
    ],
)
def test_production_refuses_unsafe_settings(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(SettingsRefusedError, match=re.escape(problem)):
        make(**changes).require_startable()


@pytest.mark.parametrize(
    "changes",
    [
        {"email_verification": "off", "registration": "closed"},
        {"forwarded_allow_ips": "10.0.0.0/8, fc00::/7, 192.0.2.1, proxy"},
        {"cors_origins": "https://portal.example", "bcrypt_rounds": 10},
        {"new_user_role": "staff", "registration_email_domains": "example.com, example.org"},
        {
            "hubspot_access_token": None,
            "hubspot_client_id": "id",
            "hubspot_client_secret": "secret",
            "hubspot_refresh_token": "na1-token",
        },
    ],
)
def test_production_accepts_safe_variants_of_risky_settings(changes: dict[str, Any]) -> None:
    make(**changes).require_startable()


@pytest.mark.parametrize(
    ("domains", "expected"),
    [
        ("Example.ORG, @example.com", ["example.org", "example.com"]),
        ("b\u00fccher.example", ["xn--bcher-kva.example"]),
        ("", []),
    ],
)
def test_registration_domains_are_normalised(domains: str, expected: list[str]) -> None:
    assert make(registration_email_domains=domains).registration_email_domains == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", ""),
        ("/", ""),
        ("/crm", "/crm"),
        ("/crm/", "/crm"),
        ("/a/b-1.2_~", "/a/b-1.2_~"),
        ("/apis", "/apis"),
    ],
)
def test_root_path_is_normalised(value: str, expected: str) -> None:
    assert make(root_path=value).root_path == expected


@pytest.mark.parametrize(
    ("origins", "expected"),
    [
        ("https://portal.example/", ["https://portal.example"]),
        ("HTTPS://Portal.Example", ["https://portal.example"]),
        (
            "https://portal.example:443, http://portal.example:80/",
            ["https://portal.example", "http://portal.example"],
        ),
        ("https://portal.example:08443", ["https://portal.example:8443"]),
        ("http://portal.example:443", ["http://portal.example:443"]),
        ("http://localhost:4013", ["http://localhost:4013"]),
        ("http://[2001:DB8::1]:4013/", ["http://[2001:db8::1]:4013"]),
        ("*", ["*"]),
    ],
)
def test_cors_origins_are_normalised_to_the_form_of_browsers(origins: str, expected: list[str]) -> None:
    assert make(environment="development", cors_origins=origins).cors_origins == expected


@pytest.mark.parametrize(
    "origin",
    [
        '"https://portal.example"',
        "'https://portal.example'",
        '["https://portal.example"]',
        "https://portal.example/app",
        "https://portal.example?x",
        "https://portal.example#x",
        "https://portal.example https://other.example",
        "portal.example",
        "//portal.example",
        "ftp://portal.example",
        "null",
        "https://*.example",
        "https://portal.example:0",
        "https://portal.example:65536",
        "https://portal.example:x",
        "https://b\u00fccher.example",
        "https://",
    ],
)
@pytest.mark.parametrize("environment", ["development", "production"])
def test_cors_origin_that_no_browser_sends_is_refused(
    monkeypatch: pytest.MonkeyPatch, environment: str, origin: str
) -> None:
    for name, value in (GOOD | {"environment": environment, "cors_origins": origin}).items():
        monkeypatch.setenv(name.upper(), value)
    with pytest.raises(SettingsRefusedError) as refused:
        Settings.load()
    [problem] = refused.value.problems
    assert problem.startswith("CORS_ORIGINS: 0: ")
    assert f"{origin} is not an origin" in problem


def test_refused_cors_origin_does_not_show_its_password() -> None:
    with pytest.raises(ValueError, match="cors_origins") as refused:
        make(cors_origins="https://user:hidden" + "@portal.example")
    assert "hidden" not in str(refused.value)


@pytest.mark.parametrize(
    "changes",
    [
        *(
            {"root_path": path}
            for path in (
                "crm",
                "//",
                "/crm//",
                "/a//b",
                "/..",
                "/a/./b",
                "/a b",
                "/a?b",
                "/%61",
                "/api",
                "/docs/x",
                "/\u00e9",
            )
        ),
        {"registration_email_domains": "*.example.org"},
        {"registration_email_domains": "ada@example.org"},
        {"registration_email_domains": "localhost"},
        {"mail_from": "Portal"},
        {"mail_from": "Portal, Inc <no-reply@portal.example>"},
        {"app_public_url": "portal.example"},
        {"app_public_url": "javascript:alert(1)"},
        {"app_public_url": "https://portal.example/?page="},
    ],
)
def test_invalid_setting_raises_error_naming_the_variable(changes: dict[str, str]) -> None:
    [name] = changes
    with pytest.raises(ValueError, match=name):
        make(**changes)


class UnknownParserError(Exception):
    """Error of a kind that no parser documents, such as `HeaderParseError` of Python 3.13."""


@pytest.mark.parametrize(
    ("parser", "changes"),
    [
        ("crm_api.settings.checks.parseaddr", {"mail_from": "no-reply@portal.example"}),
        ("crm_api.settings.checks.Address", {"mail_from": "no-reply@portal.example"}),
        ("crm_api.settings.checks.urlsplit", {"app_public_url": "https://portal.example"}),
        ("crm_api.settings.checks.validate_email", {"registration_email_domains": "example.org"}),
        ("crm_api.settings.checks.limits.parse_many", {"rate_limit_user": "1 per 1 second"}),
        ("crm_api.mail.urlsplit", {"smtp_url": "smtp://mail.example"}),
        ("crm_api.security.proxies.urlsplit", {"hubspot_base_url": "https://api.hubapi.com"}),
    ],
)
def test_setting_is_refused_after_unknown_error_of_its_parser(
    monkeypatch: pytest.MonkeyPatch, parser: str, changes: dict[str, str]
) -> None:
    def fail(*_arguments: object, **_options: object) -> None:
        raise UnknownParserError

    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example")
    monkeypatch.setattr(parser, fail)
    with pytest.raises(ValueError):
        create_app(make(**changes))


@pytest.mark.parametrize(
    ("parser", "read"),
    [
        ("crm_api.services.properties.values.date", lambda: values._date_to_wire("2026-12-31")),
        ("crm_api.settings.checks.ipaddress.ip_network", lambda: trusts_all_proxies("10.0.0.1")),
        ("crm_api.security.networks.ipaddress.ip_address", lambda: network_of("10.0.0.1")),
        ("crm_api.services.properties.mapping.Decimal", lambda: plain_number("1e3")),
        ("crm_api.services.properties.mapping.datetime", lambda: parse_datetime("2026-12-31T00:00:00Z")),
        ("crm_api.cli.http_protocol.ip_network", lambda: http_protocol._parse_network("10.0.0.1")),
        ("crm_api.security.proxies.urlsplit", lambda: proxies._checked("HTTPS_PROXY", "http://10.0.0.1")),
        ("crm_api.security.proxies.ip_address", lambda: proxies._is_loopback("127.0.0.1")),
        ("crm_api.security.proxies.ip_network", lambda: proxies._matches("10.0.0.0/8", "10.0.0.1", None)),
    ],
)
def test_user_text_is_refused_after_unknown_error_of_its_parser(
    monkeypatch: pytest.MonkeyPatch, parser: str, read: Callable[[], object]
) -> None:
    class Failing:
        def __getattr__(self, name: str) -> object:
            raise UnknownParserError

        def __call__(self, *_arguments: object, **_options: object) -> object:
            raise UnknownParserError

    monkeypatch.setattr(parser, Failing())
    with suppress(ValueError, proxies.ProxyError):
        assert read() in (None, False, "10.0.0.1", "1e3")


def test_all_problems_of_the_settings_are_reported_together() -> None:
    with pytest.raises(SettingsRefusedError) as refused:
        make(secret_key="", jwt_secret_key="", rate_limit_enabled=False, database_url="").require_startable()
    assert len(refused.value.problems) == 4


def test_20_random_pairs_of_hex_secrets_are_accepted() -> None:
    for _ in range(20):
        make(secret_key=secrets.token_hex(32), jwt_secret_key=secrets.token_hex(32)).require_startable()


def test_production_warns_of_ineffective_rate_limits(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(main, "configure_logging", lambda _settings: None)
    create_app(make(rate_limit_user="100000 per 1 second", rate_limit_registrations="2000 per 1 hour"))
    assert [message.partition("=")[0] for message in caplog.messages] == [
        "RATE_LIMIT_REGISTRATIONS",
        "RATE_LIMIT_USER",
    ]
    assert make().production_warnings == []
    assert make(environment="development", rate_limit_user="100000 per 1 second").production_warnings == []


def test_repr_of_settings_masks_secrets() -> None:
    settings = make(
        redis_url="redis://:hidden-password@redis:6379/0",
        smtp_url="smtp://user:hidden-password@mail.example",
        database_url="postgresql://crm:hidden-password@db/crm",
    )
    for secret in (
        GOOD["secret_key"],
        GOOD["jwt_secret_key"],
        GOOD["hubspot_access_token"],
        "hidden-password",
    ):
        assert secret not in repr(settings)


def test_empty_environment_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENVIRONMENT", "development")
    monkeypatch.setenv("PORT", "")
    monkeypatch.setenv("REDIS_URL", "")
    monkeypatch.setenv("CORS_ORIGINS", "")
    settings = Settings(_env_file=None)
    assert (settings.port, settings.redis_url, settings.cors_origins) == (4012, None, [])


def test_dotenv_example_is_up_to_date() -> None:
    assert EXAMPLE.read_text(encoding="utf-8") == dotenv(), "run: crm-api settings > .env.example"


def test_configuration_document_is_up_to_date() -> None:
    table = EXAMPLE.parent / "docs" / "configuration.md"
    assert table.read_text(encoding="utf-8") == markdown(), (
        "run: crm-api settings --markdown > docs/configuration.md"
    )


def test_every_setting_has_a_description() -> None:
    assert Settings.model_fields.keys() == field_docstrings(Settings).keys()


def test_dotenv_example_lists_exactly_the_settings() -> None:
    named = re.findall(r"^#? ?([A-Z][A-Z0-9_]+)=", EXAMPLE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert sorted(named) == sorted(name.upper() for name in Settings.model_fields)


def test_dotenv_example_contains_no_secret() -> None:
    values = dict(re.findall(r"^([A-Z0-9_]+)=(.*)$", EXAMPLE.read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert not {
        name for name, value in values.items() if value and name.endswith(("_KEY", "_TOKEN", "_SECRET"))
    }
