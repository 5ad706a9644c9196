"""Requests that are valid unless a test changes them."""

from typing import Any

PASSWORD = "a lighthouse in the fog"


def registration_body(**changes: Any) -> dict[str, Any]:
    """The body of a registration."""
    return {
        "email": "ada@example.com",
        "firstname": "Ada",
        "lastname": "Lovelace",
        "password": PASSWORD,
        "phone": "+44 20 7946 0018",
    } | changes


def deal_body(**changes: Any) -> dict[str, Any]:
    """The body of a deal."""
    return {"dealname": "Fleet renewal", "dealstage": "qualifiedtobuy"} | changes


def ticket_body(**changes: Any) -> dict[str, Any]:
    """The body of a ticket."""
    return {
        "subject": "Third van is late",
        "description": "It was due on Monday.",
        "hs_pipeline_stage": "1",
    } | changes
