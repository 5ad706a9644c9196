"""DATABASE_URL: parsing, and libpq's parameters as arguments of the driver."""

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from crm_api.database.connections import Keepalive, connect
from crm_api.database.tls import TLS_PARAMETERS, TlsParameterError, tls_argument

DEFAULT_CONNECT_SECONDS: Final = 2
MAX_STATEMENT_CACHE: Final = 1000
_DRIVERS: Final = {"postgresql": "postgresql+asyncpg", "sqlite": "sqlite+aiosqlite"}
_FORM: Final = "write postgresql://user:password@host/name or sqlite:///path"

# Parameters with the values that describe what the driver does anyway.
_WITHOUT_EFFECT: Final[Mapping[str, tuple[str, ...]]] = {
    "client_encoding": ("utf8", "utf-8", "auto"),
    "gssencmode": ("disable", "prefer"),
    "load_balance_hosts": ("disable",),
    "sslcertmode": ("allow",),
    "sslcompression": ("0",),
    "sslsni": ("1",),
}
_URL_PARTS: Final = {"user": "username", "password": "password", "dbname": "database", "database": "database"}
_PASSED_ON: Final = ("passfile", "target_session_attrs", "krbsrvname", "gsslib")
_SESSION_ATTRIBUTES: Final = ("any", "primary", "standby", "prefer-standby", "read-write", "read-only")
_NUMBERS: Final = ("connect_timeout", "statement_cache_size", "keepalives", *Keepalive._fields)
PARAMETERS: Final = frozenset(
    {
        *("host", "port", "application_name", "fallback_application_name", "options"),
        *(*_URL_PARTS, *_PASSED_ON, *_NUMBERS, *_WITHOUT_EFFECT, *TLS_PARAMETERS),
    }
)


class DatabaseUrlError(ValueError):
    """DATABASE_URL that names no usable database."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"DATABASE_URL: {problem}")


class DatabaseTarget(NamedTuple):
    """Database to connect to."""

    url: URL
    connect_args: dict[str, Any]
    """Arguments of the driver's `connect`."""


def parse_database_url(url: str) -> DatabaseTarget:
    """Return the target; the URL may start with `postgresql://`, `postgres://` or `sqlite:///`.

    Raises `DatabaseUrlError` for an unusable URL and does not quote values, because they may contain a password.
    """
    if url.startswith("postgres://"):
        url = "postgresql://" + url.removeprefix("postgres://")
    url, hosts = _without_host_list(url)
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # ValueError: the port is not a number
        raise DatabaseUrlError(_FORM) from None
    backend = parsed.get_backend_name()
    if backend not in _DRIVERS:
        raise DatabaseUrlError(f"{backend} is not supported; use postgresql or sqlite")
    parsed = parsed.set(drivername=_DRIVERS[backend])
    parameters = {
        name: value if isinstance(value, str) else value[-1] for name, value in parsed.query.items()
    }
    if backend == "sqlite":
        if "?" in url:
            # A question mark begins the parameters, so the rest of a path would be lost.
            raise DatabaseUrlError("sqlite has no parameters; in a path, write ? as %3F and % as %25")
        _check_sqlite(parsed)
        return DatabaseTarget(parsed, {"timeout": 5.0})
    if unknown := sorted(parameters.keys() - PARAMETERS):
        raise DatabaseUrlError(
            f"unknown parameter {', '.join(unknown)}; the known parameters are {', '.join(sorted(PARAMETERS))}"
        )
    if "host" in parameters:
        listed = parsed.query["host"]
        hosts = ",".join([listed] if isinstance(listed, str) else listed)
    arguments = _driver_arguments(parameters) | _addresses(hosts, parameters.get("port", ""))
    parts = {_URL_PARTS[name]: value for name, value in parameters.items() if name in _URL_PARTS}
    return DatabaseTarget(parsed.set(query={}, **parts), arguments)  # type: ignore[arg-type]


