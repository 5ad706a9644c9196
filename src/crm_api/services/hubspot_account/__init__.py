"""The HubSpot account as a whole: its binding to the database, and checking and providing what the service needs."""
