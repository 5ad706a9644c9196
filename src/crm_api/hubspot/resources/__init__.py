"""HubSpot's resources: one module per group of endpoints, each built on the sender."""
