"""Route: registration."""

from fastapi import APIRouter, Depends, Response, status

from crm_api.dependencies.accounts import AccountContextDep
from crm_api.dependencies.app_state import HubSpotDep, SettingsDep
from crm_api.dependencies.idempotency import IdempotentCreateDep
from crm_api.dependencies.rate_limits import limit_registrations
from crm_api.openapi.document import problems
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
        202: {"model": AcceptedResponse, "description": "A link was mailed that finishes the registration."},
        **problems(400, 403, 409, 422, 429, 502, 503, 504),
    },
    dependencies=[Depends(limit_registrations)],
)
async def register(
    registration: Registration,
    settings: SettingsDep,
    context: AccountContextDep,
    hubspot: HubSpotDep,
    idempotent_create: IdempotentCreateDep,
) -> Response:
    """Create an account and its contact in the CRM.

    Where addresses have to be proved, the answer is a 202 whether or not the address is known, and a link in a mail
    finishes it. Elsewhere a contact that already has this address is linked and brought up to date; if anything fails
    on the way, send the same request again: it ends with one account and one contact.
    """
    requires_verification = settings.email_verification == "required"

    async def create(attempt: Attempt) -> RegistrationResponse | AcceptedResponse:
        if requires_verification:
            return await verification.request_registration(context, registration, attempt=attempt)
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
