"""The public contract as Pydantic models."""
