"""Login sessions: log in, refresh with rotating refresh tokens, list, end, log out."""

import secrets
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from crm_api.database import SessionFactory
from crm_api.errors import ApiError
from crm_api.models import RefreshToken, Session, User, now
from crm_api.schemas.sessions import MAX_SESSIONS, ActiveSession, Tokens
from crm_api.security.tokens import (
    AccessClaims,
    create_access_token,
    hash_token,
    new_refresh_token,
    successor_of,
)
from crm_api.services import audit
from crm_api.services.accounts.context import AccountContext, AccountRules, selects
from crm_api.services.audit import Origin

# Other tabs, and a client that lost the response, may send the replaced token again within this time.
GRACE_SECONDS = 10.0


async def log_in(context: AccountContext, email: str, password: str) -> Tokens:
    """Start a session and return its tokens.

    Raises 401 `invalid_credentials`; unknown users and wrong passwords take the same work.
    """
    async with context.session_factory() as database:
        user = (await database.execute(select(User).where(User.email == email))).scalar_one_or_none()
    if user is not None and user.status != "active":
        user = None
    is_correct, new_hash = await context.passwords.verify(password, user.password_hash if user else None)
    tokens = None
    async with context.session_factory.begin() as database:
        if user is not None and is_correct:
            tokens = await _start_session(database, user, new_hash, context)
            if tokens is not None:
                await _end_oldest_sessions(database, user.id, context)
        event: audit.Event = "login_succeeded" if tokens else "login_failed"
        audit.record(database, event, user.id if user else None, origin=context.origin)
    # The error is raised after the transaction, so that the audit entry is committed.
    if tokens is None:
        raise ApiError("invalid_credentials")
    return tokens


async def _start_session(
    database: AsyncSession, user: User, new_hash: str | None, context: AccountContext
) -> Tokens | None:
    """Create a session. Return None if the password or the user's status changed during the verification."""
    unchanged = select(User.id).where(
        User.id == user.id, User.password_hash == user.password_hash, User.status == "active"
    )
    if (await database.execute(unchanged.with_for_update())).first() is None:
        return None
    started_at = now()
    # Each login deletes the user's expired sessions with their refresh tokens, which bounds the tables.
    await database.execute(
        delete(Session).where(Session.user_id == user.id, Session.expires_at <= started_at)
    )
    expires_at = started_at + timedelta(days=context.rules.session_days)
    session = Session(id=uuid4(), user_id=user.id, expires_at=expires_at)
    _note_use(session, started_at, context.origin)
    database.add(session)
    await database.flush()
    if new_hash is not None:
        await database.execute(update(User).where(User.id == user.id).values(password_hash=new_hash))
    if user.lost_contact_id is not None:
        # A contact that was missing may be back, so the next request looks it up without waiting for the backoff.
        await database.execute(update(User).where(User.id == user.id).values(contact_lookup_at=None))
    _, tokens = _issue_tokens(database, session, new_refresh_token(), started_at, context.rules)
    return tokens


def _note_use(session: Session, used_at: datetime, origin: Origin) -> None:
    """Set when and to which client the session issued tokens, so that the user can recognise the session."""
    session.last_used_at = used_at
    session.address = origin.address
    session.user_agent = origin.user_agent


async def _end_oldest_sessions(database: AsyncSession, user_id: UUID, context: AccountContext) -> None:
    """Keep the user's newest sessions up to the maximum; revoked ones are deleted first, which bounds the tables."""
    excess = (
        select(Session.id, Session.revoked_at)
        .where(Session.user_id == user_id)
        .order_by(Session.revoked_at.is_not(None), Session.created_at.desc(), Session.id)
        .offset(context.rules.max_sessions)
    )
    rows = (await database.execute(excess)).all()
    if not rows:
        return
    await database.execute(delete(Session).where(Session.id.in_([row.id for row in rows])))
    for _ in filter(lambda row: row.revoked_at is None, rows):
        detail = "the user has the maximum of sessions"
        audit.record(database, "session_revoked", user_id, origin=context.origin, detail=detail)


async def list_sessions(context: AccountContext, user_id: UUID, *, current_id: UUID) -> list[ActiveSession]:
    """Return the user's sessions that have neither ended nor expired, last used first."""
    last_used_at = func.coalesce(Session.last_used_at, Session.created_at)
    query = (
        select(Session)
        .where(Session.user_id == user_id, Session.revoked_at.is_(None), Session.expires_at > now())
        .order_by(last_used_at.desc(), Session.id)
        .limit(MAX_SESSIONS)
    )
    async with context.session_factory() as database:
        sessions = (await database.execute(query)).scalars().all()
    return [
        ActiveSession(
            id=str(session.id),
            created_at=session.created_at,
            last_used_at=session.last_used_at or session.created_at,
            address=session.address,
            user_agent=session.user_agent,
            is_current=session.id == current_id,
        )
        for session in sessions
    ]


async def end_session(context: AccountContext, user_id: UUID, session_id: UUID, *, current_id: UUID) -> None:
    """End one session of the user. Raises 404 if it is another user's, has ended or has expired."""
    ended_at = now()
    statement = (
        update(Session)
        .where(
            Session.id == session_id,
            Session.user_id == user_id,
            Session.revoked_at.is_(None),
            Session.expires_at > ended_at,
        )
        .values(revoked_at=ended_at)
        .returning(Session.id)
    )
    async with context.session_factory.begin() as database:
        if (await database.execute(statement)).first() is None:
            raise ApiError("not_found")
        if session_id == current_id:
            audit.record(database, "logged_out", user_id, origin=context.origin)
        else:
            detail = "by the user in another session"
            audit.record(database, "session_revoked", user_id, origin=context.origin, detail=detail)


