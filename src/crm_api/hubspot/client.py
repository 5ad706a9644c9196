"""The client: one attribute for each group of HubSpot's endpoints."""

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable

import httpx

from crm_api.hubspot.auth import Auth, RefreshTokenAuth
from crm_api.hubspot.circuit import CircuitName, Circuits
from crm_api.hubspot.connections import Connections
from crm_api.hubspot.names import ObjectType
from crm_api.hubspot.observer import Observer
from crm_api.hubspot.quota.quota import LocalQuota, Quota
from crm_api.hubspot.resources.account import AccountApi
from crm_api.hubspot.resources.associations import AssociationsApi
from crm_api.hubspot.resources.object_schemas import ObjectSchemasApi
from crm_api.hubspot.resources.objects import ObjectsApi
from crm_api.hubspot.resources.pipelines import PipelinesApi
from crm_api.hubspot.resources.properties import PropertiesApi
from crm_api.hubspot.retry import RetryBudget, RetryPolicy
from crm_api.hubspot.sender import Sender


class HubSpotClient:
    """Asynchronous client of HubSpot's dated CRM API; one per process, closed by `aclose`."""

    def __init__(
        self,
        *,
        base_url: str,
        auth: Auth,
        api_version: str = "2026-09",
        transport: httpx.AsyncBaseTransport | None = None,
        max_connections: int = 20,
        verify: ssl.SSLContext | bool = True,
        proxy: str | None = None,
        retry: RetryPolicy | None = None,
        retry_budget: RetryBudget | None = None,
        quota: Quota | None = None,
        circuits: Circuits | None = None,
        observer: Observer | None = None,
        default_deadline_seconds: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        turn: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Connect the parts. `turn` waits until a large response may be parsed."""
        observer = observer or Observer()
        circuits = circuits or Circuits(clock=clock)
        self._connections = Connections(base_url=base_url, transport=transport, verify=verify, proxy=proxy)
        if isinstance(auth, RefreshTokenAuth):
            auth.connect(self._connections.acquire_for_tokens, observer, circuits["tokens"])
        self.sender = Sender(
            connections=self._connections,
            auth=auth,
            api_version=api_version,
            max_connections=max_connections,
            retry=retry or RetryPolicy(),
            retry_budget=retry_budget or RetryBudget(),
            quota=quota or LocalQuota(clock=clock, sleep=sleep),
            circuits=circuits,
            observer=observer,
            default_deadline_seconds=default_deadline_seconds,
            clock=clock,
            sleep=sleep,
            turn=turn,
        )
        self.contacts = ObjectsApi(self.sender, "contacts")
        self.deals = ObjectsApi(self.sender, "deals")
        self.tickets = ObjectsApi(self.sender, "tickets")
        self.associations = AssociationsApi(self.sender)
        self.pipelines = PipelinesApi(self.sender)
        self.properties = PropertiesApi(self.sender)
        self.object_schemas = ObjectSchemasApi(self.sender)
        self.account = AccountApi(self.sender)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(base_url={self._connections.base_url!r})"

    def objects(self, object_type: ObjectType) -> ObjectsApi:
        """Return the API of one object type's records."""
        return {"contacts": self.contacts, "deals": self.deals, "tickets": self.tickets}[object_type]

    @property
    def open_circuits(self) -> list[CircuitName]:
        """Names of the open circuit breakers, whose calls are refused."""
        return self.sender.circuits.open()

    async def aclose(self) -> None:
        """Cancel shared reads and close all connections."""
        await self.pipelines.aclose()
        await self.properties.aclose()
        await self.object_schemas.aclose()
        if isinstance(self.sender.auth, RefreshTokenAuth):
            await self.sender.auth.aclose()
        await self._connections.aclose()
