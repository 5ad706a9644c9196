"""The caller's own profile over HTTP: read, change, delete, export."""

from fastapi import APIRouter, status

from crm_api.dependencies.accounts import ContactLinksDep, OriginDep
from crm_api.dependencies.app_state import HubSpotDep, SessionFactoryDep, SettingsDep
from crm_api.dependencies.auth import CurrentUser
from crm_api.dependencies.records import AccessDep
from crm_api.openapi.document import problems
from crm_api.schemas.export import PersonalExportResponse
from crm_api.schemas.profile import ProfileResponse, ProfileUpdate
from crm_api.services.accounts import export, profile

router = APIRouter(prefix="/api", tags=["Account"])


@router.get("/me", responses=problems(401, 429, 503))
async def get_me(user: CurrentUser) -> ProfileResponse:
    """Read your own profile. It comes from this service's database, so it answers while HubSpot is away."""
    return ProfileResponse(message="Profile retrieved successfully", data=profile.profile(user))


@router.patch("/me", responses=problems(400, 401, 429, 502, 503, 504))
async def update_me(
    change: ProfileUpdate,
    user: CurrentUser,
    session_factory: SessionFactoryDep,
    hubspot: HubSpotDep,
    links: ContactLinksDep,
    origin: OriginDep,
) -> ProfileResponse:
    """Change your names and your phone number, here and in the CRM. What you leave out stays."""
    updated = await profile.update_profile(session_factory, hubspot, user, change, links=links, origin=origin)
    return ProfileResponse(message="Profile updated successfully", data=updated)


@router.delete(
    "/me",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(401, 429, 503),
)
async def delete_me(
    user: CurrentUser, session_factory: SessionFactoryDep, settings: SettingsDep, origin: OriginDep
) -> None:
    """Delete your account: its profile, sessions and tokens. Your contact in the CRM stays the company's."""
    await profile.delete_user(
        session_factory, user, secret=settings.secret_key.get_secret_value(), origin=origin
    )


@router.get("/me/export", responses=problems(401, 429, 502, 503, 504))
async def export_me(access: AccessDep, origin: OriginDep) -> PersonalExportResponse:
    """Read everything that is held about you. Profile, sessions, audit log, and your records in the CRM."""
    return PersonalExportResponse(
        message="Export created successfully", data=await export.export(access, origin=origin)
    )
