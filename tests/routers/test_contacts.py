"""Routes for contacts."""

from typing import Any

import httpx
import pytest
from tests.support.callers import Caller, assert_problem, assert_same_not_found
from tests.support.emulator_transport import EmulatorTransport
from tests.support.records import (
    calls,
    create_deal_as,
    create_ticket_as,
    duplicate_email_body,
    list_all,
    search_all,
    seed_deals,
    writes,
)

from hubspot_emulator import Emulator

KEYS = {
    "id",
    "hs_object_id",
    "email",
    "firstname",
    "lastname",
    "phone",
    "lifecyclestage",
    "createdate",
    "lastmodifieddate",
    "properties",
}
GRACE = {"email": "Grace@Example.com", "firstname": "Grace", "lastname": "Hopper", "phone": "+1 202 555 0101"}


class TestCreateContact:
    async def test_create_contact_without_token_returns_401(
        self, client: httpx.AsyncClient, emulator: Emulator
    ) -> None:
        assert_problem(await client.post("/api/contacts", json=GRACE), 401, "invalid_token")
        assert emulator.requests == []

    async def test_create_contact_as_customer_returns_403(self, customer: Caller, emulator: Emulator) -> None:
        emulator.clear_requests()
        assert_problem(await customer.post("/api/contacts", GRACE), 403, "forbidden")
        assert emulator.requests == []

    async def test_staff_create_a_contact_with_a_lifecycle_stage(
        self, staff: Caller, emulator: Emulator
    ) -> None:
        response = await staff.post("/api/contacts", GRACE | {"lifecyclestage": "customer"})
        assert response.status_code == 201, response.text
        assert response.json()["message"] == "Contact created successfully"
        contact = response.json()["data"]
        assert set(contact) == KEYS
        assert (contact["email"], contact["lifecyclestage"]) == ("grace@example.com", "customer")
        assert emulator.records("contacts")[-1].id == contact["id"]

    async def test_create_contact_with_existing_email_returns_409(
        self, staff: Caller, customer: Caller
    ) -> None:
        response = await staff.post("/api/contacts", GRACE | {"email": customer.email.upper()})
        problem = assert_problem(response, 409, "contact_exists")
        assert problem["error"] == "Contact already exists"

    async def test_hubspot_400_for_an_existing_email_returns_409(
        self, staff: Caller, customer: Caller, emulator: Emulator
    ) -> None:
        body = duplicate_email_body(customer.email, holder_id=customer.contact_id)
        emulator.fail_next("POST", "/crm/objects/*/contacts", status=400, body=body)
        answer = await staff.post("/api/contacts", GRACE | {"email": customer.email})
        assert_problem(answer, 409, "contact_exists")
        emulator.fail_next("PATCH", "/crm/objects/*/contacts/*", status=400, body=body)
        answer = await staff.patch(f"/api/contacts/{staff.contact_id}", {"email": customer.email})
        assert_problem(answer, 409, "contact_exists")

    async def test_contact_is_created_once_per_idempotency_key(
        self, staff: Caller, emulator: Emulator
    ) -> None:
        before = len(emulator.records("contacts"))
        headers = {"Idempotency-Key": "grace-1"}
        first = await staff.post("/api/contacts", GRACE, headers=headers)
        again = await staff.post("/api/contacts", GRACE, headers=headers)
        assert (first.content, again.headers["idempotency-replayed"]) == (again.content, "true")
        assert len(emulator.records("contacts")) == before + 1

    @pytest.mark.parametrize("kind", ["drop_after", "drop_before", "truncated_json"])
    async def test_lost_hubspot_response_creates_one_contact(
        self, staff: Caller, emulator: Emulator, kind: str
    ) -> None:
        emulator.fail_next("POST", "/crm/objects/*/contacts", kind=kind)
        assert (await staff.post("/api/contacts", GRACE)).status_code == 201
        assert emulator.used_faults()
        emails = [record.properties["email"] for record in emulator.records("contacts")]
        assert emails.count("grace@example.com") == 1

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"email": "grace"}, "email"),
            ({"email": "grace@@example.com"}, "email"),
            ({"email": None}, "email"),
            ({"firstname": ""}, "firstname"),
            ({"lifecyclestage": "friend"}, "lifecyclestage"),
            ({"hubspot_owner_id": "1"}, "hubspot_owner_id"),
            ({"properties": {"hubspot_owner_id": "1"}}, "properties.hubspot_owner_id"),
        ],
    )
    async def test_400_names_invalid_field_of_new_contact_without_a_write(
        self, staff: Caller, emulator: Emulator, change: dict[str, Any], field: str
    ) -> None:
        emulator.clear_requests()
        response = await staff.post("/api/contacts", GRACE | change)
        assert_problem(response, 400, "validation_error", fields=[field])
        assert writes(emulator) == []


