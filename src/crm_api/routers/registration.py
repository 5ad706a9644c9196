"""Route for registration."""

from fastapi import APIRouter, Depends, Response, status

from crm_api.dependencies.accounts import AccountContextDep
from crm_api.dependencies.app_state import HubSpotDep, SettingsDep
from crm_api.dependencies.idempotency import IdempotentCreateDep
from crm_api.dependencies.parameters import check_parameter_names
from crm_api.dependencies.rate_limits import LimitMailsDep, limit_registrations, refuse_invalid_networks
from crm_api.openapi.responses import CREATE_ERRORS, responses
from crm_api.schemas.registration import AcceptedResponse, Registration, RegistrationResponse
from crm_api.services.accounts import registration as registration_service
from crm_api.services.accounts import verification
from crm_api.services.idempotency import Attempt

router = APIRouter(
    prefix="/api",
    tags=["Account"],
    dependencies=[Depends(refuse_invalid_networks), Depends(check_parameter_names)],
)


@router.post(
    "/register",
    status_code=status.HTTP_201_CREATED,
    response_model=RegistrationResponse,
    responses={
        202: {
            "model": AcceptedResponse,
            "description": "A mail contains the link that completes the registration.",
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
    context: AccountContextDep,
    hubspot: HubSpotDep,
    idempotent_create: IdempotentCreateDep,
    limit_mails: LimitMailsDep,
) -> Response:
    """Register a user and create or link their contact in the CRM.

    If the operator requires e-mail verification, the response is a 202 for known and unknown addresses. A mail
    contains the link that completes the registration, or the information that the address already has an account.
    Without e-mail verification, an existing contact with this address is linked and updated. If the request fails, send
    it again: the result is one user and one contact.
    """
    requires_verification = settings.email_verification == "required"
    if requires_verification:
        await limit_mails(registration.email)

    async def create(attempt: Attempt) -> RegistrationResponse | AcceptedResponse:
        if requires_verification:
            return await verification.request_registration(context, hubspot, registration, attempt=attempt)
        return await registration_service.register(context, hubspot, registration, attempt=attempt)

    return await idempotent_create.execute(
        create,
        operation="register",
        owner=registration.email,
        # Without the password, a caller could guess a key and learn that the address was registered with it.
        scope_secret=registration.password.get_secret_value() if requires_verification else "",
        body=registration,
        status=status.HTTP_202_ACCEPTED if requires_verification else status.HTTP_201_CREATED,
    )
