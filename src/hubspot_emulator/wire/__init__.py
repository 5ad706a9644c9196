"""HubSpot's wire format: requests, responses, names and timestamps."""