async def log_out(context: AccountContext, user_id: UUID, session_id: UUID, *, everywhere: bool) -> None:
    """End this session, or all sessions of the user. Their access tokens are refused from the next request on."""
    statement = update(Session).where(Session.user_id == user_id, Session.revoked_at.is_(None))
    if not everywhere:
        statement = statement.where(Session.id == session_id)
    async with context.session_factory.begin() as database:
        await database.execute(statement.values(revoked_at=now()))
        detail = "everywhere" if everywhere else None
        audit.record(database, "logged_out", user_id, origin=context.origin, detail=detail)


async def end_sessions(session_factory: SessionFactory, user: UUID | str, *, origin: Origin) -> bool:
    """End all sessions of the user with this ID or address. Return False without such a user."""
    async with session_factory.begin() as database:
        user_id = (await database.execute(select(User.id).where(selects(user)))).scalar_one_or_none()
        if user_id is None:
            return False
        await database.execute(
            update(Session)
            .where(Session.user_id == user_id, Session.revoked_at.is_(None))
            .values(revoked_at=now())
        )
        audit.record(database, "session_revoked", user_id, origin=origin, detail="by an operator")
    return True


async def refresh(context: AccountContext, refresh_token: str) -> Tokens:
    """Exchange a refresh token for its successor and an access token. Raises 401 `invalid_token` if it is not valid.

    Within 10 seconds after the first use, every use returns the same successor, because several tabs of a browser may
    refresh at once and a client may lose the response. Any later use counts as theft and ends the session.
    """
    used_at = now()
    async with context.session_factory.begin() as database:
        # The lock serialises two uses of one token; SQLite's transactions are serial anyway.
        query = (
            select(RefreshToken, Session)
            .join(Session, Session.id == RefreshToken.session_id)
            .where(RefreshToken.token_hash == hash_token(refresh_token))
            .with_for_update()
        )
        row = (await database.execute(query)).one_or_none()
        tokens = None
        if row is not None:
            stored, session = row
            tokens = await _exchange(database, context, refresh_token, stored, session, used_at)
            if tokens is not None:
                _note_use(session, used_at, context.origin)
    # The error is raised after the transaction, so that the end of a stolen session is committed.
    if tokens is None:
        raise ApiError("invalid_token", "The refresh token is not valid; log in again.")
    return tokens


async def _exchange(
    database: AsyncSession,
    context: AccountContext,
    refresh_token: str,
    stored: RefreshToken,
    session: Session,
    used_at: datetime,
) -> Tokens | None:
    if session.revoked_at is not None or session.expires_at <= used_at or stored.expires_at <= used_at:
        return None
    grace_start = used_at - timedelta(seconds=GRACE_SECONDS)
    if stored.replaced_at is not None and stored.replaced_at < grace_start:
        session.revoked_at = used_at
        detail = "a refresh token was used again after its replacement"
        audit.record(database, "session_revoked", session.user_id, origin=context.origin, detail=detail)
        return None
    user = await database.get(User, session.user_id)
    if user is None or user.status != "active":
        return None
    rules = context.rules
    if stored.replaced_at is not None:
        issued = await database.get(RefreshToken, stored.successor_id)
        salt = stored.successor_salt or ""
        for key in rules.secret_keys:
            successor = successor_of(refresh_token, salt=salt, key=key)
            if issued is not None and issued.token_hash == hash_token(successor):
                return _tokens(session, successor, used_at, rules)
        # SECRET_KEY was changed, or a process of the previous version replaced the token: neither is theft.
        return None
    await _delete_outdated_tokens(database, session.id, used_at, grace_start)
    salt = secrets.token_urlsafe(32)
    successor = successor_of(refresh_token, salt=salt, key=rules.secret_keys.current)
    stored.successor_id, tokens = _issue_tokens(database, session, successor, used_at, rules)
    stored.successor_salt = salt
    stored.replaced_at = used_at
    return tokens


async def _delete_outdated_tokens(
    database: AsyncSession, session_id: UUID, used_at: datetime, grace_start: datetime
) -> None:
    """Delete the session's expired tokens, and the salts of successors that no client may ask for any more."""
    of_session = RefreshToken.session_id == session_id
    # Expired tokens are refused anyway, so they are not needed to detect theft.
    await database.execute(delete(RefreshToken).where(of_session, RefreshToken.expires_at <= used_at))
    replaced = update(RefreshToken).where(of_session, RefreshToken.successor_salt.is_not(None))
    await database.execute(replaced.where(RefreshToken.replaced_at < grace_start).values(successor_salt=None))


def _issue_tokens(
    database: AsyncSession, session: Session, refresh_token: str, issued_at: datetime, rules: AccountRules
) -> tuple[UUID, Tokens]:
    """Store a refresh token and return its ID, with the tokens for the client."""
    token_id = uuid4()
    expires_at = min(issued_at + timedelta(days=rules.refresh_token_days), session.expires_at)
    token_hash = hash_token(refresh_token)
    database.add(
        RefreshToken(id=token_id, session_id=session.id, token_hash=token_hash, expires_at=expires_at)
    )
    return token_id, _tokens(session, refresh_token, issued_at, rules)


def _tokens(session: Session, refresh_token: str, issued_at: datetime, rules: AccountRules) -> Tokens:
    """Return the tokens for the client, with a new access token."""
    access_token = create_access_token(
        AccessClaims(session.user_id, session.id, session.generation),
        rules.jwt_key,
        issued_at=issued_at,
        lifetime_seconds=rules.access_token_seconds,
    )
    return Tokens(
        access_token=access_token, expires_in=rules.access_token_seconds, refresh_token=refresh_token
    )
