"""Documentation of the settings, as Markdown and as `.env.example`."""

import json
from typing import Any, Final

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from crm_api.openapi.field_docstrings import field_docstrings
from crm_api.settings import Settings

# First setting of each group.
GROUPS: Final = {
    "environment": "The service",
    "host": "Serving",
    "database_url": "Database and Redis",
    "hubspot_base_url": "HubSpot",
    "registration": "Accounts",
    "bcrypt_rounds": "Passwords and tokens",
    "rate_limit_enabled": "Limits",
    "metrics_port": "Metrics, traces and logs",
}


def markdown() -> str:
    """Return the text of `docs/configuration.md`."""
    lines = [
        "# Configuration",
        "",
        "Settings are environment variables or lines of a `.env` file.",
        "A setting without a default is unset.",
        "Production requires `SECRET_KEY`, `JWT_SECRET_KEY`, `DATABASE_URL` and HubSpot credentials.",
        "In production, the service refuses to start with unsafe settings and lists all of them.",
        "",
        "`crm-api settings --markdown` writes this page, and a test compares it with the code.",
    ]
    descriptions = field_docstrings(Settings)
    for name, field in Settings.model_fields.items():
        if name in GROUPS:
            lines += ["", f"## {GROUPS[name]}", "", "| Variable | Default | What it does |", "|---|---|---|"]
        default = f"`{_text(field)}`" if _text(field) else ""
        lines.append(f"| `{name.upper()}` | {default} | {_in_one_line(descriptions[name])} |")
    return "\n".join(lines) + "\n"


def dotenv() -> str:
    """Return the text of `.env.example`."""
    lines = [
        "# All settings with their defaults. Copy this file to .env and uncomment what you change.",
        "# `crm-api settings` writes this file, and a test compares it with the code.",
    ]
    descriptions = field_docstrings(Settings)
    for name, field in Settings.model_fields.items():
        if name in GROUPS:
            lines += ["", f"# --- {GROUPS[name]}"]
        lines += [f"# {_in_one_line(descriptions[name])}", f"# {name.upper()}={_text(field)}"]
    return "\n".join(lines) + "\n"


def _in_one_line(text: str) -> str:
    return " ".join(text.split())


def _text(field: FieldInfo) -> str:
    default: Any = field.get_default(call_default_factory=True)
    if isinstance(default, SecretStr):
        default = default.get_secret_value()
    if default is None or default == []:
        return ""
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, list):
        return ",".join(default)
    return json.dumps(default) if isinstance(default, dict) else str(default)
