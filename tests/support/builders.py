"""Valid request bodies, which a test can change."""

from typing import Any

PASSWORD = "a lighthouse in the fog"


def registration_body(**changes: Any) -> dict[str, Any]:
    return {
        "email": "ada@example.com",
        "firstname": "Ada",
        "lastname": "Lovelace",
        "password": PASSWORD,
        "phone": "+44 20 7946 0018",
    } | changes


def deal_body(**changes: Any) -> dict[str, Any]:
    return {"dealname": "Fleet renewal", "dealstage": "qualifiedtobuy"} | changes


def ticket_body(**changes: Any) -> dict[str, Any]:
    return {
        "subject": "Third van is late",
        "description": "It was due on Monday.",
        "hs_pipeline_stage": "1",
    } | changes
