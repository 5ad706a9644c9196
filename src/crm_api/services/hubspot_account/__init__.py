"""The HubSpot account as a whole: which one the database is bound to, and what the service needs in it."""
