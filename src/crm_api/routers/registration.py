"""Route for registration."""

from fastapi import APIRouter, Depends, Response, status

from crm_api.dependencies.accounts import MessagesDep, OriginDep, RulesDep
from crm_api.dependencies.app_state import HubSpotDep, PasswordsDep, SessionFactoryDep, SettingsDep
from crm_api.dependencies.idempotency import IdempotentCreateDep
from crm_api.dependencies.rate_limits import limit_registrations
from crm_api.openapi.responses import CREATE_ERRORS, responses
from crm_api.schemas.registration import AcceptedResponse, Registration, RegistrationResponse
from crm_api.services.accounts import registration as registration_service
from crm_api.services.accounts import verification
from crm_api.services.idempotency import Attempt

router = APIRouter(prefix="/api", tags=["Account"])


@router.post(
    "/register",
    status_code=status.HTTP_201_CREATED,
    response_model=RegistrationResponse,
    responses={
        202: {
            "model": AcceptedResponse,
            "description": "A mail has the link that completes the registration.",
            "x-message": AcceptedResponse.MESSAGE,
        },
        **responses(
            "registration_closed",
            "user_exists",
            *CREATE_ERRORS,
            message=RegistrationResponse.MESSAGE,
            status=201,
        ),
    },
    dependencies=[Depends(limit_registrations)],
)
async def register(
    registration: Registration,
    settings: SettingsDep,
    session_factory: SessionFactoryDep,
    hubspot: HubSpotDep,
    passwords: PasswordsDep,
    idempotent_create: IdempotentCreateDep,
    rules: RulesDep,
    messages: MessagesDep,
    origin: OriginDep,
) -> Response:
    """Register a user and create or link their contact in the CRM.

    If the operator requires e-mail verification, the response is a 202 for known and unknown addresses, and a mail has
    the link that completes the registration. Otherwise an existing contact with this address is linked and updated. If
    the request fails, send it again: the result is one user and one contact.
    """
    proof = settings.email_verification == "required"

    async def create(attempt: Attempt) -> RegistrationResponse | AcceptedResponse:
        if proof:
            return await verification.request_registration(
                session_factory, passwords, registration, rules, messages, attempt=attempt, origin=origin
            )
        return await registration_service.register(
            session_factory, hubspot, passwords, registration, rules, attempt=attempt, origin=origin
        )

    return await idempotent_create.execute(
        create,
        operation="register",
        owner=registration.email,
        # Else a guessed key would tell that this address was registered with it.
        scope_secret=registration.password.get_secret_value() if proof else "",
        body=registration,
        status=status.HTTP_202_ACCEPTED if proof else status.HTTP_201_CREATED,
    )
