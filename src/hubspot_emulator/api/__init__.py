"""HubSpot's endpoints: one module per endpoint family, and the rendering of records."""
