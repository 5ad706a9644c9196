"""Routes for the caller's profile, sessions and export."""

from uuid import UUID

from fastapi import APIRouter, Request, status

from crm_api.dependencies.accounts import AccountContextDep
from crm_api.dependencies.app_state import HubSpotDep, SettingsDep
from crm_api.dependencies.auth import CurrentUser
from crm_api.dependencies.records import CursorParameter, RecordContextDep
from crm_api.openapi.responses import HUBSPOT_ERRORS, responses
from crm_api.schemas.export import PersonalExportResponse
from crm_api.schemas.profile import ProfileResponse, ProfileUpdate
from crm_api.schemas.sessions import ActiveSessions, ActiveSessionsResponse, SessionId
from crm_api.services.accounts import export, profile, sessions

router = APIRouter(prefix="/api", tags=["Account"])


@router.get("/me", responses=responses(message=ProfileResponse.RETRIEVED))
async def get_me(user: CurrentUser, settings: SettingsDep) -> ProfileResponse:
    """Get your profile and what you may do.

    It is stored in the service's database, so it can be read while HubSpot is unavailable.
    """
    own = profile.profile_of(user, settings.customer_operations)
    return ProfileResponse(message=ProfileResponse.RETRIEVED, data=own)


@router.patch("/me", responses=responses(*HUBSPOT_ERRORS, message=ProfileResponse.UPDATED))
async def update_me(
    changes: ProfileUpdate, user: CurrentUser, context: AccountContextDep, hubspot: HubSpotDep
) -> ProfileResponse:
    """Update your names and phone number.

    The change applies to your user account and your contact in the CRM. Omitted fields are unchanged.
    """
    updated = await profile.update_profile(context, hubspot, user, changes)
    return ProfileResponse(message=ProfileResponse.UPDATED, data=updated)


@router.delete("/me", status_code=status.HTTP_204_NO_CONTENT)
async def delete_me(user: CurrentUser, context: AccountContextDep) -> None:
    """Delete your user account.

    The profile, sessions and tokens are deleted. The contact stays in the company's CRM.
    """
    await profile.delete_user(context, user)


@router.get("/me/sessions", responses=responses(message=ActiveSessionsResponse.MESSAGE))
async def list_sessions(
    request: Request, user: CurrentUser, context: AccountContextDep
) -> ActiveSessionsResponse:
    """List your sessions.

    A login starts a session. Sessions that have ended or expired are not listed.
    """
    active = await sessions.list_sessions(context, user.id, current_id=request.state.session_id)
    return ActiveSessionsResponse(message=ActiveSessionsResponse.MESSAGE, data=ActiveSessions(results=active))


@router.delete("/me/sessions/{id}", status_code=status.HTTP_204_NO_CONTENT)
async def end_session(id: SessionId, request: Request, user: CurrentUser, context: AccountContextDep) -> None:
    """End one of your sessions.

    Its tokens are refused from the next request on. Ending the current session logs you out.
    """
    await sessions.end_session(context, user.id, UUID(id), current_id=request.state.session_id)


@router.get("/me/export", responses=responses(*HUBSPOT_ERRORS, message=PersonalExportResponse.MESSAGE))
async def export_me(context: RecordContextDep, cursor: CursorParameter = None) -> PersonalExportResponse:
    """Export everything that is stored about you.

    The export has your profile, sessions and audit log, and the records in the CRM that you can see.
    A long list of sessions or audit entries continues on the next page, which repeats only the profile.
    """
    exported = await export.export_user(context, cursor=cursor)
    return PersonalExportResponse(message=PersonalExportResponse.MESSAGE, data=exported)
