"""Routes for changing and resetting passwords."""

from fastapi import APIRouter, Depends, Request, status

from crm_api.dependencies.accounts import MessagesDep, OriginDep
from crm_api.dependencies.app_state import PasswordsDep, SessionFactoryDep
from crm_api.dependencies.auth import CurrentUser
from crm_api.dependencies.rate_limits import RateLimitsDep, limit_registrations
from crm_api.openapi.responses import responses
from crm_api.schemas.passwords import PasswordChange, PasswordReset
from crm_api.schemas.registration import AcceptedResponse
from crm_api.schemas.verification import MailRequest
from crm_api.services.accounts import passwords as service

router = APIRouter(prefix="/api", tags=["Account"])


@router.post(
    "/me/password",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=responses("wrong_password"),
)
async def change_password(
    body: PasswordChange,
    request: Request,
    user: CurrentUser,
    session_factory: SessionFactoryDep,
    passwords: PasswordsDep,
    limits: RateLimitsDep,
    messages: MessagesDep,
    origin: OriginDep,
) -> None:
    """Change your password.

    This session stays valid; your other sessions end.
    """
    # A stolen access token must not allow more password guesses than the login does.
    async with limits.count_failed_login(request, user.email) as attempt:
        await service.change(
            session_factory,
            passwords,
            user,
            body.current_password.get_secret_value(),
            body.new_password.get_secret_value(),
            messages,
            session_id=request.state.session_id,
            origin=origin,
        )
        attempt.succeeded = True


@router.post(
    "/password/forgot",
    status_code=status.HTTP_202_ACCEPTED,
    responses=responses(message=AcceptedResponse.MESSAGE, status=202),
    dependencies=[Depends(limit_registrations)],
)
async def forgot_password(
    body: MailRequest, session_factory: SessionFactoryDep, messages: MessagesDep, origin: OriginDep
) -> AcceptedResponse:
    """Request a mail with a link to reset the password.

    The response is the same for known and unknown addresses.
    """
    return await service.forgot(session_factory, body.email, messages, origin=origin)


@router.post("/password/reset", status_code=status.HTTP_204_NO_CONTENT, responses=responses("invalid_link"))
async def reset_password(
    body: PasswordReset,
    request: Request,
    session_factory: SessionFactoryDep,
    passwords: PasswordsDep,
    limits: RateLimitsDep,
    messages: MessagesDep,
    origin: OriginDep,
) -> None:
    """Reset the password with the mailed token.

    All sessions end; log in with the new password.
    """
    async with limits.count_failed_login(request, f"link:{body.token}") as attempt:
        await service.reset(
            session_factory, passwords, body.token, body.password.get_secret_value(), messages, origin=origin
        )
        attempt.succeeded = True
