"""Routes for login, tokens and logout."""

from collections.abc import Awaitable
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request, Response, status

from crm_api.dependencies.accounts import OriginDep
from crm_api.dependencies.app_state import PasswordsDep, SessionFactoryDep, SettingsDep
from crm_api.dependencies.auth import CurrentUser
from crm_api.dependencies.rate_limits import RateLimitsDep, limit_address
from crm_api.errors import ApiError
from crm_api.openapi.responses import responses
from crm_api.schemas.accounts import normalise_email
from crm_api.schemas.sessions import Login, Logout, TokenGrant, TokenRefresh, Tokens, TokensResponse
from crm_api.services.accounts import sessions as service
from crm_api.settings import Settings

router = APIRouter(prefix="/api", tags=["Account"])


def token_rules(settings: Settings) -> service.TokenRules:
    """Return the token rules from the settings."""
    return service.TokenRules(
        key=settings.jwt_secret_key.get_secret_value(),
        access_token_seconds=settings.access_token_seconds,
        refresh_token_days=settings.refresh_token_days,
        session_days=settings.session_days,
    )


@router.post("/login", responses=responses("invalid_credentials", message=TokensResponse.LOGGED_IN))
async def log_in(
    login: Login,
    request: Request,
    response: Response,
    settings: SettingsDep,
    session_factory: SessionFactoryDep,
    passwords: PasswordsDep,
    limits: RateLimitsDep,
    origin: OriginDep,
) -> TokensResponse:
    """Log in with e-mail address and password.

    The response has an access token and a refresh token. The error is the same for every wrong login. Failed logins are
    limited per e-mail address and per network address.
    """
    async with limits.count_failed_login(request, login.email) as attempt:
        tokens = await service.log_in(
            session_factory,
            passwords,
            login.email,
            login.password.get_secret_value(),
            token_rules(settings),
            origin=origin,
        )
        attempt.succeeded = True
    response.headers["Cache-Control"] = "no-store"
    return TokensResponse(message="User authenticated successfully", data=tokens)


@router.post("/token", responses=responses("invalid_grant", "invalid_request", "unsupported_grant_type"))
async def create_token(
    request: Request,
    response: Response,
    settings: SettingsDep,
    session_factory: SessionFactoryDep,
    passwords: PasswordsDep,
    limits: RateLimitsDep,
    origin: OriginDep,
    grant: Annotated[TokenGrant, Form()],
) -> Tokens:
    """Issue tokens for OAuth2 clients.

    For OAuth2 client libraries and Swagger UI (RFC 6749, sections 4.3 and 6). Errors follow OAuth2: for example, wrong
    credentials return a 400 with `invalid_grant` in `error`, besides this service's own members.
    """
    response.headers["Cache-Control"] = "no-store"
    response.headers["Pragma"] = "no-cache"
    await _refuse_repeated(request)
    rules = token_rules(settings)
    if grant.grant_type == "refresh_token":
        if grant.refresh_token is None:
            raise ApiError("invalid_request", "refresh_token is missing.")
        await limit_address(request)
        return await _as_oauth2(service.refresh(session_factory, grant.refresh_token, rules, origin=origin))
    if grant.grant_type != "password":
        raise ApiError("invalid_request" if grant.grant_type is None else "unsupported_grant_type")
    if grant.username is None or grant.password is None:
        raise ApiError("invalid_request", "username and password are needed.")
    try:
        email = normalise_email(grant.username)
    except ValueError:
        raise ApiError("invalid_grant") from None
    async with limits.count_failed_login(request, email) as attempt:
        tokens = await _as_oauth2(
            service.log_in(
                session_factory, passwords, email, grant.password.get_secret_value(), rules, origin=origin
            )
        )
        attempt.succeeded = True
    return tokens


async def _refuse_repeated(request: Request) -> None:
    """Refuse a parameter that is sent twice (RFC 6749, section 3.2): a proxy may read the other value."""
    form = await request.form()
    if len(form.multi_items()) != len(form):
        raise ApiError("invalid_request")


async def _as_oauth2(issuing: Awaitable[Tokens]) -> Tokens:
    """Convert a 401 to 400 `invalid_grant` (RFC 6749, section 5.2)."""
    try:
        return await issuing
    except ApiError as error:
        if error.error_type.status == 401:
            raise ApiError("invalid_grant") from None
        raise


@router.post(
    "/token/refresh",
    responses=responses("invalid_token", message=TokensResponse.REFRESHED),
    dependencies=[Depends(limit_address)],
)
async def refresh_token(
    body: TokenRefresh,
    response: Response,
    settings: SettingsDep,
    session_factory: SessionFactoryDep,
    origin: OriginDep,
) -> TokensResponse:
    """Exchange a refresh token for new tokens.

    A refresh token is valid for one use. If the response was lost, send the token again within 10 seconds; any later
    use ends the session.
    """
    response.headers["Cache-Control"] = "no-store"
    tokens = await service.refresh(session_factory, body.refresh_token, token_rules(settings), origin=origin)
    return TokensResponse(message="Token refreshed successfully", data=tokens)


@router.post(
    "/logout",
    status_code=status.HTTP_204_NO_CONTENT,
)
async def log_out(
    request: Request,
    user: CurrentUser,
    session_factory: SessionFactoryDep,
    origin: OriginDep,
    body: Logout | None = None,
) -> None:
    """Log out.

    Ends this session, or with `everywhere` all your sessions. Their tokens are refused from the next request on.
    """
    await service.log_out(
        session_factory,
        user.id,
        request.state.session_id,
        everywhere=body is not None and body.everywhere,
        origin=origin,
    )
