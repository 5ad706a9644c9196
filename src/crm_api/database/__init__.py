"""Database access: the URL, the engine with its connections, and which errors are outages."""

from crm_api.database.engine import (
    SessionFactory,
    autocommit_engine,
    create_engine,
    create_session_factory,
)
from crm_api.database.sqlstates import is_outage, is_read_only
from crm_api.database.url import DatabaseUrlError, parse_database_url

__all__ = [
    "DatabaseUrlError",
    "SessionFactory",
    "autocommit_engine",
    "create_engine",
    "create_session_factory",
    "is_outage",
    "is_read_only",
    "parse_database_url",
]
