"""Database tables: users, sessions, tokens, idempotency keys, leases and the audit log."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

from sqlalchemy import BigInteger, CheckConstraint, DateTime, ForeignKey, Index, MetaData, String, Text, Uuid
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

SCHEMA_REVISION = "0009"
"""Alembic revision of these models; a test compares the two."""

NAMING_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


def now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)


class UtcDateTime(TypeDecorator[datetime]):
    """Timestamp in UTC; SQLite alone would return it without a time zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError("the timestamp has no time zone")
        return value.astimezone(UTC) if value is not None else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """Base of all tables."""

    metadata = MetaData(naming_convention=NAMING_CONVENTION)
    type_annotation_map = {datetime: UtcDateTime, str: String}  # noqa: RUF012 - SQLAlchemy reads it so


class User(Base):
    """A person who can log in once their status is `active`.

    `registering` is a registration in progress; when its lease expires, a later attempt takes it over.
    The operator sets `disabled` and `active`.
    """

    __tablename__ = "users"
    __table_args__ = (
        CheckConstraint("status IN ('registering', 'pending', 'active', 'disabled')", name="status"),
        CheckConstraint("role IN ('customer', 'staff')", name="role"),
    )

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True, default=uuid4)
    email: Mapped[str] = mapped_column(String(254), unique=True)
    firstname: Mapped[str] = mapped_column(String(100))
    lastname: Mapped[str] = mapped_column(String(100))
    phone: Mapped[str] = mapped_column(String(20))
    password_hash: Mapped[str] = mapped_column(String(255))
    role: Mapped[str] = mapped_column(String(20))
    status: Mapped[str] = mapped_column(String(20))
    email_verified: Mapped[bool] = mapped_column(default=False)
    contact_id: Mapped[str | None] = mapped_column(String(20), unique=True)
    """HubSpot contact; two users never share one."""
    contact_linked_at: Mapped[datetime | None]
    """When the link was created, if later than the user; after a merge the earlier link wins."""
    lost_contact_id: Mapped[str | None] = mapped_column(String(20), index=True)
    """Contact of a link that was lost because HubSpot did not find the contact."""
    contact_lost_at: Mapped[datetime | None]
    contact_lookup_at: Mapped[datetime | None]
    """When the lost contact may be looked up again."""
    records_version: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    """Version of the user's cached reads, incremented before and after every write for the user."""
    lease_id: Mapped[UUID | None] = mapped_column(Uuid)
    lease_until: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=now)


class Session(Base):
    """A login, to which tokens belong."""

    __tablename__ = "sessions"

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True, default=uuid4)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime] = mapped_column(index=True)
    revoked_at: Mapped[datetime | None]
    generation: Mapped[int] = mapped_column(default=0, server_default="0")
    """Number of password changes in this session; access tokens of earlier generations are refused."""
    kept_token_id: Mapped[str | None] = mapped_column(String(32))
    """`jti` of the access token that changed the password, which stays valid."""
    last_used_at: Mapped[datetime | None]
    """When the session last got tokens; null if a process of an earlier version created it."""
    address: Mapped[str | None] = mapped_column(String(45))
    """Network address of the client that last got tokens."""
    user_agent: Mapped[str | None] = mapped_column(String(200))
    """Start of that client's User-Agent header."""


class RefreshToken(Base):
    """Refresh token as a hash; used tokens stay until the session ends, to detect theft."""

    __tablename__ = "refresh_tokens"
    __table_args__ = (Index("ix_refresh_tokens_session_id", "session_id"),)

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True, default=uuid4)
    session_id: Mapped[UUID] = mapped_column(ForeignKey("sessions.id", ondelete="CASCADE"))
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    expires_at: Mapped[datetime] = mapped_column(index=True)
    replaced_at: Mapped[datetime | None]
    """When the successor was issued."""
    successor_salt: Mapped[str | None] = mapped_column("successor", Text)
    """Random text from which the successor is computed, together with this token and `SECRET_KEY`."""
    successor_id: Mapped[UUID | None] = mapped_column(Uuid)
    """Row of the successor."""
    replayed: Mapped[bool] = mapped_column(default=False)
    """Flag that only processes of the previous version read."""


