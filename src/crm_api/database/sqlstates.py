"""Table of the SQLSTATEs that are outages, and what happens to the connection."""

from collections.abc import Mapping
from typing import Final, Literal

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

Reaction = Literal["reconnect", "retry", "error"]
"""Result of a failed statement.

`reconnect`: 503, and the pool replaces its connections; `retry`: 503, and the connection stays in the pool;
`error`: 500, because the statement or the code is wrong.
"""

READ_ONLY: Final = "25006"

# https://www.postgresql.org/docs/current/errcodes-appendix.html. A code has priority over its class, the first two
# characters; classes that are not listed are errors.
REACTIONS: Final[Mapping[str, Reaction]] = {
    "08": "reconnect",  # connection exceptions; poolers also report "no server available" as 08P01
    "25": "error",  # invalid transaction state: a statement in a transaction that has failed, for example
    READ_ONLY: "reconnect",  # read_only_sql_transaction: connected to a standby after a fail-over
    "25P03": "reconnect",  # idle_in_transaction_session_timeout: the server has closed the connection
    "25P04": "reconnect",  # transaction_timeout: the server has closed the connection
    "28": "retry",  # credentials: refused while a password is rotated
    "3D": "retry",  # unknown database: not restored yet
    "40": "retry",  # rolled back because of another transaction: serialization_failure, deadlock_detected
    "40002": "error",  # transaction_integrity_constraint_violation: the same data would fail again
    "53": "retry",  # resources: disk_full, out_of_memory, too_many_connections
    "55P03": "retry",  # lock_not_available: lock_timeout of the server
    "57": "retry",  # operator intervention: query_canceled by statement_timeout or by an administrator
    "57P01": "reconnect",  # admin_shutdown
    "57P02": "reconnect",  # crash_shutdown
    "57P03": "reconnect",  # cannot_connect_now: starting or stopping
    "57P04": "reconnect",  # database_dropped
    "57P05": "reconnect",  # idle_session_timeout: the server has closed the connection
    "58": "retry",  # system errors, such as io_error
}


def reaction_to(error: BaseException | None) -> Reaction | None:
    """Return the reaction to the driver's error, or None if it has no SQLSTATE."""
    state = str(getattr(error, "sqlstate", None) or "")
    if not state:
        return None
    return REACTIONS.get(state, REACTIONS.get(state[:2], "error"))


def is_outage(error: DBAPIError) -> bool:
    """Return True for a database outage, False for an error in a statement."""
    if error.connection_invalidated:
        return True
    reaction = reaction_to(error.orig)
    # SQLite and asyncpg's own errors, such as a closed connection, have no SQLSTATE.
    return isinstance(error, (OperationalError, InterfaceError)) if reaction is None else reaction != "error"


def is_read_only(error: BaseException) -> bool:
    """Return True if the database refused a write because it is a standby or set to read-only."""
    driver_error = getattr(error, "orig", None)
    # SQLite has no SQLSTATEs: https://www.sqlite.org/rescode.html#readonly
    code = getattr(driver_error, "sqlite_errorname", None) or ""
    return getattr(driver_error, "sqlstate", None) == READ_ONLY or code.startswith("SQLITE_READONLY")
