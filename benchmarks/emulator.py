"""HubSpot on this machine, and what a run does to it."""

from dataclasses import dataclass
from typing import Any, Final

from benchmarks.load import Client

from crm_api.hubspot import HubSpotClient, StaticTokenAuth
from crm_api.services.hubspot_account.provisioning import provision
from crm_api.services.properties.mapping import TICKET_CATEGORIES

LATENCY_SECONDS: Final = 0.05


def token_of(server: str) -> str:
    """The token by which the emulator's record tells whose calls were whose."""
    return f"benchmark-token-of-{server}"


@dataclass(frozen=True)
class Emulator:
    """An emulator in a process of its own."""

    url: str

    async def provision(self) -> None:
        """Create what our service needs, as `crm-api hubspot provision` does."""
        hubspot = HubSpotClient(base_url=self.url, auth=StaticTokenAuth(token_of("nobody")))
        try:
            await provision(hubspot, TICKET_CATEGORIES)
        finally:
            await hubspot.aclose()

    async def set(self, **settings: Any) -> None:
        """Change its latency or limits."""
        await self._ask("PATCH", "settings", settings)

    async def slow(self) -> None:
        """Add the latency that is measured with."""
        await self.set(latency_seconds=LATENCY_SECONDS)

    async def fast(self) -> None:
        """Take the latency away, to set something up."""
        await self.set(latency_seconds=0.0)

    async def seed(self, **objects: list[dict[str, Any]]) -> dict[str, list[str]]:
        """Create records; their ids by type."""
        made: dict[str, list[str]] = await self._ask("POST", "seed", objects)
        return made

    async def calls(self, *, of: str) -> list[dict[str, Any]]:
        """What this server has asked of it since `clear`; of more than 10,000 calls, the last."""
        calls = (await self._ask("GET", "requests", None))["results"]
        return [each for each in calls if each["headers"].get("authorization") == f"Bearer {token_of(of)}"]

    async def clear(self) -> None:
        """Forget what it was asked."""
        await self._ask("DELETE", "requests", None)

    async def _ask(self, method: str, path: str, body: Any) -> Any:
        async with Client(self.url) as client:
            return await client.ask(method, f"/_emulator/{path}", json=body)
