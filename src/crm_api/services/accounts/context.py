"""The context of an account operation: the operator's rules and everything needed to serve the request."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import ColumnElement

from crm_api.database import SessionFactory
from crm_api.models import User
from crm_api.schemas.accounts import CustomerOperation
from crm_api.security.crypto import KeyRing
from crm_api.security.passwords import Passwords
from crm_api.services.accounts.emails import Messages
from crm_api.services.audit import Origin
from crm_api.services.link_resolver import ContactLinkResolver
from crm_api.services.properties.fields import RecordFields
from crm_api.services.record_versions import RecordVersions


@dataclass(frozen=True, slots=True)
class AccountRules:
    """The operator's settings for user accounts."""

    registration_open: bool
    email_domains: frozenset[str]
    """Domains that may register; empty for all."""
    new_user_role: str
    customer_operations: Sequence[CustomerOperation]
    lease_seconds: float
    """Maximum duration of a registration: the request's deadline plus a margin."""
    access_token_seconds: int
    refresh_token_days: int
    session_days: int
    max_sessions: int
    jwt_key: str = field(repr=False)
    secret_keys: KeyRing = field(repr=False)


DeleteCachedReads = Callable[[str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class AccountContext:
    """Everything that account operations share, except the HubSpot client, which only some of them need."""

    session_factory: SessionFactory
    passwords: Passwords
    rules: AccountRules
    messages: Messages
    links: ContactLinkResolver
    fields: RecordFields
    versions: RecordVersions
    delete_cached_reads: DeleteCachedReads | None
    """Removes the cached reads of the user with this ID; None if the read cache is off."""
    origin: Origin


def selects(user: UUID | str) -> ColumnElement[bool]:
    """Return the condition that selects the user with this ID or e-mail address."""
    return User.id == user if isinstance(user, UUID) else User.email == user
