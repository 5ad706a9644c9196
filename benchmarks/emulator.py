"""Client of the emulator's control API."""

from dataclasses import dataclass
from typing import Any, Final

from benchmarks.load import Client

from crm_api.hubspot import HubSpotClient, StaticTokenAuth
from crm_api.services.hubspot_account.provisioning import provision
from crm_api.services.properties.categories import TICKET_CATEGORIES

LATENCY_SECONDS: Final = 0.05


def token_of(server: str) -> str:
    """Return the access token by which the emulator attributes calls to a server."""
    return f"benchmark-token-of-{server}"


@dataclass(frozen=True)
class Emulator:
    """Emulator in a separate process."""

    url: str

    async def provision(self) -> None:
        """Create the properties that crm-api needs, as `crm-api hubspot provision` does."""
        hubspot = HubSpotClient(base_url=self.url, auth=StaticTokenAuth(token_of("setup")))
        try:
            await provision(hubspot, TICKET_CATEGORIES)
        finally:
            await hubspot.aclose()

    async def configure(self, **settings: Any) -> None:
        """Change latency or limits."""
        await self._request_json("PATCH", "settings", settings)

    async def add_latency(self) -> None:
        """Add the latency of all measures."""
        await self.configure(latency_seconds=LATENCY_SECONDS)

    async def seed(self, **objects: list[dict[str, Any]]) -> dict[str, list[str]]:
        """Create records and return their IDs by object type."""
        ids: dict[str, list[str]] = await self._request_json("POST", "seed", objects)
        return ids

    async def calls_of(self, server: str) -> list[dict[str, Any]]:
        """Return the calls of this server since `clear`, at most the last 10,000."""
        calls = (await self._request_json("GET", "requests", None))["results"]
        authorization = f"Bearer {token_of(server)}"
        return [call for call in calls if call["headers"].get("authorization") == authorization]

    async def clear(self) -> None:
        """Delete the record of calls."""
        await self._request_json("DELETE", "requests", None)

    async def _request_json(self, method: str, path: str, body: Any) -> Any:
        async with Client(self.url) as client:
            return await client.request_json(method, f"/_emulator/{path}", json=body)
