"""An async API in front of HubSpot CRM for people who are not HubSpot users."""
