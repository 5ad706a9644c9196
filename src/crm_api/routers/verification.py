"""Routes for e-mail verification."""

from fastapi import APIRouter, Depends, Request, status

from crm_api.dependencies.accounts import MessagesDep, OriginDep, RulesDep
from crm_api.dependencies.app_state import HubSpotDep, PasswordsDep, SessionFactoryDep
from crm_api.dependencies.rate_limits import RateLimitsDep, limit_registrations
from crm_api.openapi.responses import CREATE_ERRORS, responses
from crm_api.schemas.registration import AcceptedResponse
from crm_api.schemas.verification import EmailVerification, EmailVerifiedResponse, MailRequest
from crm_api.services.accounts import verification

router = APIRouter(prefix="/api/email/verify", tags=["Account"])


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
    body: EmailVerification,
    request: Request,
    session_factory: SessionFactoryDep,
    hubspot: HubSpotDep,
    passwords: PasswordsDep,
    limits: RateLimitsDep,
    rules: RulesDep,
    origin: OriginDep,
) -> EmailVerifiedResponse:
    """Complete a registration with the mailed token.

    The password is the one given at registration; after a wrong password the token stays valid. An existing contact
    with this address is linked: its values are kept, and empty values are filled in.
    """
    async with limits.count_failed_login(request, f"link:{body.token}") as attempt:
        answer = await verification.verify(
            session_factory,
            hubspot,
            passwords,
            body.token,
            body.password.get_secret_value(),
            rules,
            origin=origin,
        )
        attempt.succeeded = True
    return answer


@router.post(
    "/resend",
    status_code=status.HTTP_202_ACCEPTED,
    responses=responses(message=AcceptedResponse.MESSAGE, status=202),
    dependencies=[Depends(limit_registrations)],
)
async def resend_verification(
    body: MailRequest, session_factory: SessionFactoryDep, messages: MessagesDep, origin: OriginDep
) -> AcceptedResponse:
    """Request the verification mail again.

    The response is the same for known and unknown addresses.
    """
    return await verification.resend(session_factory, body.email, messages, origin=origin)
