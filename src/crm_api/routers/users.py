"""Registration and the caller's own profile."""

from fastapi import APIRouter, Depends, Response, status

from crm_api.dependencies import CurrentUser, HubSpotDep, PasswordsDep, SessionsDep, SettingsDep
from crm_api.openapi.document import problems
from crm_api.routers.access import AccessDep
from crm_api.routers.accounts import ContactLinksDep, MessagesDep, OriginDep, RulesDep
from crm_api.routers.creating import CreatingDep
from crm_api.routers.limits import limit_registrations
from crm_api.schemas.users import (
    AcceptedResponse,
    PersonalExportResponse,
    ProfileResponse,
    ProfileUpdate,
    Registration,
    RegistrationResponse,
)
from crm_api.services.accounts import export, profile, verification
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
    sessions: SessionsDep,
    hubspot: HubSpotDep,
    passwords: PasswordsDep,
    creating: CreatingDep,
    rules: RulesDep,
    messages: MessagesDep,
    origin: OriginDep,
) -> Response:
    """Create an account and its contact in the CRM.

    Where addresses have to be proved, the answer is a 202 whether or not the address is known, and a link in a mail
    finishes it. Elsewhere a contact that already has this address is linked and brought up to date; if anything fails
    on the way, send the same request again: it ends with one account and one contact.
    """
    proof = settings.email_verification == "required"

    async def create(attempt: Attempt) -> RegistrationResponse | AcceptedResponse:
        if proof:
            return await verification.request_registration(
                sessions, passwords, registration, rules, messages, attempt=attempt, origin=origin
            )
        return await profile.register(
            sessions, hubspot, passwords, registration, rules, attempt=attempt, origin=origin
        )

    return await creating.run(
        create,
        operation="register",
        owner=registration.email,
        # Else a guessed key would tell that this address was registered with it.
        proof=registration.password.get_secret_value() if proof else "",
        body=registration,
        status=status.HTTP_202_ACCEPTED if proof else status.HTTP_201_CREATED,
    )


@router.get("/me", responses=problems(401, 429, 503))
async def get_me(user: CurrentUser) -> ProfileResponse:
    """Read your own profile. It comes from this service's database, so it answers while HubSpot is away."""
    return ProfileResponse(message="Profile retrieved successfully", data=profile.profile(user))


@router.patch("/me", responses=problems(400, 401, 429, 502, 503, 504))
async def update_me(
    change: ProfileUpdate,
    user: CurrentUser,
    sessions: SessionsDep,
    hubspot: HubSpotDep,
    links: ContactLinksDep,
    origin: OriginDep,
) -> ProfileResponse:
    """Change your names and your phone number, here and in the CRM. What you leave out stays."""
    updated = await profile.update_profile(sessions, hubspot, user, change, links=links, origin=origin)
    return ProfileResponse(message="Profile updated successfully", data=updated)


@router.delete(
    "/me",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(401, 429, 503),
)
async def delete_me(
    user: CurrentUser, sessions: SessionsDep, settings: SettingsDep, origin: OriginDep
) -> None:
    """Delete your account: its profile, sessions and tokens. Your contact in the CRM stays the company's."""
    await profile.delete_user(sessions, user, secret=settings.secret_key.get_secret_value(), origin=origin)


@router.get("/me/export", responses=problems(401, 429, 502, 503, 504))
async def export_me(access: AccessDep, origin: OriginDep) -> PersonalExportResponse:
    """Read everything that is held about you. Profile, sessions, audit log, and your records in the CRM."""
    return PersonalExportResponse(
        message="Export created successfully", data=await export.export(access, origin=origin)
    )