class IdempotencyKey(Base):
    """Create request with an Idempotency-Key, and its stored response."""

    __tablename__ = "idempotency_keys"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    """HMAC of operation, owner and key."""
    owner: Mapped[str] = mapped_column(String(64), index=True)
    """HMAC of the user ID or e-mail address, to delete the row with its owner."""
    fingerprint: Mapped[str] = mapped_column(String(64))
    """HMAC of the body."""
    request_id: Mapped[str] = mapped_column(String(36))
    """Value of the HubSpot record's idempotency property; empty after an attempt that was sent without it."""
    lease_id: Mapped[UUID] = mapped_column(Uuid)
    lease_until: Mapped[datetime]
    status: Mapped[int | None]
    answer: Mapped[str | None] = mapped_column(Text)
    """Body of the response as JSON."""
    expires_at: Mapped[datetime] = mapped_column(index=True)


class AuditEntry(Base):
    """Entry of the audit log; it stays when its user is deleted."""

    __tablename__ = "audit_entries"

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True, default=uuid4)
    at: Mapped[datetime] = mapped_column(default=now, index=True)
    event: Mapped[str] = mapped_column(String(50))
    user_id: Mapped[UUID | None] = mapped_column(Uuid, index=True)
    """User that the event is about."""
    actor: Mapped[str] = mapped_column(String(50))
    """`user`, `operator`, `system` or `anonymous`."""
    address: Mapped[str | None] = mapped_column(String(45))
    """Network address of the request."""
    request_id: Mapped[str | None] = mapped_column(String(64))
    detail: Mapped[str | None] = mapped_column(String(500))
    """The change, without personal data."""


class HubSpotAccount(Base):
    """The HubSpot account that this database is bound to (one row), and its rotated refresh token."""

    __tablename__ = "hubspot_account"
    __table_args__ = (CheckConstraint("id = 1", name="single_row"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, default=1)
    portal_id: Mapped[str | None] = mapped_column(String(20))
    refresh_token: Mapped[str | None] = mapped_column(Text)
    """Encrypted; it replaces the configured token that it was rotated from."""
    refresh_token_origin: Mapped[str | None] = mapped_column(String(64))
    """HMAC of the configured token that it was rotated from."""


class PendingRegistration(Base):
    """Registration whose address is not verified yet; an address may have several independent ones."""

    __tablename__ = "pending_registrations"

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True, default=uuid4)
    email: Mapped[str] = mapped_column(String(254), index=True)
    firstname: Mapped[str] = mapped_column(String(100))
    lastname: Mapped[str] = mapped_column(String(100))
    phone: Mapped[str] = mapped_column(String(20))
    password_hash: Mapped[str] = mapped_column(String(255))
    properties: Mapped[str | None] = mapped_column(Text)
    """Other values of the new contact, as a JSON object of texts."""
    created_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime] = mapped_column(index=True)


class MailToken(Base):
    """Hash of the token in a mailed link; the row is deleted when the token is used.

    A row without registration and user is for an unknown address: the service does the same work for every address,
    but does not mail this token.
    """

    __tablename__ = "mail_tokens"
    __table_args__ = (CheckConstraint("purpose IN ('verify_email', 'reset_password')", name="purpose"),)

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True, default=uuid4)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    purpose: Mapped[str] = mapped_column(String(20))
    """The only operation that accepts the token."""
    registration_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("pending_registrations.id", ondelete="CASCADE"), index=True
    )
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    expires_at: Mapped[datetime] = mapped_column(index=True)


class RecentWrite(Base):
    """Record that a user has just written and that HubSpot's search may not find yet."""

    __tablename__ = "recent_writes"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    object_type: Mapped[str] = mapped_column(String(20), primary_key=True)
    record_id: Mapped[str] = mapped_column(String(20), primary_key=True)
    at: Mapped[datetime] = mapped_column(default=now, index=True)


class RecordLease(Base):
    """Lock on a record while a request changes it."""

    __tablename__ = "record_leases"

    object_type: Mapped[str] = mapped_column(String(20), primary_key=True)
    record_id: Mapped[str] = mapped_column(String(20), primary_key=True)
    lease_id: Mapped[UUID] = mapped_column(Uuid)
    lease_until: Mapped[datetime]


class JobLease(Base):
    """Lock on a background job that one process at a time runs, and when it runs next."""

    __tablename__ = "job_leases"

    name: Mapped[str] = mapped_column(String(20), primary_key=True)
    lease_id: Mapped[UUID] = mapped_column(Uuid)
    lease_until: Mapped[datetime]
    next_run_at: Mapped[datetime]
