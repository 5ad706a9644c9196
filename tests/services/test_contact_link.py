"""Link resolution after contacts were merged, deleted or created again."""

from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import select, update
from tests.support.builders import PASSWORD, deal_body, registration_body, ticket_body
from tests.support.callers import Caller, assert_problem, register_caller
from tests.support.clock import UtcClock

from crm_api.models import AuditEntry, User
from crm_api.services.accounts.links import link_contact, unlink_contact
from crm_api.services.audit import OPERATOR
from crm_api.services.link_resolver import ContactLinkResolver
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


@pytest.fixture
def clock(app: FastAPI) -> UtcClock:
    clock = UtcClock()
    app.state.contact_links = ContactLinkResolver(app.state.session_factory, utc_clock=clock)
    return clock


def assert_lost(response: httpx.Response) -> str:
    """Assert that the response is the 503 of a lost link, and return its Retry-After."""
    assert_problem(response, 503, "hubspot_unavailable")
    return str(response.headers["retry-after"])


class TestMergedContact:
    async def test_overview_shows_surviving_contact_after_merge(
        self, customer: Caller, app: FastAPI, emulator: Emulator
    ) -> None:
        await customer.post("/api/deals", deal_body())
        survivor = emulator.merge("contacts", other_contact(emulator), customer.contact_id)
        [contact] = (await customer.get("/api/new-crm-objects")).json()["data"]["data"]["contacts"]
        assert contact["id"] == survivor
        assert [deal["dealname"] for deal in contact["deals"]] == ["Fleet renewal"]
        assert await contact_of(customer) == survivor
        assert "contact_linked" in await audit(app)

    async def test_ticket_after_merge_is_associated_with_surviving_contact(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        [deal_id] = emulator.seed({"deals": [{"dealname": "D", "dealstage": "qualifiedtobuy"}]})["deals"]
        emulator.link(("contacts", customer.contact_id), ("deals", deal_id))
        survivor = emulator.merge("contacts", other_contact(emulator), customer.contact_id)
        response = await customer.post(f"/api/tickets/{deal_id}", ticket_body())
        assert response.status_code == 201, response.text
        [ticket] = emulator.records("tickets")
        assert emulator.associations("tickets", ticket.id, "contacts") == [survivor]

    async def test_merge_of_two_users_contacts_keeps_only_earlier_link(
        self, customer: Caller, other_customer: Caller, app: FastAPI, emulator: Emulator
    ) -> None:
        survivor = emulator.merge("contacts", other_customer.contact_id, customer.contact_id)
        # The customer registered first, so their link is the earlier one.
        page = (await other_customer.get("/api/new-crm-objects")).json()["data"]["data"]
        assert page["contacts"] == []
        [contact] = (await customer.get("/api/new-crm-objects")).json()["data"]["data"]["contacts"]
        assert contact["id"] == survivor
        assert await contact_of(customer) == survivor
        assert await contact_of(other_customer) is None
        refused = await other_customer.post("/api/deals", deal_body())
        assert_problem(refused, 409, "contact_missing")
        assert "retry-after" not in refused.headers
        assert "contact_link_lost" in await audit(app)

    @pytest.mark.parametrize("keeps_id", [False, True])
    async def test_user_whose_link_ended_cannot_write_to_merged_contact(
        self, customer: Caller, other_customer: Caller, emulator: Emulator, keeps_id: bool
    ) -> None:
        emulator.switches.merge_keeps_primary_id = keeps_id
        survivor = emulator.merge("contacts", other_customer.contact_id, customer.contact_id)
        emulator.edit_as_other_actor("contacts", survivor, {"firstname": "Ada"})
        await other_customer.patch("/api/me", {"firstname": "Eve"})
        assert_problem(await other_customer.post("/api/deals", deal_body()), 409, "contact_missing")
        own = await other_customer.patch(f"/api/contacts/{other_customer.contact_id}", {"firstname": "Eve"})
        assert_problem(own, 404, "not_found")
        [contact] = emulator.records("contacts")
        assert contact.properties["firstname"] == "Ada"
        assert emulator.records("deals") == []
        assert (await customer.post("/api/deals", deal_body())).status_code == 201
        assert len((await customer.get("/api/deals")).json()["data"]["results"]) == 1

    async def test_deal_list_is_complete_after_a_404_and_a_merge(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        deal_id = (await customer.post("/api/deals", deal_body())).json()["data"]["id"]
        assert_problem(await customer.get("/api/deals/99999999"), 404, "not_found")
        emulator.merge("contacts", other_contact(emulator), customer.contact_id)
        key = {"Idempotency-Key": "after-the-merge"}
        created = await customer.post(f"/api/tickets/{deal_id}", ticket_body(), headers=key)
        assert created.status_code == 201, created.text
        assert (await customer.get(f"/api/deals/{deal_id}")).status_code == 200
        assert len((await customer.get("/api/deals")).json()["data"]["results"]) == 1


class TestDeletedContact:
    async def test_user_with_verified_email_is_linked_to_new_contact(
        self, customer: Caller, app: FastAPI, emulator: Emulator
    ) -> None:
        await prove_email(app, customer)
        emulator.archive_as_other_actor("contacts", customer.contact_id)
        [new_contact] = emulator.seed({"contacts": [{"email": customer.email}]})["contacts"]
        response = await customer.post("/api/deals", deal_body())
        assert response.status_code == 201, response.text
        assert emulator.associations("deals", response.json()["data"]["id"], "contacts") == [new_contact]
        assert await contact_of(customer) == new_contact

    async def test_user_with_unverified_email_is_not_linked_to_new_contact(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        emulator.archive_as_other_actor("contacts", customer.contact_id)
        emulator.seed({"contacts": [{"email": customer.email}]})
        assert_problem(await customer.post("/api/deals", deal_body()), 409, "contact_missing")
        assert emulator.records("deals") == []

    async def test_contact_merged_into_other_users_contact_is_not_linked(
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
        assert_lost(await customer.get("/api/new-crm-objects"))
        assert await contact_of(customer) is None
        assert_problem(await customer.post("/api/tickets/1", ticket_body()), 409, "contact_missing")
        assert emulator.records("contacts") == []


class TestLostContact:
    @pytest.mark.parametrize(
        "path", ["/api/deals", "/api/contacts", "/api/tickets/1", "/api/search?q=x", "/api/me/export"]
    )
    async def test_reads_return_503_after_contact_is_archived(
        self, customer: Caller, emulator: Emulator, path: str
    ) -> None:
        emulator.archive_as_other_actor("contacts", customer.contact_id)
        for _ in range(2):
            assert_lost(await customer.get(path))

    async def test_restored_contact_is_linked_again_after_backoff(
        self, customer: Caller, app: FastAPI, emulator: Emulator, clock: UtcClock
    ) -> None:
        await customer.post("/api/deals", deal_body())
        emulator.archive_as_other_actor("contacts", customer.contact_id)
        waits = []
        while clock.seconds < 1500:
            waits.append(int(assert_lost(await customer.get("/api/deals"))))
            emulator.clear_requests()
            assert_lost(await customer.get("/api/deals"))
            assert emulator.requests == []  # the lookup waits for the backoff
            clock.seconds += waits[-1]
        assert waits == [2, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300, 300]
        emulator.restore_as_other_actor("contacts", customer.contact_id)
        assert len((await customer.get("/api/deals")).json()["data"]["results"]) == 1
        assert await contact_of(customer) == customer.contact_id
        assert (await audit(app))[-1] == "contact_linked"

    async def test_login_triggers_a_lookup_of_the_lost_contact(
        self, customer: Caller, emulator: Emulator, clock: UtcClock
    ) -> None:
        emulator.fail_next("GET", "/crm/objects/*/contacts/*", status=404, times=2)
        assert_lost(await customer.get("/api/deals"))
        assert_lost(await customer.get("/api/deals"))
        again = await Caller.log_in(customer.client, customer.email, PASSWORD, contact_id=customer.contact_id)
        assert (await again.get("/api/deals")).status_code == 200

    async def test_contact_created_again_is_linked_after_backoff(
        self, customer: Caller, app: FastAPI, emulator: Emulator, clock: UtcClock
    ) -> None:
        await prove_email(app, customer)
        emulator.archive_as_other_actor("contacts", customer.contact_id)
        assert_lost(await customer.get("/api/deals"))
        [new_contact] = emulator.seed({"contacts": [{"email": customer.email}]})["contacts"]
        clock.seconds += 2
        assert (await customer.get("/api/deals")).status_code == 200
        assert await contact_of(customer) == new_contact

    async def test_lost_contact_is_not_linked_to_user_with_its_new_email(
        self, customer: Caller, emulator: Emulator, clock: UtcClock
    ) -> None:
        """The lost contact comes back with the address of a person who then registers."""
        emulator.archive_as_other_actor("contacts", customer.contact_id)
        assert_lost(await customer.get("/api/deals"))
        emulator.restore_as_other_actor("contacts", customer.contact_id)
        emulator.edit_as_other_actor("contacts", customer.contact_id, {"email": "other@example.com"})
        body = registration_body(email="other@example.com")
        registered = await customer.client.post("/api/register", json=body)
        assert registered.json()["data"]["contact"] is None
        clock.seconds += 2
        assert (await customer.get("/api/deals")).status_code == 200

    async def test_409_for_lost_contact_link_is_not_replayed(
        self, customer: Caller, emulator: Emulator, clock: UtcClock
    ) -> None:
        emulator.archive_as_other_actor("contacts", customer.contact_id)
        key = {"Idempotency-Key": "while-it-is-lost"}
        refused = await customer.post("/api/deals", deal_body(), headers=key)
        assert_problem(refused, 409, "contact_missing")
        assert int(refused.headers["retry-after"]) == 2
        assert_lost(await customer.patch("/api/me", {"firstname": "Augusta"}))
        emulator.restore_as_other_actor("contacts", customer.contact_id)
        clock.seconds += 2
        created = await customer.post("/api/deals", deal_body(), headers=key)
        assert created.status_code == 201, created.text

    async def test_409_for_unlinked_user_is_not_replayed(self, customer: Caller, app: FastAPI) -> None:
        sessions, email, key = app.state.session_factory, customer.email, {"Idempotency-Key": "before-link"}
        assert await unlink_contact(sessions, email, origin=OPERATOR)
        refused = await customer.post("/api/deals", deal_body(), headers=key)
        assert_problem(refused, 409, "contact_missing")
        await link_contact(sessions, app.state.hubspot, email, customer.contact_id, origin=OPERATOR)
        assert (await customer.post("/api/deals", deal_body(), headers=key)).status_code == 201

    async def test_one_hubspot_404_for_existing_contact_still_returns_200(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        emulator.fail_next("GET", "/crm/objects/*/contacts/*", status=404)
        assert (await customer.get("/api/deals")).status_code == 200
        path = f"/api/contacts/{customer.contact_id}"
        emulator.fail_next("GET", "/crm/objects/*/contacts/*", status=404)
        assert (await customer.get(path)).status_code == 200


async def test_ticket_on_foreign_or_missing_deal_makes_2_hubspot_calls(
    customer: Caller, other_customer: Caller, emulator: Emulator
) -> None:
    deal_id = (await other_customer.post("/api/deals", deal_body())).json()["data"]["id"]
    for target in (deal_id, "99999999", deal_id):
        emulator.clear_requests()
        assert_problem(await customer.post(f"/api/tickets/{target}", ticket_body()), 404, "not_found")
        assert len(emulator.requests) == 2


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
