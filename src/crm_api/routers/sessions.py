"""Routes: log in, refresh tokens, log out."""

from collections.abc import Awaitable
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request, Response, status

from crm_api.dependencies.accounts import AccountContextDep
from crm_api.dependencies.auth import CurrentUser
from crm_api.dependencies.rate_limits import LimitGuessesDep, limit_requests
from crm_api.errors import ApiError
from crm_api.openapi.document import problems
from crm_api.schemas.accounts import normalise_email
from crm_api.schemas.sessions import Login, Logout, TokenGrant, TokenRefresh, Tokens, TokensResponse
from crm_api.services.accounts import sessions as service

router = APIRouter(prefix="/api", tags=["Account"])


@router.post("/login", responses=problems(400, 401, 429, 503))
async def log_in(
    login: Login, response: Response, context: AccountContextDep, limit_guesses: LimitGuessesDep
) -> TokensResponse:
    """Exchange an e-mail address and a password for tokens.

    Whatever is wrong, the answer is the same. Failed tries are limited per account and per network address.
    """
    async with limit_guesses(login.email):
        tokens = await service.log_in(context, login.email, login.password.get_secret_value())
    response.headers["Cache-Control"] = "no-store"
    return TokensResponse(message="User authenticated successfully", data=tokens)


@router.post("/token", responses=problems(400, 429, 503))
async def create_token(
    request: Request,
    response: Response,
    context: AccountContextDep,
    limit_guesses: LimitGuessesDep,
    grant: Annotated[TokenGrant, Form()],
) -> Tokens:
    """Issue tokens the OAuth2 way.

    For OAuth2 client libraries and Swagger UI (RFC 6749, sections 4.3 and 6). Answers and errors are OAuth2's: an
    error is a 400 whose `error` is `invalid_grant`, with our members beside it.
    """
    response.headers["Cache-Control"] = "no-store"
    response.headers["Pragma"] = "no-cache"
    form = await request.form()
    # RFC 6749, section 3.2: no parameter may occur twice. A proxy might read the other value.
    if len(form.multi_items()) != len(form):
        raise ApiError("invalid_request")
    if grant.grant_type == "refresh_token":
        if grant.refresh_token is None:
            raise ApiError("invalid_request", "refresh_token is missing.")
        await limit_requests(request)
        return await _as_oauth2(service.refresh(context, grant.refresh_token))
    if grant.grant_type != "password":
        raise ApiError("invalid_request" if grant.grant_type is None else "unsupported_grant_type")
    if grant.username is None or grant.password is None:
        raise ApiError("invalid_request", "username and password are needed.")
    try:
        email = normalise_email(grant.username)
    except ValueError:
        raise ApiError("invalid_grant") from None
    async with limit_guesses(email):
        return await _as_oauth2(service.log_in(context, email, grant.password.get_secret_value()))


async def _as_oauth2(issue_tokens: Awaitable[Tokens]) -> Tokens:
    """Return the tokens. Raises 400 `invalid_grant` instead of 401, as RFC 6749 requires."""
    try:
        return await issue_tokens
    except ApiError as error:
        if error.error_type.status == 401:
            raise ApiError("invalid_grant") from None
        raise


@router.post("/token/refresh", responses=problems(400, 401, 429, 503), dependencies=[Depends(limit_requests)])
async def refresh_token(body: TokenRefresh, response: Response, context: AccountContextDep) -> TokensResponse:
    """Exchange a refresh token for its successor and a new access token.

    A refresh token is good for one use. If its answer was lost, it may be sent once more within 10 seconds; any later
    use ends the session.
    """
    response.headers["Cache-Control"] = "no-store"
    tokens = await service.refresh(context, body.refresh_token)
    return TokensResponse(message="Token refreshed successfully", data=tokens)


@router.post(
    "/logout",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(400, 401, 429, 503),
)
async def log_out(
    request: Request, user: CurrentUser, context: AccountContextDep, body: Logout | None = None
) -> None:
    """End this session, or with `everywhere` all of yours. Their tokens are refused from the next request on."""
    everywhere = body is not None and body.everywhere
    await service.log_out(context, user.id, request.state.session_id, everywhere=everywhere)
