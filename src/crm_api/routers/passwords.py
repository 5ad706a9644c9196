"""Routes: change the password, request a reset link, reset the password."""

from fastapi import APIRouter, Depends, Request, status

from crm_api.dependencies.accounts import AccountContextDep
from crm_api.dependencies.auth import CurrentUser
from crm_api.dependencies.rate_limits import LimitGuessesDep, limit_registrations
from crm_api.openapi.document import problems
from crm_api.schemas.passwords import PasswordChange, PasswordReset
from crm_api.schemas.registration import AcceptedResponse
from crm_api.schemas.verification import MailRequest
from crm_api.services.accounts import passwords as service

router = APIRouter(prefix="/api", tags=["Account"])


@router.post(
    "/me/password",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(400, 401, 429, 503),
)
async def change_password(
    body: PasswordChange,
    request: Request,
    user: CurrentUser,
    context: AccountContextDep,
    limit_guesses: LimitGuessesDep,
) -> None:
    """Change your password. Your other sessions end; this one goes on."""
    # A stolen access token must not allow more guesses than the login.
    async with limit_guesses(user.email):
        await service.change_password(
            context,
            user,
            body.current_password.get_secret_value(),
            body.new_password.get_secret_value(),
            session_id=request.state.session_id,
        )


@router.post(
    "/password/forgot",
    status_code=status.HTTP_202_ACCEPTED,
    responses=problems(400, 429, 503),
    dependencies=[Depends(limit_registrations)],
)
async def forgot_password(body: MailRequest, context: AccountContextDep) -> AcceptedResponse:
    """Have a link mailed with which to choose a new password. The answer is the same for every address."""
    return await service.request_reset(context, body.email)


@router.post("/password/reset", status_code=status.HTTP_204_NO_CONTENT, responses=problems(400, 429, 503))
async def reset_password(
    body: PasswordReset, context: AccountContextDep, limit_guesses: LimitGuessesDep
) -> None:
    """Choose a new password with the mailed token. All sessions end; log in with the new one."""
    async with limit_guesses(f"link:{body.token}"):
        await service.reset_password(context, body.token, body.password.get_secret_value())
