"""Networks that count as one client."""

import ipaddress
from functools import lru_cache


def network_of(address: str) -> str:
    """Return the network that counts as one client: the IPv4 address, or the /64 network of an IPv6 address."""
    return networks_of(address, (64,))[0]


# Every request needs the networks of its caller at least twice.
@lru_cache(maxsize=1024)
def networks_of(address: str, ipv6_prefixes: tuple[int, ...]) -> tuple[str, ...]:
    """Return the IPv4 address, or the networks of an IPv6 address that have these prefix lengths."""
    try:
        parsed = ipaddress.ip_address(address)
    except Exception:  # noqa: BLE001 - the errors of the parser differ between versions of Python
        return (address,)
    if parsed.version == 4:
        return (address,)
    if parsed.ipv4_mapped:
        return (str(parsed.ipv4_mapped),)
    return tuple(str(ipaddress.ip_network((parsed.packed, prefix), strict=False)) for prefix in ipv6_prefixes)
