"""The tables: users, their sessions, and what makes creating exact."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

from sqlalchemy import CheckConstraint, DateTime, ForeignKey, Index, MetaData, String, Text, Uuid
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

SCHEMA_REVISION = "0002"
"""The Alembic revision that these models are; a test holds the two together."""

NAMING_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


def now() -> datetime:
    """The time that rows are stamped with."""
    return datetime.now(UTC)


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC on both databases; SQLite alone would give it back without its zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError("a moment needs a time zone")
        return value.astimezone(UTC) if value is not None else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """What all tables share."""

    metadata = MetaData(naming_convention=NAMING_CONVENTION)
    type_annotation_map = {datetime: UtcDateTime, str: String}  # noqa: RUF012 - SQLAlchemy reads it so


class User(Base):
    """A person with an account here.

    `registering` is a registration under way: its lease says until when, and a later attempt
    takes it over once the lease is past. Only `active` users can log in.
    """

    __tablename__ = "users"
    __table_args__ = (
        CheckConstraint("status IN ('registering', 'pending', 'active')", name="status"),
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
    """The HubSpot contact; no two users share one."""
    lease_id: Mapped[UUID | None] = mapped_column(Uuid)
    lease_until: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=now)


class Session(Base):
    """A login and all the tokens that came of it."""

    __tablename__ = "sessions"

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True, default=uuid4)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


class RefreshToken(Base):
    """A refresh token, by its hash; the used ones stay until the session ends, to notice theft."""

    __tablename__ = "refresh_tokens"
    __table_args__ = (Index("ix_refresh_tokens_session_id", "session_id"),)

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True, default=uuid4)
    session_id: Mapped[UUID] = mapped_column(ForeignKey("sessions.id", ondelete="CASCADE"))
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    expires_at: Mapped[datetime]
    replaced_at: Mapped[datetime | None]
    """When its successor was issued."""
    successor_id: Mapped[UUID | None] = mapped_column(Uuid)
    """The token that replaced it; used to tell a lost answer from theft."""
    replayed: Mapped[bool] = mapped_column(default=False)
    """Whether the one repeat after a lost answer has been granted."""


class IdempotencyKey(Base):
    """A creating request that was sent with an Idempotency-Key, and its answer once there is one."""

    __tablename__ = "idempotency_keys"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    """An HMAC of the operation, whose it is, and the key."""
    owner: Mapped[str] = mapped_column(String(64), index=True)
    """An HMAC of whose it is, so that it can go with its owner."""
    fingerprint: Mapped[str] = mapped_column(String(64))
    """An HMAC of the body."""
    request_id: Mapped[str] = mapped_column(String(36))
    """What the HubSpot record bears, the same for every attempt; empty once one was sent that could not bear it."""
    lease_id: Mapped[UUID] = mapped_column(Uuid)
    lease_until: Mapped[datetime]
    status: Mapped[int | None]
    answer: Mapped[str | None] = mapped_column(Text)
    """What was answered, as JSON."""
    expires_at: Mapped[datetime] = mapped_column(index=True)


class AuditEntry(Base):
    """Something that an operator may have to answer for later; entries outlive their user."""

    __tablename__ = "audit_entries"

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True, default=uuid4)
    at: Mapped[datetime] = mapped_column(default=now, index=True)
    event: Mapped[str] = mapped_column(String(50))
    user_id: Mapped[UUID | None] = mapped_column(Uuid, index=True)
    """Whom it is about."""
    actor: Mapped[str] = mapped_column(String(50))
    """Who did it: `user`, `operator`, `system` or `anonymous`."""
    address: Mapped[str | None] = mapped_column(String(45))
    """The network address that the request came from."""
    request_id: Mapped[str | None] = mapped_column(String(64))
    detail: Mapped[str | None] = mapped_column(String(500))
    """What changed, without personal data."""


class HubSpotAccount(Base):
    """The HubSpot account that this database belongs to: one row, and the refresh token that it last gave us."""

    __tablename__ = "hubspot_account"
    __table_args__ = (CheckConstraint("id = 1", name="single_row"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, default=1)
    portal_id: Mapped[str | None] = mapped_column(String(20))
    refresh_token: Mapped[str | None] = mapped_column(Text)
    """Encrypted; takes the configured one's place where it descends from that."""
    refresh_token_origin: Mapped[str | None] = mapped_column(String(64))
    """An HMAC of the configured token that it descends from."""


class PendingRegistration(Base):
    """A registration whose address is not proved yet; each stands alone, so that none changes another."""

    __tablename__ = "pending_registrations"

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True, default=uuid4)
    email: Mapped[str] = mapped_column(String(254), index=True)
    firstname: Mapped[str] = mapped_column(String(100))
    lastname: Mapped[str] = mapped_column(String(100))
    phone: Mapped[str] = mapped_column(String(20))
    password_hash: Mapped[str] = mapped_column(String(255))
    created_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime] = mapped_column(index=True)


class MailToken(Base):
    """What a link in a mail proves, by the token's hash; gone once it is used.

    A row that names neither a registration nor a user was made for an unknown address, so that the same is done
    for every address; its token was sent to nobody.
    """

    __tablename__ = "mail_tokens"
    __table_args__ = (CheckConstraint("purpose IN ('verify_email', 'reset_password')", name="purpose"),)

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True, default=uuid4)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    purpose: Mapped[str] = mapped_column(String(20))
    """What the token is good for, and nothing else."""
    registration_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("pending_registrations.id", ondelete="CASCADE"), index=True
    )
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    expires_at: Mapped[datetime] = mapped_column(index=True)


class RecentWrite(Base):
    """A record that a user has just written, which HubSpot's search may not show yet."""

    __tablename__ = "recent_writes"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    object_type: Mapped[str] = mapped_column(String(20), primary_key=True)
    record_id: Mapped[str] = mapped_column(String(20), primary_key=True)
    at: Mapped[datetime] = mapped_column(default=now, index=True)


class RecordLease(Base):
    """A record that a request is changing at this moment."""

    __tablename__ = "record_leases"

    object_type: Mapped[str] = mapped_column(String(20), primary_key=True)
    record_id: Mapped[str] = mapped_column(String(20), primary_key=True)
    lease_id: Mapped[UUID] = mapped_column(Uuid)
    lease_until: Mapped[datetime]