class TestListContacts:
    async def test_list_contacts_without_token_returns_401(
        self, client: httpx.AsyncClient, emulator: Emulator
    ) -> None:
        assert_problem(await client.get("/api/contacts"), 401, "invalid_token")
        assert emulator.requests == []

    async def test_contact_list_of_customer_has_only_own_contact(
        self, customer: Caller, other_customer: Caller, emulator: Emulator
    ) -> None:
        [contact] = await list_all(customer, "/api/contacts")
        assert (contact["id"], set(contact)) == (customer.contact_id, KEYS)
        assert await list_all(customer, "/api/contacts", lifecyclestage="evangelist") == []

    async def test_staff_list_all_contacts_page_by_page(self, staff: Caller, emulator: Emulator) -> None:
        emulator.seed({"contacts": [{"email": f"p{number}@example.com"} for number in range(24)]})
        expected = [record.id for record in emulator.records("contacts")]
        assert len(expected) == 25
        assert [record["id"] for record in await list_all(staff, "/api/contacts", limit=10)] == expected
        by_email = await list_all(staff, "/api/contacts", limit=10, sort="-email")
        assert [record["email"] for record in by_email] == sorted(
            (record["email"] for record in by_email), reverse=True
        )
        assert {record["id"] for record in by_email} == set(expected)


