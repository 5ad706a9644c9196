"""Random merges, archives, restores, stray 404s, new contacts and logins: each customer lists exactly their deals."""

import asyncio
import random
from dataclasses import dataclass, field

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import update
from tests.support.builders import PASSWORD, deal_body, ticket_body
from tests.support.callers import Caller, register_caller
from tests.support.clock import UtcClock
from tests.support.records import seed_deals

from crm_api.models import User
from crm_api.services.link_resolver import ContactLinkResolver
from crm_api.settings import Settings
from hubspot_emulator import Emulator

STEPS = 120
CONTACT_READS = "/crm/objects/*/contacts/*"


@dataclass
class Model:
    """Expected links: for each customer the ID of their contact and the rank of their link; earlier links win."""

    emulator: Emulator
    contact_ids: dict[str, str | None] = field(default_factory=dict)
    ranks: dict[str, int] = field(default_factory=dict)
    abandoned: set[str] = field(default_factory=set)
    """Archived contacts whose user has a new one."""

    def link(self, email: str, contact_id: str) -> None:
        self.contact_ids[email] = contact_id
        self.ranks[email] = len(self.ranks) + max(self.ranks.values(), default=0)

    def current_id(self, email: str) -> str | None:
        """Return the ID of the contact after merges, None if the link has ended."""
        contact_id = self.contact_ids[email]
        record = self.emulator.record("contacts", contact_id) if contact_id else None
        return record.id if record else None

    def end_later_links(self) -> None:
        """After a merge, end all links to the surviving contact except the earliest."""
        current = {email: self.current_id(email) for email in self.contact_ids}
        for email, contact_id in current.items():
            if any(
                contact_id == current[other] and self.ranks[other] < self.ranks[email]
                for other in current
                if other != email
            ):
                self.contact_ids[email] = None

    def is_lost(self, email: str) -> bool:
        contact_id = self.current_id(email)
        record = self.emulator.record("contacts", contact_id) if contact_id else None
        return record is not None and record.archived

    def deals(self, email: str) -> set[str]:
        contact_id = self.current_id(email)
        return set(self.emulator.associations("contacts", contact_id, "deals")) if contact_id else set()


