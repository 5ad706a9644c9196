"""HubSpot's rules for writes: validation, calculated properties, merges and seeding."""
