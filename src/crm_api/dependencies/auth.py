"""Authentication: the user of an access token, and the requirement of the staff role."""

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import OAuth2PasswordBearer
from sqlalchemy import bindparam, or_, select

from crm_api.database import SessionFactory
from crm_api.dependencies.app_state import get_settings
from crm_api.dependencies.parameters import check_parameter_names
from crm_api.dependencies.rate_limits import limit_requests
from crm_api.errors import ApiError
from crm_api.hubspot import current_call_context
from crm_api.models import Session, User, now
from crm_api.rate_limit import client_networks
from crm_api.security.tokens import InvalidTokenError, read_access_token
from crm_api.security.turns import FairSemaphore

oauth2 = OAuth2PasswordBearer(
    tokenUrl="/api/token",
    refreshUrl="/api/token",
    scheme_name="oauth2",
    auto_error=False,
    description="Log in with e-mail address and password. Access tokens are JWTs that follow RFC8725.",
)
# SQLAlchemy takes as long to build the query as to run it, so it is built once.
_ACTIVE_USER = (
    select(User)
    .join(Session, Session.user_id == User.id)
    .where(
        Session.id == bindparam("session_id"),
        Session.user_id == bindparam("user_id"),
        Session.revoked_at.is_(None),
        Session.expires_at > bindparam("now"),
        # A password change ends the session's other access tokens.
        or_(Session.generation == bindparam("generation"), Session.kept_token_id == bindparam("token_id")),
        User.status == "active",
    )
)


async def authenticate(request: Request, token: Annotated[str | None, Depends(oauth2)]) -> User:
    """Return the caller and count the request. Raises 401 without the cause, 429, or 400 for unknown parameters.

    The user is read from the database for every request, so that logout and role changes take effect at once.
    """
    if token is None:
        raise ApiError("invalid_token")
    settings = await get_settings(request)
    autocommit_session_factory: SessionFactory = request.app.state.autocommit_session_factory
    try:
        claims = read_access_token(token, settings.jwt_keys)
    except InvalidTokenError:
        raise ApiError("invalid_token") from None
    parameters = {
        "user_id": claims.user_id,
        "session_id": claims.session_id,
        "generation": claims.generation,
        "token_id": claims.token_id,
        "now": now(),
    }
    turns: FairSemaphore = request.app.state.authentications
    async with turns.turn(client_networks(request)[-1]), autocommit_session_factory() as database:
        user = (await database.execute(_ACTIVE_USER, parameters)).scalar_one_or_none()
    if user is None:
        raise ApiError("invalid_token")
    user_id = str(user.id)
    request.state.user_id = user_id
    request.state.session_id = claims.session_id
    request.state.token_id = claims.token_id
    call_context = current_call_context()
    if call_context is not None:
        call_context.caller = f"user:{user_id}"
    await limit_requests(request)
    await check_parameter_names(request)
    return user


CurrentUser = Annotated[User, Depends(authenticate)]


async def authenticate_if_sent(
    request: Request, token: Annotated[str | None, Depends(oauth2)]
) -> User | None:
    """Return the caller, None without an Authorization header; count the request. Raises 401 for an invalid token."""
    if "authorization" in request.headers:
        return await authenticate(request, token)
    await limit_requests(request)
    return None


CurrentUserIfSent = Annotated[User | None, Depends(authenticate_if_sent)]


async def require_staff(user: CurrentUser) -> User:
    """Return the caller. Raises 403 unless they are staff."""
    if user.role != "staff":
        raise ApiError("forbidden")
    return user


StaffUser = Annotated[User, Depends(require_staff)]
