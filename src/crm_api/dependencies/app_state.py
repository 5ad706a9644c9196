"""The objects that the application holds for its whole life: settings, database, HubSpot client, password pool."""

from typing import Annotated

from fastapi import Depends, Request

from crm_api.database import SessionFactory
from crm_api.hubspot import HubSpotClient
from crm_api.security.passwords import Passwords
from crm_api.settings import Settings


async def get_settings(request: Request) -> Settings:
    """The application's settings."""
    settings: Settings = request.app.state.settings
    return settings


async def get_session_factory(request: Request) -> SessionFactory:
    """What opens a short database session; none may be held across a HubSpot call."""
    session_factory: SessionFactory = request.app.state.session_factory
    return session_factory


async def get_hubspot(request: Request) -> HubSpotClient:
    """The process's HubSpot client."""
    request.app.state.account_binding.require_match()
    hubspot: HubSpotClient = request.app.state.hubspot
    return hubspot


async def get_passwords(request: Request) -> Passwords:
    """The process's password pool."""
    passwords: Passwords = request.app.state.passwords
    return passwords


SettingsDep = Annotated[Settings, Depends(get_settings)]
SessionFactoryDep = Annotated[SessionFactory, Depends(get_session_factory)]
HubSpotDep = Annotated[HubSpotClient, Depends(get_hubspot)]
PasswordsDep = Annotated[Passwords, Depends(get_passwords)]
