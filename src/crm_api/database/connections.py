"""New connections to PostgreSQL: TCP keep-alive, and errors of the network."""

import socket
from typing import Any, Final, NamedTuple

import asyncpg  # type: ignore[import-untyped]


class Keepalive(NamedTuple):
    """TCP keep-alive in seconds, so that a firewall does not drop an idle connection; libpq's names."""

    keepalives_idle: int = 60
    keepalives_interval: int = 10
    keepalives_count: int = 3
    tcp_user_timeout: int = 0
    """Milliseconds until unacknowledged data closes the connection; 0 is the system's default."""


# Socket options by system: macOS has TCP_KEEPALIVE instead of TCP_KEEPIDLE, and not every system has all of them.
_OPTIONS: Final = (
    ("keepalives_idle", ("TCP_KEEPIDLE", "TCP_KEEPALIVE")),
    ("keepalives_interval", ("TCP_KEEPINTVL",)),
    ("keepalives_count", ("TCP_KEEPCNT",)),
    ("tcp_user_timeout", ("TCP_USER_TIMEOUT",)),
)


async def connect(*arguments: Any, keepalive: Keepalive | None, **options: Any) -> asyncpg.Connection:
    """Connect and switch TCP keep-alive on.

    Raises `ConnectionError` for every error of the network, of TLS or of a server with the wrong role, because
    SQLAlchemy passes these errors on as they are.
    """
    try:
        connection = await asyncpg.connect(*arguments, **options)
    except (ConnectionError, TimeoutError):
        raise
    except (OSError, asyncpg.TargetServerAttributeNotMatched) as error:
        raise ConnectionError("the database cannot be connected to") from error
    sock = connection._transport.get_extra_info("socket")  # noqa: SLF001 - asyncpg has no public access to it
    if keepalive is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, constants in _OPTIONS:
            option = next((getattr(socket, constant, None) for constant in constants), None)
            if option is not None and (value := getattr(keepalive, name)):
                sock.setsockopt(socket.IPPROTO_TCP, option, value)
    return connection
