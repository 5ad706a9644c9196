"""What the product does: plain async functions between the routers and HubSpot."""
