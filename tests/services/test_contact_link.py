"""Link resolution after contacts were merged, deleted or created again."""

from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import select, update
from tests.support.builders import deal_body, ticket_body
from tests.support.callers import Caller, assert_problem, register_caller

from crm_api.models import AuditEntry, User
from hubspot_emulator import Emulator


async def contact_of(caller: Caller) -> Any:
    return (await caller.get("/api/me")).json()["data"]["contact_id"]


async def audit(app: FastAPI) -> list[str]:
    async with app.state.session_factory() as database:
        return list((await database.execute(select(AuditEntry.event).order_by(AuditEntry.at))).scalars())


async def prove_email(app: FastAPI, caller: Caller) -> None:
    async with app.state.session_factory.begin() as database:
        await database.execute(update(User).where(User.email == caller.email).values(email_verified=True))


def other_contact(emulator: Emulator) -> str:
    return emulator.seed({"contacts": [{"email": "other@example.com"}]})["contacts"][0]


class TestMergedContact:
    async def test_lists_use_surviving_contact_after_merge(
        self, customer: Caller, app: FastAPI, emulator: Emulator
    ) -> None:
        await customer.post("/api/deals", deal_body())
        survivor = emulator.merge("contacts", other_contact(emulator), customer.contact_id)
        [contact] = (await customer.get("/api/new-crm-objects")).json()["data"]["data"]["contacts"]
        assert contact["id"] == survivor
        assert [deal["dealname"] for deal in contact["deals"]] == ["Fleet renewal"]
        assert await contact_of(customer) == survivor
        assert "contact_linked" in await audit(app)

    async def test_ticket_on_own_deal_works_after_merge(self, customer: Caller, emulator: Emulator) -> None:
        [deal_id] = emulator.seed({"deals": [{"dealname": "D", "dealstage": "qualifiedtobuy"}]})["deals"]
        emulator.link(("contacts", customer.contact_id), ("deals", deal_id))
        survivor = emulator.merge("contacts", other_contact(emulator), customer.contact_id)
        response = await customer.post(f"/api/tickets/{deal_id}", ticket_body())
        assert response.status_code == 201, response.text
        [ticket] = emulator.records("tickets")
        assert emulator.associations("tickets", ticket.id, "contacts") == [survivor]

    async def test_merge_of_two_users_contacts_keeps_one_contact_link(
        self, customer: Caller, other_customer: Caller, app: FastAPI, emulator: Emulator
    ) -> None:
        survivor = emulator.merge("contacts", other_customer.contact_id, customer.contact_id)
        assert (await other_customer.get("/api/new-crm-objects")).json()["data"]["data"]["contacts"][0][
            "id"
        ] == survivor
        page = (await customer.get("/api/new-crm-objects")).json()["data"]["data"]
        assert page["contacts"] == []
        assert await contact_of(other_customer) == survivor
        assert await contact_of(customer) is None
        assert_problem(await customer.post("/api/deals", deal_body()), 409, "contact_missing")
        assert "contact_link_lost" in await audit(app)


class TestDeletedContact:
    async def test_user_with_verified_email_is_linked_to_new_contact(
        self, customer: Caller, app: FastAPI, emulator: Emulator
    ) -> None:
        await prove_email(app, customer)
        emulator.archive_as_other_actor("contacts", customer.contact_id)
        [new_contact] = emulator.seed({"contacts": [{"email": customer.email}]})["contacts"]
        response = await customer.post("/api/deals", deal_body())
        assert response.status_code == 201, response.text
        assert emulator.associations("deals", response.json()["data"]["deal"]["id"], "contacts") == [
            new_contact
        ]
        assert await contact_of(customer) == new_contact

    async def test_user_with_unverified_email_is_not_linked_again(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        emulator.archive_as_other_actor("contacts", customer.contact_id)
        emulator.seed({"contacts": [{"email": customer.email}]})
        assert_problem(await customer.post("/api/deals", deal_body()), 409, "contact_missing")
        assert emulator.records("deals") == []

    async def test_contact_merged_into_another_users_one_is_not_linked(
        self, customer: Caller, other_customer: Caller, app: FastAPI, emulator: Emulator
    ) -> None:
        """The other user is still linked to the ID that the merge replaced."""
        await prove_email(app, customer)
        emulator.archive_as_other_actor("contacts", customer.contact_id)
        [new_contact] = emulator.seed({"contacts": [{"email": customer.email}]})["contacts"]
        survivor = emulator.merge("contacts", new_contact, other_customer.contact_id)
        assert_problem(await customer.post("/api/deals", deal_body()), 409, "contact_missing")
        assert await contact_of(customer) is None
        assert (await other_customer.post("/api/deals", deal_body())).status_code == 201
        await other_customer.get("/api/new-crm-objects")
        assert await contact_of(other_customer) == survivor

    async def test_deleted_contact_is_not_created_again(
        self, customer: Caller, app: FastAPI, emulator: Emulator
    ) -> None:
        await prove_email(app, customer)
        emulator.archive_as_other_actor("contacts", customer.contact_id)
        page = (await customer.get("/api/new-crm-objects")).json()["data"]["data"]
        assert page == {"contacts": [], "next_after": None}
        assert await contact_of(customer) is None
        assert_problem(await customer.post("/api/tickets/1", ticket_body()), 409, "contact_missing")
        assert emulator.records("contacts") == []


async def test_404s_trigger_one_contact_link_check_per_minute(
    customer: Caller, other_customer: Caller, emulator: Emulator
) -> None:
    deal_id = (await other_customer.post("/api/deals", deal_body())).json()["data"]["deal"]["id"]
    emulator.clear_requests()
    for target in (deal_id, "99999999", deal_id):
        assert_problem(await customer.post(f"/api/tickets/{target}", ticket_body()), 404, "not_found")
    lookups = [request for request in emulator.requests if "/contacts/" in request.path]
    assert len(lookups) == 1


@pytest.mark.parametrize("taken", [True, False])
async def test_secondary_email_of_another_users_contact_is_not_linked(
    customer: Caller, app: FastAPI, emulator: Emulator, taken: bool
) -> None:
    """HubSpot returns a 409 for a secondary address, with the ID of its contact."""
    second = emulator.seed({"contacts": [{"email": "second@example.com"}]})["contacts"][0]
    emulator.merge("contacts", customer.contact_id, second)
    await customer.get("/api/new-crm-objects")
    before = emulator.records("contacts")[0].properties["firstname"]
    if taken:
        response = await customer.client.post(
            "/api/register",
            json={
                "email": "second@example.com",
                "firstname": "Eve",
                "lastname": "Other",
                "password": "a lighthouse in the fog",
                "phone": "+1 555 010 0100",
            },
        )
        assert response.status_code == 201, response.text
        assert response.json()["data"]["contact"] is None
        assert emulator.records("contacts")[0].properties["firstname"] == before
    else:
        other = await register_caller(customer.client, "third@example.com")
        assert other.contact_id != customer.contact_id