class TestGetContact:
    async def test_get_contact_without_token_returns_401(
        self, client: httpx.AsyncClient, emulator: Emulator
    ) -> None:
        assert_problem(await client.get("/api/contacts/1"), 401, "invalid_token")
        assert emulator.requests == []

    async def test_get_contact_of_another_customer_returns_404(
        self, customer: Caller, other_customer: Caller, emulator: Emulator
    ) -> None:
        emulator.clear_requests()
        assert_same_not_found(
            await other_customer.get(f"/api/contacts/{customer.contact_id}"),
            await other_customer.get("/api/contacts/99999999"),
        )
        # Both requests cause the same call, so that response times do not reveal which contact exists.
        assert calls(emulator) == 2 * [f"GET objects/contacts/{other_customer.contact_id}"]

    async def test_get_own_contact_returns_deals_and_tickets(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        deal_id = await create_deal_as(customer)
        ticket_id = await create_ticket_as(customer, deal_id)
        emulator.clear_requests()
        response = await customer.get(f"/api/contacts/{customer.contact_id}")
        assert response.status_code == 200, response.text
        assert response.json()["message"] == "Contact retrieved successfully"
        contact = response.json()["data"]
        assert set(contact) == KEYS | {"deals", "incomplete"}
        [deal] = contact["deals"]
        assert (deal["id"], deal["tickets"][0]["id"]) == (deal_id, ticket_id)
        assert len(calls(emulator)) == 4

    async def test_staff_can_read_the_contact_of_a_customer(self, staff: Caller, customer: Caller) -> None:
        response = await staff.get(f"/api/contacts/{customer.contact_id}")
        assert response.json()["data"]["email"] == customer.email
        assert_problem(await staff.get("/api/contacts/99999999"), 404, "not_found")

    async def test_get_contact_returns_all_250_deals(
        self, staff: Caller, customer: Caller, emulator: Emulator
    ) -> None:
        created = seed_deals(emulator, customer.contact_id, 250)
        for caller in (customer, staff):
            response = await caller.get(f"/api/contacts/{customer.contact_id}")
            contact = response.json()["data"]
            assert {deal["id"] for deal in contact["deals"]} == set(created)
            assert contact["incomplete"] is False

    @pytest.mark.parametrize(
        "path", ["/crm/objects/*/deals/batch/read", "/crm/associations/*/contacts/deals/batch/read"]
    )
    async def test_unreadable_deals_make_contact_incomplete(
        self, customer: Caller, emulator: Emulator, path: str
    ) -> None:
        seed_deals(emulator, customer.contact_id, 250)
        emulator.fail_next("POST", path, status=500, times=12)
        contact = (await customer.get(f"/api/contacts/{customer.contact_id}")).json()["data"]
        assert emulator.used_faults()
        assert (contact["incomplete"], len(contact["deals"]) < 250) == (True, True)

    async def test_one_failed_batch_read_omits_only_the_deals_in_it(
        self, customer: Caller, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        created = seed_deals(emulator, customer.contact_id, 250)
        handle_request = EmulatorTransport.handle_async_request

        async def handle(self: EmulatorTransport, request: httpx.Request) -> httpx.Response:
            if (
                request.url.path.endswith("/deals/batch/read")
                and f'"{created[150]}"' in request.content.decode()
            ):
                return httpx.Response(500, request=request)
            return await handle_request(self, request)

        monkeypatch.setattr(EmulatorTransport, "handle_async_request", handle)
        contact = (await customer.get(f"/api/contacts/{customer.contact_id}")).json()["data"]
        assert [deal["id"] for deal in contact["deals"]] == [*created[:100], *created[200:]]
        assert contact["incomplete"] is True

    async def test_unreadable_tickets_make_deal_of_contact_incomplete(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        await create_ticket_as(customer, await create_deal_as(customer))
        emulator.fail_next("POST", "/crm/associations/*/deals/tickets/batch/read", status=500, times=12)
        contact = (await customer.get(f"/api/contacts/{customer.contact_id}")).json()["data"]
        [deal] = contact["deals"]
        assert (contact["incomplete"], deal["incomplete"], deal["tickets"]) == (False, True, [])


class TestUpdateContact:
    async def test_update_contact_without_token_returns_401(
        self, client: httpx.AsyncClient, emulator: Emulator
    ) -> None:
        assert_problem(await client.patch("/api/contacts/1", json={"phone": None}), 401, "invalid_token")
        assert emulator.requests == []

    async def test_update_contact_of_another_customer_returns_404(
        self, customer: Caller, other_customer: Caller, emulator: Emulator
    ) -> None:
        emulator.clear_requests()
        body = {"firstname": "Mine"}
        assert_same_not_found(
            await other_customer.patch(f"/api/contacts/{customer.contact_id}", body),
            await other_customer.patch("/api/contacts/99999999", body),
        )
        assert writes(emulator) == []

    async def test_customer_can_update_own_contact(self, customer: Caller, emulator: Emulator) -> None:
        path = f"/api/contacts/{customer.contact_id}"
        response = await customer.patch(path, {"firstname": "Augusta", "phone": None})
        assert response.status_code == 200, response.text
        contact = response.json()["data"]
        assert (contact["firstname"], contact["lastname"], contact["phone"]) == ("Augusta", "Lovelace", None)
        assert emulator.requests[-1].body == {"properties": {"firstname": "Augusta", "phone": ""}}

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("email", "other@example.com"),
            ("lifecyclestage", "customer"),
            ("hubspot_owner_id", "1"),
            ("hs_lead_status", "OPEN"),
        ],
    )
    async def test_update_of_field_not_writable_by_customer_returns_400(
        self, customer: Caller, emulator: Emulator, name: str, value: str
    ) -> None:
        emulator.clear_requests()
        response = await customer.patch(f"/api/contacts/{customer.contact_id}", {name: value})
        assert_problem(response, 400, "validation_error", fields=[name])
        assert writes(emulator) == []

    async def test_staff_can_update_email_and_lifecyclestage_of_contact(
        self, staff: Caller, customer: Caller, other_customer: Caller
    ) -> None:
        path = f"/api/contacts/{customer.contact_id}"
        response = await staff.patch(path, {"email": "New@Example.com", "lifecyclestage": "customer"})
        contact = response.json()["data"]
        assert (contact["email"], contact["lifecyclestage"]) == ("new@example.com", "customer")
        assert_problem(await staff.patch(path, {"email": other_customer.email}), 409, "contact_exists")
        assert_problem(await staff.patch(path, {"email": None}), 400, "validation_error", fields=["email"])

    async def test_update_contact_with_outdated_etag_returns_412(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        path = f"/api/contacts/{customer.contact_id}"
        etag = {"If-Match": (await customer.get(path)).headers["etag"]}
        assert (await customer.patch(path, {"firstname": "Augusta"}, headers=etag)).status_code == 200
        emulator.clear_requests()
        late = await customer.patch(path, {"firstname": "Adah"}, headers=etag)
        assert_problem(late, 412, "precondition_failed")
        assert writes(emulator) == []

    async def test_customer_reads_own_contact_by_both_ids_after_a_merge(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        other = emulator.seed({"contacts": [{"email": "other@example.com"}]})["contacts"][0]
        survivor = emulator.merge("contacts", other, customer.contact_id)
        response = await customer.get(f"/api/contacts/{customer.contact_id}")
        assert response.json()["data"]["id"] == survivor
        assert (await customer.get(f"/api/contacts/{survivor}")).status_code == 200


class TestReadYourOwnWrites:
    """HubSpot's search index lags 30 seconds behind writes."""

    async def test_own_contact_writes_not_in_hubspot_index_are_listed_once(
        self, staff: Caller, customer: Caller, emulator: Emulator
    ) -> None:
        emulator.switches.search_lag_seconds = 30.0
        created = (await staff.post("/api/contacts", GRACE)).json()["data"]["id"]
        path = f"/api/contacts/{customer.contact_id}"
        assert (
            await staff.patch(path, {"lastname": "King", "lifecyclestage": "customer"})
        ).status_code == 200
        for limit in (1, 50):
            leads = await list_all(staff, "/api/contacts", lifecyclestage="lead", limit=limit)
            assert [record["id"] for record in leads] == [staff.contact_id, created]
            by_name = await list_all(staff, "/api/contacts", sort="lastname", limit=limit)
            assert [record["lastname"] for record in by_name] == ["Hopper", "King", "Lovelace"]
        [results] = await search_all(staff, "/api/contacts/search", query="hopper")
        assert results["id"] == created

    async def test_profile_change_of_staff_shows_in_their_contact_search(
        self, staff: Caller, emulator: Emulator
    ) -> None:
        emulator.switches.search_lag_seconds = 30.0
        assert (await staff.patch("/api/me", {"lastname": "King"})).status_code == 200
        [results] = await search_all(staff, "/api/contacts/search", query="king")
        assert (results["id"], results["lastname"]) == (staff.contact_id, "King")


class TestSearchContacts:
    async def test_search_contacts_without_token_returns_401(
        self, client: httpx.AsyncClient, emulator: Emulator
    ) -> None:
        assert_problem(await client.post("/api/contacts/search", json={}), 401, "invalid_token")
        assert emulator.requests == []

    async def test_contact_search_of_customer_finds_only_own_contact(
        self, customer: Caller, other_customer: Caller
    ) -> None:
        results = await search_all(customer, "/api/contacts/search", query="example.com")
        assert [record["id"] for record in results] == [customer.contact_id]

    async def test_contact_search_of_staff_finds_all_matching_contacts(
        self, customer: Caller, other_customer: Caller, staff: Caller
    ) -> None:
        results = await search_all(staff, "/api/contacts/search", query="lovelace", limit=1)
        assert [record["id"] for record in results] == [
            customer.contact_id,
            other_customer.contact_id,
            staff.contact_id,
        ]
        filters = [{"property": "email", "operator": "EQ", "value": customer.email.upper()}]
        [found_one] = await search_all(staff, "/api/contacts/search", filters=filters)
        assert found_one["id"] == customer.contact_id
