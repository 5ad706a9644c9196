"""Routes for changing and resetting passwords."""

from fastapi import APIRouter, Depends, Request, status

from crm_api.dependencies.accounts import AccountContextDep
from crm_api.dependencies.auth import CurrentUser
from crm_api.dependencies.parameters import check_parameter_names
from crm_api.dependencies.rate_limits import (
    LimitGuessesDep,
    LimitMailsDep,
    limit_registrations,
    refuse_invalid_networks,
)
from crm_api.openapi.responses import responses
from crm_api.schemas.passwords import PasswordChange, PasswordReset
from crm_api.schemas.registration import AcceptedResponse
from crm_api.schemas.verification import MailRequest
from crm_api.services.accounts import passwords as service

router = APIRouter(
    prefix="/api",
    tags=["Account"],
    dependencies=[Depends(refuse_invalid_networks), Depends(check_parameter_names)],
)


@router.post("/me/password", status_code=status.HTTP_204_NO_CONTENT, responses=responses("wrong_password"))
async def change_password(
    body: PasswordChange,
    request: Request,
    user: CurrentUser,
    context: AccountContextDep,
    limit_guesses: LimitGuessesDep,
) -> None:
    """Change your password. This session stays valid; your other sessions end."""
    # A stolen access token must not allow more password guesses than the login does.
    async with limit_guesses(user.email, has_session=True):
        await service.change_password(
            context,
            user,
            body.current_password.get_secret_value(),
            body.new_password.get_secret_value(),
            session_id=request.state.session_id,
            token_id=request.state.token_id,
        )


@router.post(
    "/password/forgot",
    status_code=status.HTTP_202_ACCEPTED,
    responses=responses(message=AcceptedResponse.MESSAGE, status=202),
    dependencies=[Depends(limit_registrations)],
)
async def forgot_password(
    body: MailRequest, context: AccountContextDep, limit_mails: LimitMailsDep
) -> AcceptedResponse:
    """Request a mail with a link to reset the password. The response is the same for known and unknown addresses."""
    await limit_mails(body.email)
    return await service.request_reset(context, body.email)


@router.post("/password/reset", status_code=status.HTTP_204_NO_CONTENT, responses=responses("invalid_link"))
async def reset_password(
    body: PasswordReset, context: AccountContextDep, limit_guesses: LimitGuessesDep
) -> None:
    """Reset the password with the mailed token. All sessions end; log in with the new password."""
    async with limit_guesses(f"link:{body.token}"):
        await service.reset_password(context, body.token, body.password.get_secret_value())
