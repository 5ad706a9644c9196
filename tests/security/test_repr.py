"""The repr of every dataclass and model, which may reach a log or an error report."""

import dataclasses
import importlib
import re
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr
from tests.support.imports import module_paths

from crm_api.schemas.sessions import TokenGrant, TokenRefresh, Tokens
from crm_api.settings import Settings

MARK = "must-not-be-shown"
PRIVATE = re.compile(
    r"(^|_)(tokens?|refresh|secret|password|key|keys|email|firstname|lastname|phone|address|body|content|params|path|"
    r"query|text|value|values|recipient|html|endpoint|agent)($|_)|(database|redis|smtp)_url"
)
# Fields with such a name that hold neither a secret nor personal data.
HARMLESS = {
    "AccountRules.access_token_seconds",
    "AccountRules.email_domains",
    "AccountRules.refresh_token_days",
    "Field.value_type",
    "PropertyOption.value",
    "Property.has_unique_value",
    "_ModificationMetadata.read_only_value",
    "Settings.access_token_seconds",
    "Settings.email_verification",
    "Settings.max_body_bytes",
    "Settings.max_connections_per_address",
    "Settings.rate_limit_failed_logins_per_address",
    "Settings.rate_limit_logins_per_address",
    "Settings.rate_limit_mails_per_recipient",
    "Settings.refresh_token_days",
    "Settings.registration_email_domains",
    "Settings.root_path",
}


def classes() -> Iterator[type]:
    """Return the dataclasses and Pydantic models of the package."""
    for module_name in sorted(module_paths("crm_api")):
        if module_name == "crm_api.__main__":
            continue
        module = importlib.import_module(module_name)
        for value in vars(module).values():
            is_own = isinstance(value, type) and value.__module__ == module_name
            if is_own and (dataclasses.is_dataclass(value) or issubclass(value, BaseModel)):
                yield value


def shown_fields(cls: Any) -> set[str]:
    """Return the fields whose values are in the repr of an instance."""
    is_dataclass = dataclasses.is_dataclass(cls)
    if is_dataclass:
        names = [field.name for field in dataclasses.fields(cls)]
        instance = object.__new__(cls)
    else:
        names = list(cls.model_fields)
        instance = cls.model_construct()
    for name in names:
        secret = not is_dataclass and "SecretStr" in str(cls.model_fields[name].annotation)
        value = SecretStr(f"{MARK}-{name}-") if secret else f"{MARK}-{name}-"
        object.__setattr__(instance, name, value)
    text = f"{instance!r} {instance}"
    return {name for name in names if f"{MARK}-{name}-" in text}


@pytest.mark.parametrize("cls", list(classes()), ids=lambda cls: f"{cls.__module__}.{cls.__name__}")
def test_repr_hides_secrets_and_personal_data(cls: type) -> None:
    # The parts of the settings have the same fields as the settings.
    owner = "Settings" if issubclass(Settings, cls) else cls.__name__
    shown = {f"{owner}.{name}" for name in shown_fields(cls) if PRIVATE.search(name)}
    assert shown - HARMLESS == set()


def test_repr_of_token_models_contains_no_token_or_email() -> None:
    grant = TokenGrant(grant_type="refresh_token", username="ada@example.com", refresh_token=MARK)
    tokens = Tokens(access_token=MARK, expires_in=1800, refresh_token="rt_" + MARK)
    refresh = TokenRefresh(refresh_token="rt_" + MARK * 2)
    texts = [f"{model!r} {model} {[model]}" for model in (grant, tokens, refresh)]
    assert texts[1] == "Tokens() Tokens() [Tokens()]"
    assert not [text for text in texts if MARK in text or "ada" in text]


def test_checked_classes_include_settings_tokens_and_records() -> None:
    found = {cls.__name__ for cls in classes()}
    assert found >= {"Settings", "Tokens", "TokenRefresh", "NewUser", "CrmRecord", "Mail", "Origin"}
