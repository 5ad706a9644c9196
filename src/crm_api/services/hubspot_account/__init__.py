"""The HubSpot account: its binding to the database, checks, and provisioning."""