class Run:
    """One random run."""

    def __init__(self, dice: random.Random, app: FastAPI, emulator: Emulator, clock: UtcClock) -> None:
        self.dice, self.app, self.emulator, self.clock = dice, app, emulator, clock
        self.model = Model(emulator)
        self.callers: dict[str, Caller] = {}
        self.verified: set[str] = set()

    async def register(self, client: httpx.AsyncClient) -> None:
        for number in range(4):
            caller = await register_caller(client, f"customer{number}@example.com")
            self.callers[caller.email] = caller
            self.model.link(caller.email, caller.contact_id)
            seed_deals(self.emulator, caller.contact_id, number + 1)
            if number % 2:
                self.verified.add(caller.email)
        async with self.app.state.session_factory.begin() as database:
            verified = update(User).where(User.email.in_(self.verified)).values(email_verified=True)
            await database.execute(verified)

    async def step(self) -> None:
        actions = [self.merge, self.archive, self.restore, self.create_again, self.stray_404]
        actions += [
            self.log_in,
            self.wait,
            self.list_at_once,
            self.create_deal,
            self.create_ticket,
            self.rename,
        ]
        await self.dice.choice([*actions, self.list_at_once, self.wait])()

    def live(self) -> list[str]:
        return [record.id for record in self.emulator.records("contacts")]

    async def merge(self) -> None:
        live = self.live()
        # Few merges, so that several links survive.
        if len(live) > 1 and self.dice.random() < 0.3:
            with_other = self.dice.random() < 0.5
            if with_other:
                [other] = self.emulator.seed({"contacts": [{"firstname": "Other"}]})["contacts"]
                live = [other, self.dice.choice(live)]
            self.emulator.switches.merge_keeps_primary_id = with_other and self.dice.random() < 0.5
            self.emulator.merge("contacts", *self.dice.sample(live, 2))
            self.model.end_later_links()

    async def archive(self) -> None:
        if self.live():
            self.emulator.archive_as_other_actor("contacts", self.dice.choice(self.live()))

    async def restore(self) -> None:
        lost = {self.model.current_id(email) for email in self.callers if self.model.is_lost(email)}
        for contact_id in lost - self.model.abandoned:
            assert contact_id is not None
            self.emulator.restore_as_other_actor("contacts", contact_id)

    async def create_again(self) -> None:
        """Create a new contact with the verified address of a customer whose contact is archived."""
        for email in self.verified:
            if self.model.is_lost(email) and self.dice.random() < 0.3:
                self.model.abandoned.add(str(self.model.current_id(email)))
                [contact_id] = self.emulator.seed({"contacts": [{"email": email}]})["contacts"]
                seed_deals(self.emulator, contact_id, 1)
                self.model.link(email, contact_id)
                self.emulator.reset_faults()
                self.clock.seconds += 300
                await self.list_deals(email)

    async def stray_404(self) -> None:
        self.emulator.fail_next("GET", CONTACT_READS, status=404, times=self.dice.choice([1, 2, 3]))

    async def wait(self) -> None:
        self.clock.seconds += self.dice.choice([1, 2, 5, 60, 300])

    async def log_in(self) -> None:
        caller = self.any_caller()
        self.callers[caller.email] = await Caller.log_in(
            caller.client, caller.email, PASSWORD, contact_id=caller.contact_id
        )

    async def list_at_once(self) -> None:
        await asyncio.gather(*(self.list_deals(email) for email in self.callers))

    async def list_deals(self, email: str, *, may_be_unavailable: bool = True) -> None:
        """Check the list: exactly the customer's deals, or a 503."""
        response = await self.callers[email].get("/api/deals")
        if response.status_code == 503 and (may_be_unavailable or self.model.is_lost(email)):
            assert int(response.headers["retry-after"]) >= 1
            return
        assert response.status_code == 200, response.text
        assert not self.model.is_lost(email)
        assert {deal["id"] for deal in response.json()["data"]["results"]} == self.model.deals(email)

    async def create_deal(self) -> None:
        caller = self.any_caller()
        contact_id = self.model.current_id(caller.email)
        key = {"Idempotency-Key": f"deal-{self.dice.random()}"}
        response = await caller.post("/api/deals", deal_body(), headers=key)
        if response.status_code == 201:
            deal_id = response.json()["data"]["id"]
            assert self.emulator.associations("deals", deal_id, "contacts") == [contact_id]
        else:
            assert response.status_code in (409, 503), response.text
            self.emulator.reset_faults()
            self.clock.seconds += 300
            again = await caller.post("/api/deals", deal_body(), headers=key)
            has_contact = contact_id is not None and not self.model.is_lost(caller.email)
            assert again.status_code == (201 if has_contact else 409), again.text

    async def create_ticket(self) -> None:
        caller = self.any_caller()
        deal_id = self.dice.choice(self.emulator.records("deals")).id
        response = await caller.post(f"/api/tickets/{deal_id}", ticket_body())
        if response.status_code == 201:
            ticket_id = response.json()["data"]["id"]
            contact_id = self.model.current_id(caller.email)
            assert self.emulator.associations("tickets", ticket_id, "contacts") == [contact_id]
            assert deal_id in self.model.deals(caller.email)
        elif response.status_code == 404:
            assert deal_id not in self.model.deals(caller.email)
        else:
            assert response.status_code in (409, 503), response.text

    async def rename(self) -> None:
        caller = self.any_caller()
        own_id = self.model.current_id(caller.email)
        before = {
            record.id: record.properties.get("firstname") for record in self.emulator.records("contacts")
        }
        response = await caller.patch("/api/me", {"firstname": "".join(self.dice.choices("abcdef", k=9))})
        assert response.status_code in (200, 503), response.text
        for record in self.emulator.records("contacts"):
            assert record.id == own_id or record.properties.get("firstname") == before[record.id]

    def any_caller(self) -> Caller:
        return self.callers[self.dice.choice(list(self.callers))]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"rate_limit_enabled": False})


@pytest.mark.parametrize("seed", range(8))
async def test_customers_list_exactly_own_deals_after_random_changes(
    client: httpx.AsyncClient, app: FastAPI, emulator: Emulator, seed: int
) -> None:
    clock = UtcClock()
    app.state.contact_links = ContactLinkResolver(app.state.session_factory, utc_clock=clock)
    run = Run(random.Random(seed), app, emulator, clock)
    await run.register(client)
    for _ in range(STEPS):
        await run.step()
    emulator.reset_faults()
    clock.seconds += 300
    for email in run.callers:
        await run.list_deals(email, may_be_unavailable=False)
