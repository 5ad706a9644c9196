"""HubSpot's names and numbers: object types, their default properties and association types, API versions."""

import re
from typing import Final, NamedTuple

OBJECT_TYPES: Final = ("contacts", "deals", "tickets")

# https://developers.hubspot.com/docs/api-reference/crm-objects/understanding-the-crm
TYPE_IDS: Final = {"contacts": "0-1", "deals": "0-3", "tickets": "0-5"}
SINGULAR: Final = {"contacts": "contact", "deals": "deal", "tickets": "ticket"}
# Paths name a type in the plural, in the singular (older association paths) or by number.
OBJECT_TYPE_BY_NAME: Final = (
    {name: name for name in OBJECT_TYPES}
    | {singular: plural for plural, singular in SINGULAR.items()}
    | {type_id: plural for plural, type_id in TYPE_IDS.items()}
)

# Object types that the emulator does not have; HubSpot refuses other names and numbers.
# https://developers.hubspot.com/docs/api-reference/crm-objects/understanding-the-crm
NOT_EMULATED_TYPES: Final = re.compile(
    r"0-(?:2|7|8|14|18|19|27|46|47|48|49|53|54|69|74|84|85|86|101|115|116|123|136|142|162|410|420|421|970)"
    r"|compan(?:y|ies)|tax(?:es)?|postal_mail|(?:product|line_item|quote|communication|feedback_submission|task"
    r"|note|meeting|call|email|invoice|marketing_event|subscription|goal_target|discount|fee|commerce_payment"
    r"|payment|user|order|lead|cart|service|course|listing|appointment|project)s?"
)

# The unlabelled association type of each direction.
# https://developers.hubspot.com/docs/api-reference/crm-associations-v4/guide#association-type-id-values
DEFAULT_ASSOCIATION_TYPES: Final = {
    ("contacts", "deals"): 4,
    ("deals", "contacts"): 3,
    ("contacts", "tickets"): 15,
    ("tickets", "contacts"): 16,
    ("deals", "tickets"): 27,
    ("tickets", "deals"): 28,
    ("contacts", "contacts"): 449,
    ("deals", "deals"): 451,
    ("tickets", "tickets"): 452,
}

LAST_MODIFIED: Final = {
    "contacts": "lastmodifieddate",
    "deals": "hs_lastmodifieddate",
    "tickets": "hs_lastmodifieddate",
}

# Properties in the response if the request names none.
# https://developers.hubspot.com/docs/api-reference/search/guide
DEFAULT_PROPERTIES: Final = {
    "contacts": ("createdate", "email", "firstname", "hs_object_id", "lastmodifieddate", "lastname"),
    "deals": (
        "amount",
        "closedate",
        "createdate",
        "dealname",
        "dealstage",
        "hs_lastmodifieddate",
        "hs_object_id",
        "pipeline",
    ),
    "tickets": (
        "content",
        "createdate",
        "hs_lastmodifieddate",
        "hs_object_id",
        "hs_pipeline",
        "hs_pipeline_stage",
        "hs_ticket_category",
        "hs_ticket_priority",
        "subject",
    ),
}

# (pipeline property, stage property); contacts have no writable ones.
PIPELINE_PROPERTIES: Final = {
    "deals": ("pipeline", "dealstage"),
    "tickets": ("hs_pipeline", "hs_pipeline_stage"),
}

# https://developers.hubspot.com/docs/developer-tooling/platform/versioning
_DATED = re.compile(r"\d{4}-\d{2}(-beta)?")


class ApiVersion(NamedTuple):
    """Version segment of a path, such as `v3` or `2026-09`."""

    text: str

    @property
    def is_dated(self) -> bool:
        return _DATED.fullmatch(self.text) is not None

    @property
    def enforces_required_properties(self) -> bool:
        # https://developers.hubspot.com/changelog/crm-api-write-validation-enforcement
        return self.is_dated and self.text >= "2026-09"


def is_version(segment: str) -> bool:
    return segment in ("v1", "v3", "v4") or _DATED.fullmatch(segment) is not None
