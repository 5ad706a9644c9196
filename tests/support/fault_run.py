"""Many users create deals and tickets while HubSpot fails; afterwards every record is counted."""

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
MAXIMUM_TRIES = 60


@dataclass
class FaultRun:
    """What was asked for, what was answered, and what the account holds."""

    deals: dict[str, str] = field(default_factory=dict)
    """Name to id, of every 201."""
    tickets: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Subject to the ticket's and its deal's id, of every 201."""
    owners: dict[str, str] = field(default_factory=dict)
    """Name or subject to the contact it is for."""
    answers: Counter[str] = field(default_factory=Counter)

    async def create_all(self, callers: list[Caller], *, deals: int, tickets: int) -> None:
        """Each caller creates their share, and repeats what failed with the same key."""
        numbers = itertools.count()
        left = {"deals": deals, "tickets": tickets}

        async def work(caller: Caller) -> None:
            own: list[str] = []
            while left["deals"] or left["tickets"]:
                if left["deals"] and (not own or left["deals"] >= left["tickets"]):
                    left["deals"] -= 1
                    own.append(await self._create_deal(caller, f"deal {next(numbers)}"))
                elif left["tickets"]:
                    left["tickets"] -= 1
                    await self._create_ticket(caller, f"ticket {next(numbers)}", own[-1])

        await asyncio.gather(*(work(caller) for caller in callers))

    async def reached(self, *, deals: int) -> None:
        """Wait until so many deals are there."""
        while len(self.deals) < deals:  # noqa: ASYNC110 - tests may look now and then
            await asyncio.sleep(0.01)

    async def _create_deal(self, caller: Caller, name: str) -> str:
        answer = await self._until_created(caller, "/api/deals", deal_body(dealname=name), name)
        self.deals[name] = str(answer["deal"]["id"])
        self.owners[name] = caller.contact_id
        return self.deals[name]

    async def _create_ticket(self, caller: Caller, subject: str, deal_id: str) -> None:
        answer = await self._until_created(
            caller, f"/api/tickets/{deal_id}", ticket_body(subject=subject), subject
        )
        self.tickets[subject] = (str(answer["ticket"]["id"]), deal_id)
        self.owners[subject] = caller.contact_id

    async def _until_created(
        self, caller: Caller, path: str, body: dict[str, Any], key: str
    ) -> dict[str, Any]:
        headers = {"Idempotency-Key": key.replace(" ", "-")}
        for _ in range(MAXIMUM_TRIES):
            try:
                answer = await caller.post(path, body, headers=headers)
            except httpx.TransportError:
                self.answers["our answer lost"] += 1
                continue
            self.answers[f"{answer.status_code} {answer.json().get('code', '')}".strip()] += 1
            if answer.status_code == 201:
                data: dict[str, Any] = answer.json()["data"]
                return data
            assert answer.status_code in (409, 502, 503, 504), answer.text
            await asyncio.sleep(min(0.2, float(answer.headers.get("retry-after", 0))))
        raise AssertionError(f"{key} did not converge: {answer.text}")

    def check(self, emulator: Emulator) -> None:
        """Every record exists exactly once with its associations, and nothing else does."""
        names = Counter(record.properties["dealname"] for record in emulator.records("deals"))
        assert names == Counter(dict.fromkeys(self.deals, 1))
        for record in emulator.records("deals"):
            name = record.properties["dealname"]
            assert name is not None
            assert record.id == self.deals[name]
            assert emulator.associations("deals", record.id, "contacts") == [self.owners[name]]
        subjects = Counter(record.properties["subject"] for record in emulator.records("tickets"))
        assert subjects == Counter(dict.fromkeys(self.tickets, 1))
        for record in emulator.records("tickets"):
            subject = record.properties["subject"]
            assert subject is not None
            ticket_id, deal_id = self.tickets[subject]
            assert record.id == ticket_id
            assert emulator.associations("tickets", record.id, "contacts") == [self.owners[subject]]
            assert emulator.associations("tickets", record.id, "deals") == [deal_id]
