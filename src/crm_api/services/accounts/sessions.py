"""Logging in, and refresh tokens that are good for one use."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from crm_api.database import SessionFactory
from crm_api.errors import ApiError
from crm_api.models import RefreshToken, Session, User, now
from crm_api.schemas.sessions import Tokens
from crm_api.security.passwords import Passwords
from crm_api.security.tokens import AccessClaims, create_access_token, hash_token, new_refresh_token
from crm_api.services import audit
from crm_api.services.audit import Origin

# A client that lost the answer may send the replaced token once more within this time.
REPLAY_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class TokenRules:
    """How long tokens hold, and what signs them."""

    key: str = field(repr=False)
    access_token_seconds: int
    refresh_token_days: int
    session_days: int


async def log_in(
    session_factory: SessionFactory,
    passwords: Passwords,
    email: str,
    password: str,
    rules: TokenRules,
    *,
    origin: Origin = audit.SYSTEM,
) -> Tokens:
    """The tokens of a new session; 401 `invalid_credentials`, after the same work, whatever is wrong."""
    async with session_factory() as database:
        user = (await database.execute(select(User).where(User.email == email))).scalar_one_or_none()
    usable = user is not None and user.status == "active"
    is_valid, new_hash = await passwords.verify(password, user.password_hash if user and usable else None)
    tokens = None
    async with session_factory.begin() as database:
        if user is not None and is_valid:
            tokens = await _open(database, user, new_hash, rules)
        event: audit.Event = "login_succeeded" if tokens else "login_failed"
        audit.record(database, event, user.id if user is not None and usable else None, origin=origin)
    # Raised only now, so that the failure is written down.
    if tokens is None:
        raise ApiError("invalid_credentials")
    return tokens


async def _open(database: AsyncSession, user: User, new_hash: str | None, rules: TokenRules) -> Tokens | None:
    """A new session; None where the password was changed or the account deleted while this one was verified."""
    unchanged = select(User.id).where(
        User.id == user.id, User.password_hash == user.password_hash, User.status == "active"
    )
    if (await database.execute(unchanged.with_for_update())).first() is None:
        return None
    moment = now()
    # Here, so that what has ended cannot pile up; its refresh tokens go with it.
    await database.execute(delete(Session).where(Session.user_id == user.id, Session.expires_at <= moment))
    session = Session(id=uuid4(), user_id=user.id, expires_at=moment + timedelta(days=rules.session_days))
    database.add(session)
    await database.flush()
    token, _ = _issue(database, session, moment, rules)
    if new_hash is not None:
        await database.execute(update(User).where(User.id == user.id).values(password_hash=new_hash))
    return _tokens(user.id, session.id, token, moment, rules)


async def log_out(
    session_factory: SessionFactory, user_id: UUID, session_id: UUID, *, everywhere: bool, origin: Origin
) -> None:
    """End this session, or all of the user's; their access tokens are refused from the next request on."""
    statement = update(Session).where(Session.user_id == user_id, Session.revoked_at.is_(None))
    if not everywhere:
        statement = statement.where(Session.id == session_id)
    async with session_factory.begin() as database:
        await database.execute(statement.values(revoked_at=now()))
        detail = "everywhere" if everywhere else None
        audit.record(database, "logged_out", user_id, origin=origin, detail=detail)


async def end_sessions(session_factory: SessionFactory, email: str, *, origin: Origin) -> bool:
    """End all sessions of the user of this address; False where there is none."""
    async with session_factory.begin() as database:
        user_id = (await database.execute(select(User.id).where(User.email == email))).scalar_one_or_none()
        if user_id is None:
            return False
        await database.execute(
            update(Session)
            .where(Session.user_id == user_id, Session.revoked_at.is_(None))
            .values(revoked_at=now())
        )
        audit.record(database, "session_revoked", user_id, origin=origin, detail="by an operator")
    return True


async def refresh(
    session_factory: SessionFactory, refresh_token: str, rules: TokenRules, *, origin: Origin = audit.SYSTEM
) -> Tokens:
    """Exchange a refresh token for its successor and an access token.

    A replaced token is accepted once more within 10 seconds while its successor is unused, because its answer may
    have been lost. Any later use is taken for theft and ends the session. Raises 401 `invalid_token`.
    """
    moment = now()
    async with session_factory.begin() as database:
        # The lock serialises two uses of one token; SQLite's transactions are serial anyway.
        query = (
            select(RefreshToken, Session)
            .join(Session, Session.id == RefreshToken.session_id)
            .where(RefreshToken.token_hash == hash_token(refresh_token))
            .with_for_update()
        )
        row = (await database.execute(query)).one_or_none()
        granted = None
        if row is not None:
            stored, session = row
            granted = await _exchange(database, stored, session, moment, rules, origin)
    # Raised only now, so that the end of a stolen session is committed.
    if granted is None:
        raise ApiError("invalid_token", "The refresh token is not valid; log in again.")
    return granted


async def _exchange(
    database: AsyncSession,
    stored: RefreshToken,
    session: Session,
    moment: datetime,
    rules: TokenRules,
    origin: Origin,
) -> Tokens | None:
    if session.revoked_at is not None or session.expires_at <= moment or stored.expires_at <= moment:
        return None
    if stored.replaced_at is not None and not await _may_replay(database, stored, moment):
        session.revoked_at = moment
        detail = "a refresh token was used twice"
        audit.record(database, "session_revoked", session.user_id, origin=origin, detail=detail)
        return None
    user = await database.get(User, session.user_id)
    if user is None or user.status != "active":
        return None
    # One that has expired is refused without more, so it tells of no theft any more.
    expired = delete(RefreshToken).where(
        RefreshToken.session_id == session.id, RefreshToken.expires_at <= moment
    )
    await database.execute(expired)
    if stored.successor_id is not None:
        stored.replayed = True
        # The successor whose answer was lost must not work beside the new one: its use would be theft too.
        lost = await database.get(RefreshToken, stored.successor_id)
        if lost is not None:
            lost.replaced_at, lost.replayed = moment, True
    token, successor_id = _issue(database, session, moment, rules)
    stored.replaced_at = stored.replaced_at or moment
    stored.successor_id = successor_id
    return _tokens(user.id, session.id, token, moment, rules)


async def _may_replay(database: AsyncSession, stored: RefreshToken, moment: datetime) -> bool:
    if stored.replayed or stored.replaced_at is None or stored.successor_id is None:
        return False
    if moment - stored.replaced_at > timedelta(seconds=REPLAY_SECONDS):
        return False
    successor = await database.get(RefreshToken, stored.successor_id)
    return successor is not None and successor.replaced_at is None


def _issue(database: AsyncSession, session: Session, moment: datetime, rules: TokenRules) -> tuple[str, UUID]:
    token, token_id = new_refresh_token(), uuid4()
    expires_at = min(moment + timedelta(days=rules.refresh_token_days), session.expires_at)
    database.add(
        RefreshToken(id=token_id, session_id=session.id, token_hash=hash_token(token), expires_at=expires_at)
    )
    return token, token_id


def _tokens(
    user_id: UUID, session_id: UUID, refresh_token: str, moment: datetime, rules: TokenRules
) -> Tokens:
    access_token = create_access_token(
        AccessClaims(user_id, session_id),
        rules.key,
        issued_at=moment,
        lifetime_seconds=rules.access_token_seconds,
    )
    return Tokens(
        access_token=access_token, expires_in=rules.access_token_seconds, refresh_token=refresh_token
    )
