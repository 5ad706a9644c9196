"""HubSpot's object types, association type IDs, limits and dated paths."""

from typing import Final, Literal
from urllib.parse import quote

ObjectType = Literal["contacts", "deals", "tickets"]
EndpointFamily = Literal["search", "objects", "associations", "schema", "tokens"]
_FAMILY_BY_API: Final[dict[str, EndpointFamily]] = {
    "associations": "associations",
    "pipelines": "schema",
    "properties": "schema",
    "crm-object-schemas": "schema",
}

# Keys are (type of the record being written, type of the target). https://developers.hubspot.com/docs/api-reference/crm-associations-v4/guide
ASSOCIATION_TYPE_IDS: Final[dict[tuple[ObjectType, ObjectType], int]] = {
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

# Unique properties that not only this service sets: a contact with the same e-mail address may have existed before.
# https://developers.hubspot.com/docs/api-reference/crm-contacts-v3/guide
SHARED_IDENTIFIERS: Final = frozenset({"email"})

# Limit of all batch calls. https://developers.hubspot.com/docs/api-reference/crm-contacts-v3/guide
MAX_BATCH_INPUTS: Final = 100
# https://developers.hubspot.com/docs/api-reference/crm-associations-v4/guide
MAX_ASSOCIATION_READ_INPUTS: Final = 1000
# https://developers.hubspot.com/docs/api-reference/search/guide
MAX_SEARCH_RESULTS: Final = 10_000


def endpoint_family(path: str) -> EndpointFamily:
    """Return the family of a path's endpoint. HubSpot's families fail independently."""
    if path.endswith("/search"):
        return "search"
    api = path.removeprefix("/crm/").removeprefix("/").partition("/")[0]
    return _FAMILY_BY_API.get(api, "objects")


def is_write(method: str, path: str) -> bool:
    """Return True if a call changes data in HubSpot."""
    if method == "POST":
        return not path.endswith(("/search", "/batch/read"))
    return method != "GET"


def is_path_segment(value: str) -> bool:
    """Return True if the value can be one path segment; `..` would name another resource."""
    return value not in ("", ".", "..")


def segment(value: str) -> str:
    """Quote a value as one path segment. Raises `ValueError` for an empty value, `.` and `..`."""
    if not is_path_segment(value):
        raise ValueError("not a path segment")
    return quote(value, safe="")


class Paths:
    """Paths of one dated API version.

    https://developers.hubspot.com/docs/developer-tooling/platform/versioning
    """

    def __init__(self, api_version: str) -> None:
        self._version = segment(api_version)
        self.account_details = f"/account-info/{self._version}/details"
        self.token = f"/oauth/{self._version}/token"

    def object_schema(self, object_type: ObjectType) -> str:
        """Return the path of an object type's schema, which is outside `/crm`."""
        return f"/crm-object-schemas/{self._version}/schemas/{object_type}"

    def crm(
        self, resource: Literal["associations", "objects", "pipelines", "properties"], *parts: str
    ) -> str:
        """Return the path of a CRM resource with these parts. Raises `ValueError` for parts that `segment` refuses."""
        return "/".join((f"/crm/{resource}/{self._version}", *map(segment, parts)))


def token_url(base_url: str, api_version: str) -> str:
    """Return the URL that issues access tokens."""
    return base_url.rstrip("/") + Paths(api_version).token
