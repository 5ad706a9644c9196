"""Settings of HubSpot: credentials, limits, the read cache, and what customers may see and do."""

import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator
from pydantic_settings import NoDecode

from crm_api.security.proxies import ProxyError, proxy_for
from crm_api.settings.checks import is_web_address

# HubSpot refuses URLs that are too long (414), and the URL of a list or of a single read contains the names.
# https://developers.hubspot.com/docs/api-reference/error-handling
MAX_PROPERTY_NAMES_LENGTH = 6_000
# Printable characters without space: a token with a pasted line break is no valid header.
_TOKEN = re.compile(r"[\x21-\x7e]+")
STAFF_ONLY_PROPERTIES = frozenset({"email", "lifecyclestage", "hubspot_owner_id"})
TicketCategory = Literal["general_inquiry", "technical_issue", "billing", "service_request", "meeting"]
CustomerOperation = Literal[
    "create_deal", "update_deal", "archive_deal", "create_ticket", "update_ticket", "archive_ticket"
]
PropertyName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,99}$")]


class PropertyLists(BaseModel):
    """HubSpot properties that the operator adds to one object type."""

    model_config = ConfigDict(extra="forbid")

    # The contract limits `properties` of a record to 100 members.
    readable: Annotated[list[PropertyName], Field(max_length=100)] = []
    """Properties in `properties` of every record, for all callers."""
    writable_by_customer: list[PropertyName] = []
    writable_by_staff: list[PropertyName] = []
    filterable: list[PropertyName] = []

    @model_validator(mode="after")
    def _check_readable_and_reserved(self) -> "PropertyLists":
        for name in (*self.writable_by_customer, *self.writable_by_staff, *self.filterable):
            if name not in self.readable:
                raise ValueError(f"{name} must also be in readable")
        if len(",".join(self.readable)) > MAX_PROPERTY_NAMES_LENGTH:
            maximum = MAX_PROPERTY_NAMES_LENGTH
            raise ValueError(f"the names in readable have more than {maximum} characters in total")
        if reserved := STAFF_ONLY_PROPERTIES & set(self.writable_by_customer):
            raise ValueError(f"customers cannot write {', '.join(sorted(reserved))}")
        return self


class HubSpotSettings(BaseModel):
    """Settings of HubSpot."""

    hubspot_base_url: str = "https://api.hubapi.com"
    """URL of HubSpot or of an emulator."""
    hubspot_api_version: Annotated[str, Field(pattern=r"^\d{4}-\d{2}(-beta)?$")] = "2026-09"
    """Dated version of HubSpot's API."""
    hubspot_access_token: SecretStr | None = None
    """A service key or private-app token; alternatively set the next three variables."""
    hubspot_client_id: str | None = None
    """Client ID of the OAuth app."""
    hubspot_client_secret: SecretStr | None = None
    """Client secret of the OAuth app."""
    hubspot_refresh_token: SecretStr | None = None
    """Refresh token of the app's installation in the HubSpot account."""
    hubspot_max_connections: Annotated[int, Field(ge=1, le=100)] = 40
    """Maximum connections of one process to HubSpot, and so its maximum parallel calls."""
    hubspot_burst_limit: Annotated[int, Field(ge=1)] = 100
    """Requests per 10 seconds that the HubSpot account allows this app."""
    hubspot_search_limit: Annotated[int, Field(ge=1)] = 5
    """Searches per second that the HubSpot account allows."""
    hubspot_daily_limit: Annotated[int, Field(ge=1)] = 250_000
    """Requests per day that the HubSpot account allows."""
    hubspot_daily_limit_per_user: Annotated[int, Field(ge=1)] | None = None
    """Requests per day that the service sends for one user. By default 5 % of `HUBSPOT_DAILY_LIMIT`."""
    read_cache_seconds: Annotated[float, Field(ge=0, le=3600)] = 10.0
    """Time for which HubSpot's responses to customers' reads count as fresh; 0 switches the cache off. Customers see
    their own changes at once, and changes made in HubSpot after this time."""
    read_cache_stale_seconds: Annotated[float, Field(ge=0, le=86_400)] = 300.0
    """Maximum age of a cached response, which is used only while HubSpot's quota is exhausted or HubSpot fails."""
    read_cache_max_bytes: Annotated[int, Field(ge=1_048_576)] = 33_554_432
    """Maximum memory of the read cache in one process; a page of one customer takes about 8 KB."""
    hubspot_ticket_categories: dict[TicketCategory, Annotated[str, Field(min_length=1, max_length=100)]] = {}
    """HubSpot's option for each ticket category, as JSON, if the HubSpot account has other options:
    `{"billing": "INVOICES"}`. Callers can always use HubSpot's own options as well."""
    customer_stages: dict[Literal["deals", "tickets"], dict[str, list[str]]] = {}
    """Pipelines that customers see and stages that they may set, as JSON: `{"deals": {"default": ["qualifiedtobuy"]}}`.
    Deals and tickets in other pipelines do not exist for customers. An object type that is not listed is unrestricted;
    an empty list allows all stages."""
    customer_operations: Annotated[list[CustomerOperation], NoDecode] = [
        "create_deal",
        "update_deal",
        "create_ticket",
        "update_ticket",
    ]
    """What customers may do with deals and tickets, separated by commas; `none` forbids all changes. Also possible:
    `archive_deal` and `archive_ticket`, which let every contact of a deal archive it."""
    hubspot_properties: dict[Literal["contacts", "deals", "tickets"], PropertyLists] = {}
    """Properties to add to records, as JSON: `{"deals": {"readable": ["dealtype"], "filterable": ["dealtype"]}}`."""


def hubspot_problems(settings: HubSpotSettings) -> list[str]:
    """Return why HubSpot cannot be called with these settings; empty if it can."""
    problems = []
    if not is_web_address(settings.hubspot_base_url):
        problems.append("HUBSPOT_BASE_URL is not an http or https URL")
    else:
        try:
            proxy_for(settings.hubspot_base_url)
        except ProxyError as error:
            problems.append(str(error))
    token = settings.hubspot_access_token
    if token is not None and not _TOKEN.fullmatch(token.get_secret_value()):
        problems.append("HUBSPOT_ACCESS_TOKEN contains a space or another invalid character")
    oauth = (settings.hubspot_client_id, settings.hubspot_client_secret, settings.hubspot_refresh_token)
    if settings.hubspot_access_token is None and not all(oauth):
        problems.append(
            "no HubSpot credentials: set HUBSPOT_ACCESS_TOKEN, or HUBSPOT_CLIENT_ID, "
            "HUBSPOT_CLIENT_SECRET and HUBSPOT_REFRESH_TOKEN"
        )
    return problems
