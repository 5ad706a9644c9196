"""Routes for login, tokens and logout."""

from collections.abc import Awaitable
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request, Response, status

from crm_api.dependencies.accounts import AccountContextDep
from crm_api.dependencies.auth import CurrentUser
from crm_api.dependencies.parameters import check_parameter_names
from crm_api.dependencies.rate_limits import LimitGuessesDep, limit_requests, refuse_invalid_networks
from crm_api.errors import ApiError
from crm_api.openapi.responses import responses
from crm_api.schemas.accounts import normalise_email
from crm_api.schemas.sessions import (
    Credentials,
    SessionsToEnd,
    TokenGrant,
    TokenRefresh,
    Tokens,
    TokensResponse,
)
from crm_api.services.accounts import sessions as service

router = APIRouter(
    prefix="/api",
    tags=["Account"],
    dependencies=[Depends(refuse_invalid_networks), Depends(check_parameter_names)],
)


@router.post("/login", responses=responses("invalid_credentials", message=TokensResponse.LOGGED_IN))
async def log_in(
    login: Credentials, response: Response, context: AccountContextDep, limit_guesses: LimitGuessesDep
) -> TokensResponse:
    """Log in with e-mail address and password.

    The response has an access token and a refresh token. The error is the same for every wrong login. Failed logins are
    limited per e-mail address and per network address.
    """
    async with limit_guesses(login.email):
        tokens = await service.log_in(context, login.email, login.password.get_secret_value())
    response.headers["Cache-Control"] = "no-store"
    return TokensResponse(message=TokensResponse.LOGGED_IN, data=tokens)


@router.post("/token", responses=responses("invalid_grant", "invalid_request", "unsupported_grant_type"))
async def create_token(
    request: Request,
    response: Response,
    context: AccountContextDep,
    limit_guesses: LimitGuessesDep,
    grant: Annotated[TokenGrant, Form()],
) -> Tokens:
    """Issue tokens for OAuth2 clients.

    For OAuth2 client libraries and Swagger UI (RFC 6749, sections 4.3 and 6). Errors follow OAuth2: for example, wrong
    credentials return a 400 with `invalid_grant` in `error`, besides this service's own members.
    """
    response.headers["Cache-Control"] = "no-store"
    response.headers["Pragma"] = "no-cache"
    await _refuse_repeated(request)
    if grant.grant_type == "refresh_token":
        if grant.refresh_token is None:
            raise ApiError("invalid_request", "refresh_token is missing.")
        await limit_requests(request)
        return await _as_oauth2(service.refresh(context, grant.refresh_token))
    if grant.grant_type != "password":
        raise ApiError("invalid_request" if grant.grant_type is None else "unsupported_grant_type")
    if grant.username is None or grant.password is None:
        raise ApiError("invalid_request", "username and password are required.")
    try:
        email = normalise_email(grant.username)
    except ValueError:
        raise ApiError("invalid_grant") from None
    async with limit_guesses(email):
        return await _as_oauth2(service.log_in(context, email, grant.password.get_secret_value()))


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
    dependencies=[Depends(limit_requests)],
)
async def refresh_token(body: TokenRefresh, response: Response, context: AccountContextDep) -> TokensResponse:
    """Exchange a refresh token for new tokens.

    A refresh token is valid for one use. For 10 seconds after that use it returns the same successor again, for other
    tabs of a browser and for a lost response; any later use ends the session.
    """
    response.headers["Cache-Control"] = "no-store"
    tokens = await service.refresh(context, body.refresh_token)
    return TokensResponse(message=TokensResponse.REFRESHED, data=tokens)


@router.post("/logout", status_code=status.HTTP_204_NO_CONTENT)
async def log_out(
    request: Request, user: CurrentUser, context: AccountContextDep, body: SessionsToEnd | None = None
) -> None:
    """Log out.

    Ends this session, or with `everywhere` all your sessions. Their tokens are refused from the next request on.
    """
    everywhere = body is not None and body.everywhere
    await service.log_out(context, user.id, request.state.session_id, everywhere=everywhere)
