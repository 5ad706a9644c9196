"""Random HubSpot accounts: responses hold all visible records and properties, and no others."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, event, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from sqlalchemy import update
from tests.support.callers import Caller
from tests.support.records import list_all, search_all

from crm_api.models import User
from crm_api.services.properties.categories import TICKET_CATEGORIES
from crm_api.services.properties.fields import RecordFields
from crm_api.settings import Settings
from hubspot_emulator import Emulator

SECRET = "hidden-from-everybody"
BASE = {
    "contacts": {
        "email",
        "firstname",
        "lastname",
        "phone",
        "lifecyclestage",
        "createdate",
        "lastmodifieddate",
    },
    "deals": {
        "dealname",
        "dealstage",
        "pipeline",
        "amount",
        "closedate",
        "description",
        "createdate",
        "hs_lastmodifieddate",
        "currency",
        "contact_ids",
    },
    "tickets": {
        "contact_ids",
        "deal_ids",
        "subject",
        "description",
        "category",
        "pipeline",
        "hs_pipeline_stage",
        "hs_ticket_priority",
        "createdate",
        "hs_lastmodifieddate",
    },
}
EVERY_RECORD = {"id", "hs_object_id", "properties"}
NESTED = {"deals", "tickets", "incomplete"}
# Properties that an operator may add, and properties that hold the secret.
ADDABLE = {
    "contacts": ["jobtitle", "company", "hs_lead_status"],
    "deals": ["dealtype", "hs_priority"],
    "tickets": ["source_type"],
}
HIDDEN = {
    "contacts": {"city": SECRET, "message": SECRET},
    "deals": {"hs_next_step": SECRET, "closed_lost_reason": SECRET},
    "tickets": {},
}


@dataclass
class Plan:
    """A HubSpot account: for each deal its contacts, for each ticket its contacts and deals (by index)."""

    contacts: int
    deals: list[tuple[set[int], dict[str, str]]]
    tickets: list[tuple[set[int], set[int], dict[str, str]]]
    added: dict[str, dict[str, list[str]]]


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    contacts = draw(st.integers(2, 4))
    # The first contact is the customer's; about half of the records are associated with it.
    others = st.sets(st.integers(1, contacts - 1), max_size=2)
    some = st.tuples(st.booleans(), others).map(lambda drawn: drawn[1] | ({0} if drawn[0] else set()))
    deals = draw(
        st.lists(
            st.tuples(
                some,
                st.fixed_dictionaries(
                    {"dealname": st.sampled_from(["alpha", "beta", "Alpha vans"])},
                    optional={
                        "amount": st.sampled_from(["1", "2.50", "1000"]),
                        "description": st.just("alpha too"),
                    },
                ),
            ),
            min_size=draw(st.sampled_from([0, 3])),
            max_size=6,
        )
    )
    tickets = draw(
        st.lists(
            st.tuples(
                some | st.just(set()),
                st.sets(st.sampled_from(range(len(deals))), max_size=2) if deals else st.just(set()),
                st.fixed_dictionaries({"subject": st.sampled_from(["alpha", "gamma"])}),
            ),
            min_size=draw(st.sampled_from([0, 3])),
            max_size=6,
        )
    )
    added = {
        object_type: {"readable": draw(st.lists(st.sampled_from(names), unique=True))}
        for object_type, names in ADDABLE.items()
    }
    return Plan(contacts, deals, tickets, added)


@dataclass
class Account:
    """The plan as created in the emulator, by record ID."""

    contacts: list[str]
    deals: dict[str, set[str]] = field(default_factory=dict)
    """Contacts of each deal."""
    tickets: dict[str, tuple[set[str], set[str]]] = field(default_factory=dict)
    """Contacts and deals of each ticket."""

    def visible(self, contact_id: str | None) -> dict[str, set[str]]:
        """Return the IDs of the records that the contact may see; of all records for None (staff)."""
        if contact_id is None:
            return {
                "contacts": set(self.contacts),
                "deals": set(self.deals),
                "tickets": set(self.tickets),
            }
        deals = {deal for deal, contacts in self.deals.items() if contact_id in contacts}
        tickets = {
            ticket
            for ticket, (contacts, deals_of_ticket) in self.tickets.items()
            if contact_id in contacts or deals_of_ticket & deals
        }
        return {"contacts": {contact_id}, "deals": deals, "tickets": tickets}


def build(emulator: Emulator, plan: Plan) -> Account:
    emulator.reset()
    contacts = [
        {"email": f"c{index}@example.com", "firstname": "Al"} | HIDDEN["contacts"]
        for index in range(plan.contacts)
    ]
    account = Account(emulator.seed({"contacts": contacts})["contacts"])
    for contact_indexes, properties in plan.deals:
        deal = {"dealstage": "qualifiedtobuy", "pipeline": "default"} | properties | HIDDEN["deals"]
        [deal_id] = emulator.seed({"deals": [deal]})["deals"]
        account.deals[deal_id] = {account.contacts[index] for index in contact_indexes}
        for contact_id in account.deals[deal_id]:
            emulator.link(("deals", deal_id), ("contacts", contact_id))
    deal_ids = list(account.deals)
    for contact_indexes, deal_indexes, properties in plan.tickets:
        ticket = {"hs_pipeline": "0", "hs_pipeline_stage": "1"} | properties | HIDDEN["tickets"]
        [ticket_id] = emulator.seed({"tickets": [ticket]})["tickets"]
        account.tickets[ticket_id] = (
            {account.contacts[index] for index in contact_indexes},
            {deal_ids[index] for index in deal_indexes},
        )
        for contact_id in account.tickets[ticket_id][0]:
            emulator.link(("tickets", ticket_id), ("contacts", contact_id))
        for deal_id in account.tickets[ticket_id][1]:
            emulator.link(("tickets", ticket_id), ("deals", deal_id))
    return account


def records_in(node: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every record of a response, at any depth, with its type."""
    if isinstance(node, list):
        for item in node:
            yield from records_in(item)
    elif isinstance(node, dict):
        if "hs_object_id" in node:
            markers = {"dealname": "deals", "subject": "tickets"}
            yield next((markers[name] for name in markers if name in node), "contacts"), node
        for item in node.values():
            yield from records_in(item)