def _check_sqlite(url: URL) -> None:
    if url.database in (None, "", ":memory:"):
        # Each connection would have its own in-memory database, or lose rows if they share one.
        raise DatabaseUrlError("SQLite needs a file, such as sqlite:///crm-api.db")
    if not Path(str(url.database)).absolute().parent.is_dir():
        raise DatabaseUrlError(f"the folder of {url.database} does not exist")


def _without_host_list(url: str) -> tuple[str, str]:
    """Return the URL without a list of hosts, which SQLAlchemy cannot parse, and the list."""
    match = re.fullmatch(r"(postgresql://(?:[^@/?]*@)?)([^@/?]*,[^@/?]*)(.*)", url, re.DOTALL)
    return (match[1] + match[3], match[2]) if match else (url, "")


def _addresses(hosts: str, ports: str) -> dict[str, Any]:
    """Return the hosts and ports as lists; empty if the URL has one host as usual."""
    names, numbers = [], []
    for item in filter(None, hosts.split(",")):
        match = re.fullmatch(r"(/.*|\[[^\]]+\]|[^:]*)(?::(\d+))?", item)
        if match is None:
            raise DatabaseUrlError(_FORM)
        names.append(match[1].strip("[]"))
        numbers.append(match[2])
    listed = ports.split(",") if ports else ["5432"]
    if not all(re.fullmatch(r"\d{1,5}", port) for port in listed) or len(listed) not in (1, len(names) or 1):
        raise DatabaseUrlError("port must be one number, or one number for each host")
    if not names:
        return {"port": int(listed[0])} if ports else {}
    defaults = listed * len(names) if len(listed) == 1 else listed
    return {"host": names, "port": [int(own or port) for own, port in zip(numbers, defaults, strict=True)]}


def _driver_arguments(parameters: Mapping[str, str]) -> dict[str, Any]:
    for name, values in _WITHOUT_EFFECT.items():
        if parameters.get(name, values[0]).lower() not in values:
            raise DatabaseUrlError(f"{name} can only be {' or '.join(values)}")
    numbers = {name: _number(name, parameters[name]) for name in _NUMBERS if name in parameters}
    arguments: dict[str, Any] = {name: parameters[name] for name in _PASSED_ON if name in parameters}
    if arguments.get("target_session_attrs", "any") not in _SESSION_ATTRIBUTES:
        raise DatabaseUrlError(f"target_session_attrs is not one of {', '.join(_SESSION_ATTRIBUTES)}")
    # libpq waits without limit for 0; a request cannot.
    arguments["timeout"] = numbers.get("connect_timeout", 0) or DEFAULT_CONNECT_SECONDS
    try:
        arguments |= tls_argument(parameters)
    except TlsParameterError as error:
        raise DatabaseUrlError(str(error)) from None
    application = parameters.get("application_name") or parameters.get("fallback_application_name", "")
    settings = {"application_name": application, "options": parameters.get("options", "")}
    arguments["server_settings"] = {name: value for name, value in settings.items() if value}
    if "statement_cache_size" in numbers:
        arguments |= _statement_cache(numbers["statement_cache_size"])
    keepalive = None
    if numbers.get("keepalives", 1):
        keepalive = Keepalive(**{name: numbers[name] for name in Keepalive._fields if name in numbers})
    return arguments | {"async_creator_fn": partial(connect, keepalive=keepalive)}


def _statement_cache(size: int) -> dict[str, Any]:
    if size > MAX_STATEMENT_CACHE:
        raise DatabaseUrlError(f"statement_cache_size must be at most {MAX_STATEMENT_CACHE}")
    if size:
        return {"prepared_statement_cache_size": size}
    # Behind a transaction pooler, the next transaction may run on another server connection, which does not have the
    # prepared statement. The driver sends an unnamed statement with each execution.
    return {
        "prepared_statement_cache_size": 0,
        "prepared_statement_name_func": str,
        "statement_cache_size": 0,
    }


def _number(name: str, value: str) -> int:
    if not re.fullmatch(r"\d{1,9}", value):
        raise DatabaseUrlError(f"{name} is not a number of at most 9 digits")
    return int(value)
