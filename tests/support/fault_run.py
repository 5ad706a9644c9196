"""Run of many callers who create deals and tickets while HubSpot fails, with a check of the records."""

import asyncio
import itertools
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import httpx
from tests.support.builders import deal_body, ticket_body
from tests.support.callers import Caller

from hubspot_emulator import Emulator

FAULTS = (
    "drop_before",
    "drop_after",
    "truncated_json",
    "invalid_json",
    "hang_before",
    "hang_after",
    "429",
    "500",
    "502",
    "503",
    "504",
)
MAX_ATTEMPTS = 60


@dataclass
class FaultRun:
    """Records created, and the outcomes of the requests."""

    deals: dict[str, str] = field(default_factory=dict)
    """Name to ID of each deal with a 201."""
    tickets: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Subject to the IDs of the ticket and its deal, of each ticket with a 201."""
    contact_ids: dict[str, str] = field(default_factory=dict)
    """Name or subject to the contact that the record is associated with."""
    outcomes: Counter[str] = field(default_factory=Counter)

    async def create_all(self, callers: list[Caller], *, deals: int, tickets: int) -> None:
        """Let the callers create these records together and retry failures with the same idempotency key."""
        numbers = itertools.count()
        remaining = {"deals": deals, "tickets": tickets}

        async def work(caller: Caller) -> None:
            deal_ids: list[str] = []
            while any(remaining.values()):
                if remaining["deals"] and (not deal_ids or remaining["deals"] >= remaining["tickets"]):
                    remaining["deals"] -= 1
                    deal_ids.append(await self._create_deal(caller, f"deal {next(numbers)}"))
                elif remaining["tickets"]:
                    remaining["tickets"] -= 1
                    await self._create_ticket(caller, f"ticket {next(numbers)}", deal_ids[-1])

        await asyncio.gather(*(work(caller) for caller in callers))

    async def wait_for_deals(self, count: int) -> None:
        while len(self.deals) < count:  # noqa: ASYNC110 - polling is enough for a test
            await asyncio.sleep(0.01)

    async def _create_deal(self, caller: Caller, name: str) -> str:
        created = await self._until_created(caller, "/api/deals", deal_body(dealname=name), name)
        self.deals[name] = str(created["id"])
        self.contact_ids[name] = caller.contact_id
        return self.deals[name]

    async def _create_ticket(self, caller: Caller, subject: str, deal_id: str) -> None:
        created = await self._until_created(
            caller, f"/api/tickets/{deal_id}", ticket_body(subject=subject), subject
        )
        self.tickets[subject] = (str(created["id"]), deal_id)
        self.contact_ids[subject] = caller.contact_id

    async def _until_created(
        self, caller: Caller, path: str, body: dict[str, Any], key: str
    ) -> dict[str, Any]:
        headers = {"Idempotency-Key": key.replace(" ", "-")}
        for _ in range(MAX_ATTEMPTS):
            try:
                response = await caller.post(path, body, headers=headers)
            except httpx.TransportError:
                self.outcomes["response lost"] += 1
                continue
            self.outcomes[f"{response.status_code} {response.json().get('code', '')}".strip()] += 1
            if response.status_code == 201:
                data: dict[str, Any] = response.json()["data"]
                return data
            assert response.status_code in (409, 502, 503, 504), response.text
            await asyncio.sleep(min(0.2, float(response.headers.get("retry-after", 0))))
        raise AssertionError(f"{key} did not converge: {response.text}")

    def assert_each_created_once(self, emulator: Emulator) -> None:
        """Assert that the emulator has each record once, with its associations, and no other record."""
        names = Counter(record.properties["dealname"] for record in emulator.records("deals"))
        assert names == Counter(dict.fromkeys(self.deals, 1))
        for record in emulator.records("deals"):
            name = record.properties["dealname"]
            assert name is not None
            assert record.id == self.deals[name]
            assert emulator.associations("deals", record.id, "contacts") == [self.contact_ids[name]]
        subjects = Counter(record.properties["subject"] for record in emulator.records("tickets"))
        assert subjects == Counter(dict.fromkeys(self.tickets, 1))
        for record in emulator.records("tickets"):
            subject = record.properties["subject"]
            assert subject is not None
            ticket_id, deal_id = self.tickets[subject]
            assert record.id == ticket_id
            assert emulator.associations("tickets", record.id, "contacts") == [self.contact_ids[subject]]
            assert emulator.associations("tickets", record.id, "deals") == [deal_id]
