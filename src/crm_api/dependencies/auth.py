"""Who is calling: the user that an access token stands for, and what their role allows."""

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import OAuth2PasswordBearer
from sqlalchemy import bindparam, select

from crm_api.database import SessionFactory
from crm_api.dependencies.app_state import get_settings
from crm_api.errors import ApiError
from crm_api.hubspot import current_call_context
from crm_api.models import Session, User, now
from crm_api.rate_limit import RateLimits, user_requests
from crm_api.security.tokens import InvalidTokenError, read_access_token

oauth2 = OAuth2PasswordBearer(
    tokenUrl="/api/token",
    refreshUrl="/api/token",
    scheme_name="oauth2",
    auto_error=False,
    description="Log in with e-mail address and password. Access tokens are JWTs that follow RFC8725.",
)
# Built once: composing it takes as long as running it.
_CALLER = (
    select(User)
    .join(Session, Session.user_id == User.id)
    .where(
        Session.id == bindparam("session_id"),
        Session.user_id == bindparam("user_id"),
        Session.revoked_at.is_(None),
        Session.expires_at > bindparam("moment"),
        User.status == "active",
    )
)


async def authenticate(request: Request, token: Annotated[str | None, Depends(oauth2)]) -> User:
    """The caller; a 401 that does not say what is wrong with the token, or a 429 past what one user may ask for.

    One indexed read, so that a revoked session or a changed role counts at once.
    """
    if token is None:
        raise ApiError("invalid_token")
    settings = await get_settings(request)
    read_session_factory: SessionFactory = request.app.state.read_session_factory
    try:
        claims = read_access_token(token, settings.jwt_secret_key.get_secret_value())
    except InvalidTokenError:
        raise ApiError("invalid_token") from None
    asked = {"session_id": claims.session_id, "user_id": claims.user_id, "moment": now()}
    async with read_session_factory() as database:
        user = (await database.execute(_CALLER, asked)).scalar_one_or_none()
    if user is None:
        raise ApiError("invalid_token")
    user_id = str(user.id)
    request.state.user_id = user_id
    request.state.session_id = claims.session_id
    scope = current_call_context()
    if scope is not None:
        scope.caller = f"user:{user_id}"
    limits: RateLimits = request.app.state.rate_limits
    await limits.require(request, user_requests)
    return user


CurrentUser = Annotated[User, Depends(authenticate)]


async def require_staff(user: CurrentUser) -> User:
    """The caller, who is staff, or 403."""
    if user.role != "staff":
        raise ApiError("forbidden")
    return user


StaffUser = Annotated[User, Depends(require_staff)]
