"""HubSpot's rules for writes: validation, calculated properties, merges; and the creation of many records at once."""
