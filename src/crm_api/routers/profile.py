"""Routes: read, update, delete and export the caller's own profile."""

from fastapi import APIRouter, status

from crm_api.dependencies.accounts import AccountContextDep
from crm_api.dependencies.app_state import HubSpotDep
from crm_api.dependencies.auth import CurrentUser
from crm_api.dependencies.records import RecordContextDep
from crm_api.openapi.document import problems
from crm_api.schemas.export import PersonalExportResponse
from crm_api.schemas.profile import ProfileResponse, ProfileUpdate
from crm_api.services.accounts import export, profile

router = APIRouter(prefix="/api", tags=["Account"])


@router.get("/me", responses=problems(401, 429, 503))
async def get_me(user: CurrentUser) -> ProfileResponse:
    """Read your own profile. It comes from this service's database, so it answers while HubSpot is away."""
    return ProfileResponse(message="Profile retrieved successfully", data=profile.profile_of(user))


@router.patch("/me", responses=problems(400, 401, 429, 502, 503, 504))
async def update_me(
    changes: ProfileUpdate, user: CurrentUser, context: AccountContextDep, hubspot: HubSpotDep
) -> ProfileResponse:
    """Change your names and your phone number, here and in the CRM. What you leave out stays."""
    updated = await profile.update_profile(context, hubspot, user, changes)
    return ProfileResponse(message="Profile updated successfully", data=updated)


@router.delete(
    "/me",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(401, 429, 503),
)
async def delete_me(user: CurrentUser, context: AccountContextDep) -> None:
    """Delete your account: its profile, sessions and tokens. Your contact in the CRM stays the company's."""
    await profile.delete_user(context, user)


@router.get("/me/export", responses=problems(401, 429, 502, 503, 504))
async def export_me(context: RecordContextDep) -> PersonalExportResponse:
    """Read everything that is held about you. Profile, sessions, audit log, and your records in the CRM."""
    exported = await export.export_user(context)
    return PersonalExportResponse(message="Export created successfully", data=exported)