def check(response: Any, plan: Plan, visible: dict[str, set[str]]) -> None:
    assert SECRET not in json.dumps(response)
    for object_type, record in records_in(response):
        assert record["id"] in visible[object_type]
        assert BASE[object_type] | EVERY_RECORD <= set(record) <= BASE[object_type] | EVERY_RECORD | NESTED
        assert set(record["properties"]) == set(plan.added[object_type]["readable"])


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Switch off rate limits, because each example exceeds them."""
    return settings.model_copy(update={"rate_limit_enabled": False})


@examples(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(plan=plans(), limit=st.integers(1, 3))
async def test_lists_return_exactly_the_callers_visible_records(
    app: FastAPI, emulator: Emulator, customer: Caller, staff: Caller, plan: Plan, limit: int
) -> None:
    account = build(emulator, plan)
    app.state.record_fields = RecordFields(TICKET_CATEGORIES, plan.added)
    async with app.state.session_factory.begin() as database:
        await database.execute(update(User).values(contact_id=None))
        await database.execute(
            update(User).where(User.email == customer.email).values(contact_id=account.contacts[0])
        )
    of_customer = account.visible(account.contacts[0])
    event(f"a customer with {len(of_customer['deals'])} deals and {len(of_customer['tickets'])} tickets")
    event(f"{len(account.deals) - len(of_customer['deals'])} deals of others")
    for caller, contact_id in ((customer, account.contacts[0]), (staff, None)):
        visible = account.visible(contact_id)
        for object_type, expected in visible.items():
            for listed in (
                await list_all(caller, f"/api/{object_type}", limit=limit),
                await list_all(caller, f"/api/{object_type}", limit=limit, sort="-createdate"),
                await search_all(caller, f"/api/{object_type}/search", limit=limit),
            ):
                check(listed, plan, visible)
                # Each record is listed exactly once.
                assert sorted(record["id"] for record in listed) == sorted(expected)
            for record_id in account.visible(None)[object_type]:
                response = await caller.get(f"/api/{object_type}/{record_id}")
                assert response.status_code == (200 if record_id in expected else 404)
                check(response.json(), plan, visible)
                # An update without changes returns the record too.
                response = await caller.patch(f"/api/{object_type}/{record_id}", {})
                assert response.status_code == (200 if record_id in expected else 404)
                check(response.json(), plan, visible)
        check((await caller.get("/api/search", params={"q": "al"})).json(), plan, visible)
        check((await caller.get("/api/me/export")).json(), plan, visible)
        cursor: str | None = None
        seen: list[str] = []
        while True:
            params = {"limit": limit} | ({"cursor": cursor} if cursor else {})
            page = (await caller.get("/api/new-crm-objects", params=params)).json()["data"]["data"]
            check(page, plan, visible)
            seen += [contact["id"] for contact in page["contacts"]]
            cursor = page["next_after"]
            if cursor is None:
                break
        assert sorted(seen) == sorted(visible["contacts"])
