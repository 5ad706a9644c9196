"""HubSpot's rules for writes: which values it accepts, what it computes, and what a merge does."""
