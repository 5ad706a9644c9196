"""Routes: verify an e-mail address, resend the link."""

from fastapi import APIRouter, Depends, status

from crm_api.dependencies.accounts import AccountContextDep
from crm_api.dependencies.app_state import HubSpotDep
from crm_api.dependencies.rate_limits import LimitGuessesDep, limit_registrations
from crm_api.openapi.document import problems
from crm_api.schemas.registration import AcceptedResponse
from crm_api.schemas.verification import EmailVerification, EmailVerifiedResponse, MailRequest
from crm_api.services.accounts import verification

router = APIRouter(prefix="/api/email/verify", tags=["Account"])


@router.post("", responses=problems(400, 403, 409, 429, 502, 503, 504))
async def verify_email(
    body: EmailVerification,
    context: AccountContextDep,
    hubspot: HubSpotDep,
    limit_guesses: LimitGuessesDep,
) -> EmailVerifiedResponse:
    """Finish a registration with the mailed token and the password.

    The password is the one given at that registration; a wrong one does not use the token up. A contact that has
    this address already is linked and keeps its values; empty ones are filled in.
    """
    async with limit_guesses(f"link:{body.token}"):
        return await verification.verify_email(context, hubspot, body.token, body.password.get_secret_value())


@router.post(
    "/resend",
    status_code=status.HTTP_202_ACCEPTED,
    responses=problems(400, 429, 503),
    dependencies=[Depends(limit_registrations)],
)
async def resend_verification(body: MailRequest, context: AccountContextDep) -> AcceptedResponse:
    """Have the link mailed again. The answer is the same whether or not the address is known."""
    return await verification.resend_link(context, body.email)
