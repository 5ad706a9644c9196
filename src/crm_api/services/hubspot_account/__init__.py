"""The HubSpot account: its binding to the database, the check of what the service needs, and the creation of that."""
