"""Routes for e-mail verification."""

from fastapi import APIRouter, Depends, status

from crm_api.dependencies.accounts import AccountContextDep
from crm_api.dependencies.app_state import HubSpotDep
from crm_api.dependencies.parameters import check_parameter_names
from crm_api.dependencies.rate_limits import (
    LimitGuessesDep,
    LimitMailsDep,
    limit_registrations,
    refuse_invalid_networks,
)
from crm_api.openapi.responses import CREATE_ERRORS, responses
from crm_api.schemas.registration import AcceptedResponse
from crm_api.schemas.verification import EmailVerification, EmailVerifiedResponse, MailRequest
from crm_api.services.accounts import verification

router = APIRouter(
    prefix="/api/email/verify",
    tags=["Account"],
    dependencies=[Depends(refuse_invalid_networks), Depends(check_parameter_names)],
)


@router.post(
    "",
    responses=responses(
        "invalid_link",
        "registration_closed",
        "user_exists",
        *CREATE_ERRORS,
        message=EmailVerifiedResponse.MESSAGE,
    ),
)
async def verify_email(
    body: EmailVerification, context: AccountContextDep, hubspot: HubSpotDep, limit_guesses: LimitGuessesDep
) -> EmailVerifiedResponse:
    """Complete a registration with the mailed token.

    The password is the one given at registration; after a wrong password the token stays valid. An existing contact
    with this address is linked: its values are kept, and empty values are filled in.
    """
    async with limit_guesses(f"link:{body.token}"):
        return await verification.verify_email(context, hubspot, body.token, body.password.get_secret_value())


@router.post(
    "/resend",
    status_code=status.HTTP_202_ACCEPTED,
    responses=responses(message=AcceptedResponse.MESSAGE, status=202),
    dependencies=[Depends(limit_registrations)],
)
async def resend_verification(
    body: MailRequest, context: AccountContextDep, limit_mails: LimitMailsDep
) -> AcceptedResponse:
    """Request the verification mail again. The response is the same for known and unknown addresses."""
    await limit_mails(body.email)
    return await verification.resend_link(context, body.email)
