"""An asynchronous HubSpot client library on httpx and Pydantic."""

from crm_api.hubspot.auth import Auth, RefreshTokenAuth, StaticTokenAuth
from crm_api.hubspot.call_context import CallContext, call_context, current_call_context
from crm_api.hubspot.circuit import CIRCUITS, CircuitBreaker, CircuitOpenError, Circuits, CircuitState
from crm_api.hubspot.client import HubSpotClient
from crm_api.hubspot.errors import HubSpotError
from crm_api.hubspot.names import token_url
from crm_api.hubspot.observer import Observer, Observers
from crm_api.hubspot.quota.daily import DailyReport
from crm_api.hubspot.quota.quota import BUDGETS, LocalQuota, Quota, QuotaTimeout
from crm_api.hubspot.read_cache import CachedReads, Partition, PartitionReads, ReadCache
from crm_api.hubspot.read_cache_store import CacheStore, MemoryStore
from crm_api.hubspot.resources.caching import SingleFlightCache
from crm_api.hubspot.resources.objects import ObjectsApi
from crm_api.hubspot.retry import RetryBudget, RetryPolicy, parse_retry_after
from crm_api.hubspot.search import Filter, SearchRequest, Sort
from crm_api.hubspot.sender import LastSeen
from crm_api.hubspot.wire import (
    AssociationResult,
    CrmRecord,
    NewAssociation,
    Pipeline,
    Property,
    PropertyOption,
    SearchPage,
    Stage,
    UniqueValue,
)

__all__ = [
    "BUDGETS", "CIRCUITS", "AssociationResult", "Auth", "CacheStore", "CachedReads", "CallContext", "CircuitBreaker",
    "CircuitOpenError", "CircuitState", "Circuits", "CrmRecord", "DailyReport", "Filter", "HubSpotClient",
    "HubSpotError", "LastSeen", "LocalQuota", "MemoryStore", "NewAssociation", "ObjectsApi", "Observer", "Observers",
    "Partition", "PartitionReads", "Pipeline", "Property", "PropertyOption", "Quota", "QuotaTimeout", "ReadCache",
    "RefreshTokenAuth", "RetryBudget", "RetryPolicy", "SearchPage", "SearchRequest", "SingleFlightCache",
    "Sort", "Stage", "StaticTokenAuth", "UniqueValue", "call_context", "current_call_context",
    "parse_retry_after", "token_url",
]  # fmt: skip
