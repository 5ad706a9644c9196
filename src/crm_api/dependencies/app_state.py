"""Dependencies for objects of the application's lifetime: settings, session factory, HubSpot client."""

from typing import Annotated

from fastapi import Depends, Request

from crm_api.database import SessionFactory
from crm_api.hubspot import HubSpotClient
from crm_api.settings import Settings


async def get_settings(request: Request) -> Settings:
    """Return the application's settings."""
    settings: Settings = request.app.state.settings
    return settings


async def get_session_factory(request: Request) -> SessionFactory:
    """Return the session factory. Close each session before a HubSpot call."""
    session_factory: SessionFactory = request.app.state.session_factory
    return session_factory


async def get_hubspot(request: Request) -> HubSpotClient:
    """Return the HubSpot client. A route with a login must declare `CurrentUser` before it.

    Raises 503 if the database belongs to another HubSpot account, 429 if the user has no HubSpot calls left today.
    """
    request.app.state.account_binding.require_match()
    user_id = getattr(request.state, "user_id", None)
    if user_id is not None:
        await request.app.state.rate_limits.require_hubspot_calls(user_id)
    hubspot: HubSpotClient = request.app.state.hubspot
    return hubspot


SettingsDep = Annotated[Settings, Depends(get_settings)]
SessionFactoryDep = Annotated[SessionFactory, Depends(get_session_factory)]
HubSpotDep = Annotated[HubSpotClient, Depends(get_hubspot)]
