"""HubSpot's endpoints, one module per family, and the rendering of records."""
