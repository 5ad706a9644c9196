"""Settings, read from environment variables and a `.env` file; one module for each topic."""

from crm_api.settings.hubspot import CustomerOperation, PropertyLists
from crm_api.settings.settings import Settings, SettingsRefusedError

__all__ = ["CustomerOperation", "PropertyLists", "Settings", "SettingsRefusedError"]
