"""Proxy of outgoing calls, from the environment variables that other programs use too."""

import os
from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit


class ProxyError(Exception):
    """Proxy setting that cannot be used. The text names the variable, not its value, which may have a password."""


def proxy_for(url: str, environment: Mapping[str, str] = os.environ) -> str | None:
    """Return the URL of the proxy for calls to this URL, or None. Raises `ProxyError`.

    Loopback addresses never have a proxy.
    """
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except Exception:  # noqa: BLE001 - the errors of the parser differ between versions of Python
        raise ProxyError("the URL of HubSpot cannot be parsed") from None
    if _is_loopback(host) or _is_excluded(host, port, _variable(environment, "NO_PROXY")):
        return None
    for name in (f"{parts.scheme.upper()}_PROXY", "ALL_PROXY"):
        if proxy := _variable(environment, name):
            return _checked(name, proxy if "://" in proxy else f"http://{proxy}")
    return None


def _variable(environment: Mapping[str, str], name: str) -> str:
    # As in curl, the lower-case name has priority.
    return environment.get(name.lower(), environment.get(name, "")).strip()


def _checked(name: str, proxy: str) -> str:
    try:
        parts = urlsplit(proxy)
        is_usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except Exception:  # noqa: BLE001 - the errors of the parser differ between versions of Python
        is_usable = False
    if not is_usable:
        raise ProxyError(
            f"{name} is not the URL of an http or https proxy (SOCKS is not supported): "
            "correct it, or list HubSpot's host in NO_PROXY"
        )
    return proxy


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except Exception:  # noqa: BLE001 - the errors of the parser differ between versions of Python
        return False


def _is_excluded(host: str, port: int | None, no_proxy: str) -> bool:
    """Return True if an entry matches: `*`, a domain, a host with a port, an IP address or a network."""
    entries = [entry.strip().lower() for entry in no_proxy.split(",")]
    return any(_matches(entry, host, port) for entry in entries if entry)


def _matches(entry: str, host: str, port: int | None) -> bool:
    if entry == "*":
        return True
    try:
        return ip_address(host) in ip_network(entry.strip("[]"), strict=False)
    except Exception:  # noqa: BLE001, S110 - of any kind: the host or the entry is a name
        pass
    name, _, entry_port = entry.rpartition(":")
    if name and entry_port.isdecimal():
        if port is not None and int(entry_port) != port:
            return False
        entry = name
    domain = entry.strip("[]").removeprefix("*").lstrip(".")
    return bool(domain) and (host == domain or host.endswith(f".{domain}"))
