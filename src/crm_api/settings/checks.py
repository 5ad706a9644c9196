"""Checks of single values of the settings."""

import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import SequenceMatcher
from email.headerregistry import Address
from email.utils import parseaddr
from itertools import combinations
from urllib.parse import urlsplit

import limits
from email_validator import validate_email
from pydantic import SecretStr

# Shortest prefixes of networks that one operator can own: 10.0.0.0/8 and fc00::/7.
_MIN_PREFIXES = {4: 8, 6: 7}
_MAPPED_IPV4 = ipaddress.IPv6Network("::ffff:0:0/96")
# A browser's Origin header: in lower case and ASCII, without path and default port.
_ORIGIN = re.compile(r"(https?)://([a-z0-9._-]+|\[[0-9a-f:]+\])(?::([0-9]{1,5}))?/?")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_ROOT_PATH = re.compile(r"(?!/(?:api|docs)(?:/|$))(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._~-]+)+")
# Two random keys share less than half of their characters.
_MAX_SIMILARITY = 0.8
_MAX_COMPARED_CHARACTERS = 256
_MAX_LIMIT_FACTOR = 100


def rate_limit(value: str) -> str:
    """Return the limit. Raises `ValueError` if it is malformed."""
    try:
        limits.parse_many(value)
    except Exception:  # noqa: BLE001 - the errors of the parser are not documented
        raise ValueError("write it as `120 per 1 minute`") from None
    return value


def normalised_domain(domain: str) -> str:
    """Return the domain of e-mail addresses in lower case and ASCII. Raises `ValueError`."""
    try:
        return validate_email(
            f"x@{domain.removeprefix('@')}", check_deliverability=False
        ).ascii_domain.lower()
    except Exception:  # noqa: BLE001 - besides EmailNotValidError, the codecs of domain names raise errors
        raise ValueError("write domains, such as example.com, example.org") from None


def mail_sender(value: str) -> str:
    """Return the sender of mails. Raises `ValueError` if it is not an address with an optional name."""
    try:
        name, address = parseaddr(value)
        sender = Address(display_name=name, addr_spec=address)
        is_usable = bool(sender.username and sender.domain)
    except Exception:  # noqa: BLE001 - the errors of the parser differ between versions of Python
        is_usable = False
    if not is_usable:
        raise ValueError("write no-reply@example.com or Portal <no-reply@example.com>")
    return value


def redis_address(value: SecretStr) -> SecretStr:
    """Return the URL of Redis. Raises `ValueError`, without the URL, because that may contain a password."""
    try:
        parts = urlsplit(value.get_secret_value())
        parts.port  # noqa: B018 - raises if it is not a number
    except ValueError:
        parts = urlsplit("")
    if not (
        (parts.scheme in ("redis", "rediss") and parts.hostname) or (parts.scheme == "unix" and parts.path)
    ):
        raise ValueError("write redis://host:6379/0, rediss://... for TLS, or unix:///path")
    return value


def browser_origin(value: str) -> str:
    """Return the origin as browsers send it. Raises `ValueError` if no browser can send it."""
    if value == "*":
        return value
    match = _ORIGIN.fullmatch(value.lower())
    port = int(match[3] or _DEFAULT_PORTS[match[1]]) if match else 0
    if match is None or not 0 < port < 65536:
        # A user name and password are not shown.
        shown = value.rpartition("@")[2]
        raise ValueError(
            f"{shown} is not an origin; write https://portal.example.com, without path and quotes"
        )
    suffix = "" if port == _DEFAULT_PORTS[match[1]] else f":{port}"
    return f"{match[1]}://{match[2]}{suffix}"


def path_prefix(value: str) -> str:
    """Return the path without a slash at the end. Raises `ValueError`.

    A prefix that is a path of the service would make paths ambiguous: not every proxy removes the prefix.
    """
    path = value.removesuffix("/")
    if path and not _ROOT_PATH.fullmatch(path):
        raise ValueError("write it as /crm; /api and /docs are paths of the service")
    return path


def is_web_address(url: str) -> bool:
    """Return True for an http or https URL without query and fragment."""
    try:
        parts = urlsplit(url)
        is_complete = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except Exception:  # noqa: BLE001 - the errors of the parser differ between versions of Python
        return False
    return is_complete and not parts.query and not parts.fragment


def trusts_all_proxies(proxies: str) -> bool:
    """Return True if an entry of the trusted proxies is `*` or a network that no operator can own."""
    return any(entry == "*" or _is_too_large(entry) for entry in map(str.strip, proxies.split(",")))


def _is_too_large(entry: str) -> bool:
    try:
        network = ipaddress.ip_network(entry, strict=False)
    except Exception:  # noqa: BLE001 - the errors of the parser differ between versions of Python
        return False
    if isinstance(network, ipaddress.IPv6Network) and network.subnet_of(_MAPPED_IPV4):
        return network.prefixlen - _MAPPED_IPV4.prefixlen < _MIN_PREFIXES[4]
    return network.prefixlen < _MIN_PREFIXES[network.version]


def similar_secrets(secrets: Mapping[str, str]) -> Iterator[str]:
    """Yield a problem for each pair of secrets that are equal or nearly equal, or if one contains the other."""
    for (name, one), (other_name, other) in combinations(secrets.items(), 2):
        if one and other and (one in other or other in one or _similarity(one, other) > _MAX_SIMILARITY):
            yield f"{name} and {other_name} are the same or nearly so; generate each of them"


def _similarity(one: str, other: str) -> float:
    texts = (one[:_MAX_COMPARED_CHARACTERS].lower(), other[:_MAX_COMPARED_CHARACTERS].lower())
    return SequenceMatcher(None, *texts, autojunk=False).ratio()


def ineffective_limits(values: Iterable[tuple[str, str, str]]) -> list[str]:
    """Return a warning for each (name, limit, default) whose limit is more than 100 times its default."""
    return [
        f"{name}={value} limits nothing: it is more than {_MAX_LIMIT_FACTOR} times the default {default}"
        for name, value, default in values
        if _per_second(value) > _MAX_LIMIT_FACTOR * _per_second(default)
    ]


def _per_second(limit: str) -> float:
    return min(item.amount / item.get_expiry() for item in limits.parse_many(limit))
