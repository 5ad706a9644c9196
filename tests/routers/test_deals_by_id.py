"""GET, PATCH and DELETE /api/deals/{id}."""

import asyncio
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from tests.support.callers import Caller, assert_problem, assert_same_not_found
from tests.support.records import calls, create_deal_as, create_ticket_as, seed_deals, seed_tickets, writes

from crm_api.hubspot import Pipeline
from hubspot_emulator import Emulator


class TestGetDeal:
    async def test_get_deal_without_token_returns_401(
        self, client: httpx.AsyncClient, emulator: Emulator
    ) -> None:
        assert_problem(await client.get("/api/deals/1"), 401, "invalid_token")
        assert emulator.requests == []

    async def test_get_deal_of_another_customer_returns_404(
        self, customer: Caller, other_customer: Caller
    ) -> None:
        deal_id = await create_deal_as(customer)
        assert_same_not_found(
            await other_customer.get(f"/api/deals/{deal_id}"), await other_customer.get("/api/deals/99999999")
        )

    async def test_customer_reads_own_deal_with_tickets(self, customer: Caller, emulator: Emulator) -> None:
        deal_id = await create_deal_as(customer, amount="10.50")
        ticket_id = await create_ticket_as(customer, deal_id)
        emulator.clear_requests()
        response = await customer.get(f"/api/deals/{deal_id}")
        assert response.status_code == 200, response.text
        assert response.json()["message"] == "Deal retrieved successfully"
        deal = response.json()["data"]
        assert (deal["id"], deal["amount"], deal["incomplete"]) == (deal_id, "10.50", False)
        assert [ticket["id"] for ticket in deal["tickets"]] == [ticket_id]
        assert calls(emulator) == [f"GET objects/deals/{deal_id}", "POST objects/tickets/batch/read"]

    async def test_staff_can_read_the_deal_of_a_customer(self, customer: Caller, staff: Caller) -> None:
        deal_id = await create_deal_as(customer)
        assert (await staff.get(f"/api/deals/{deal_id}")).json()["data"]["id"] == deal_id
        assert_problem(await staff.get("/api/deals/99999999"), 404, "not_found")

    async def test_get_deal_returns_all_600_tickets(self, customer: Caller, emulator: Emulator) -> None:
        [deal_id] = seed_deals(emulator, customer.contact_id, 1)
        created = seed_tickets(emulator, 600, to=[("deals", deal_id)])
        emulator.clear_requests()
        deal = (await customer.get(f"/api/deals/{deal_id}")).json()["data"]
        assert {ticket["id"] for ticket in deal["tickets"]} == set(created)
        assert deal["incomplete"] is False
        # About 100 IDs come with the deal, the others in pages of 500.
        assert calls(emulator).count("POST associations/deals/tickets/batch/read") == 2

    async def test_unreadable_tickets_make_deal_incomplete(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        [deal_id] = seed_deals(emulator, customer.contact_id, 1)
        seed_tickets(emulator, 150, to=[("deals", deal_id)])
        emulator.fail_next("POST", "/crm/objects/*/tickets/batch/read", status=500, times=12)
        deal = (await customer.get(f"/api/deals/{deal_id}")).json()["data"]
        assert emulator.used_faults()
        assert (deal["incomplete"], len(deal["tickets"]) < 150) == (True, True)

    async def test_get_deal_omits_next_step_and_probability(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        [deal_id] = seed_deals(emulator, customer.contact_id, 1, hs_next_step="call the boss")
        text = (await customer.get(f"/api/deals/{deal_id}")).text
        assert "call the boss" not in text
        assert "probability" not in text

    async def test_own_deal_with_131_contacts_is_visible(self, customer: Caller, emulator: Emulator) -> None:
        [deal_id] = seed_deals(emulator, customer.contact_id, 1)
        others = emulator.seed({"contacts": [{"email": f"p{number}@example.com"} for number in range(130)]})
        emulator.unlink(("deals", deal_id), ("contacts", customer.contact_id))
        for contact_id in others["contacts"]:
            emulator.link(("deals", deal_id), ("contacts", contact_id))
        emulator.link(("deals", deal_id), ("contacts", customer.contact_id))
        assert (await customer.get(f"/api/deals/{deal_id}")).status_code == 200


class TestUpdateDeal:
    async def test_update_deal_without_token_returns_401(
        self, client: httpx.AsyncClient, emulator: Emulator
    ) -> None:
        assert_problem(await client.patch("/api/deals/1", json={"amount": 1}), 401, "invalid_token")
        assert emulator.requests == []

    async def test_update_deal_of_another_customer_returns_404(
        self, customer: Caller, other_customer: Caller, emulator: Emulator
    ) -> None:
        deal_id = await create_deal_as(customer)
        emulator.clear_requests()
        body = {"dealname": "Mine now"}
        assert_same_not_found(
            await other_customer.patch(f"/api/deals/{deal_id}", body),
            await other_customer.patch("/api/deals/99999999", body),
        )
        assert writes(emulator) == []

    async def test_negative_amount_can_be_written_back(self, customer: Caller, emulator: Emulator) -> None:
        [deal_id] = seed_deals(emulator, customer.contact_id, 1, amount="-250.75")
        deal = (await customer.get(f"/api/deals/{deal_id}")).json()["data"]
        assert deal["amount"] == "-250.75"
        body = {"amount": deal["amount"], "description": "refund"}
        response = await customer.patch(f"/api/deals/{deal_id}", body)
        assert response.status_code == 200, response.text
        assert (await customer.patch(f"/api/deals/{deal_id}", {"amount": -1.5})).status_code == 200
        assert emulator.records("deals")[0].properties["amount"] == "-1.5"

    async def test_update_deal_clears_nulls_and_sends_only_changed_values(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        deal_id = await create_deal_as(customer, amount="1500.00", description="vans", closedate="2026-12-31")
        emulator.clear_requests()
        response = await customer.patch(
            f"/api/deals/{deal_id}",
            {
                "dealname": "Renewal",
                "amount": 1500,
                "description": None,
                "closedate": "2026-12-31T00:00:00Z",
            },
        )
        assert response.status_code == 200, response.text
        assert response.json()["message"] == "Deal updated successfully"
        deal = response.json()["data"]
        assert (deal["dealname"], deal["description"], deal["amount"]) == ("Renewal", None, "1500.00")
        assert deal["closedate"] == "2026-12-31T00:00:00.000Z"
        assert calls(emulator) == [f"GET objects/deals/{deal_id}", f"PATCH objects/deals/{deal_id}"]
        assert emulator.requests[-1].body == {"properties": {"dealname": "Renewal", "description": ""}}

    async def test_update_deal_with_equal_values_writes_nothing(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        deal_id = await create_deal_as(customer, amount="1500.00")
        emulator.clear_requests()
        for body in ({}, {"amount": "1500"}, {"dealname": "Fleet renewal"}):
            response = await customer.patch(f"/api/deals/{deal_id}", body)
            assert (response.status_code, writes(emulator)) == (200, [])

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"dealname": None}, "dealname"),
            ({"dealstage": None}, "dealstage"),
            ({"pipeline": None}, "pipeline"),
            ({"dealname": ""}, "dealname"),
            ({"amount": "lots"}, "amount"),
            ({"closedate": "soon"}, "closedate"),
            ({"dealstage": "nowhere"}, "dealstage"),
            ({"pipeline": "nowhere"}, "pipeline"),
            ({"hubspot_owner_id": "1"}, "hubspot_owner_id"),
            ({"hs_deal_stage_probability": "1"}, "hs_deal_stage_probability"),
            ({"contact_id": "1"}, "contact_id"),
            ({"createdate": "2026-01-01"}, "createdate"),
            ({"properties": {"hubspot_owner_id": "1"}}, "properties.hubspot_owner_id"),
            ({"properties": {"dealname": "x"}}, "properties.dealname"),
            ({"properties": {"x" * 300: "x"}}, "properties." + "x" * 100),
        ],
    )
    async def test_400_names_invalid_field_of_deal_update_without_write(
        self, customer: Caller, emulator: Emulator, body: dict[str, Any], field: str
    ) -> None:
        deal_id = await create_deal_as(customer)
        emulator.clear_requests()
        response = await customer.patch(f"/api/deals/{deal_id}", body)
        assert_problem(response, 400, "validation_error", fields=[field])
        assert writes(emulator) == []

    async def test_deal_changes_pipeline_only_with_pipeline_and_stage(
        self, customer: Caller, app: FastAPI, emulator: Emulator
    ) -> None:
        deal_id = await create_deal_as(customer, dealstage="contractsent")
        stages = [{"label": "Offer", "displayOrder": 0, "metadata": {"probability": "0.5"}}]
        created = await app.state.hubspot.sender.request(
            "POST",
            "/crm/pipelines/2026-09/deals",
            operation="pipelines.create",
            json={"label": "Partners", "displayOrder": 1, "stages": stages},
            idempotent=False,
            response=Pipeline,
        )
        await app.state.hubspot.pipelines.list("deals", max_age_seconds=0)
        partners, offer = created.id, created.stages[0].id
        path = f"/api/deals/{deal_id}"
        for body in ({"pipeline": partners}, {"dealstage": offer}):
            response = await customer.patch(path, body)
            assert_problem(response, 400, "validation_error", fields=["dealstage"])
        assert (await customer.patch(path, {"dealstage": "closedwon"})).status_code == 200
        assert emulator.requests[-1].body == {"properties": {"dealstage": "closedwon"}}
        response = await customer.patch(path, {"pipeline": partners, "dealstage": offer})
        deal = response.json()["data"]
        assert (deal["pipeline"], deal["dealstage"]) == (partners, offer)

    async def test_400_names_field_required_by_hubspot_rule_on_update(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        deal_id = await create_deal_as(customer)
        emulator.switches.conditional_properties = {"deals": {"amount": ["description"]}}
        response = await customer.patch(f"/api/deals/{deal_id}", {"amount": 5})
        problem = assert_problem(response, 400, "validation_error", fields=["description"])
        assert problem["details"][0]["message"] == "(Deal description) is required by a rule of this account"


def record_part(etag: str) -> str:
    """Return the part of an ETag that If-Match compares; the other part is that of the representation."""
    return etag.strip('"').partition(".")[0]


class TestIfMatch:
    async def test_current_etag_allows_one_deal_update(self, customer: Caller, emulator: Emulator) -> None:
        deal_id = await create_deal_as(customer)
        path = f"/api/deals/{deal_id}"
        etag = (await customer.get(path)).headers["etag"]
        first = await customer.patch(path, {"amount": 1}, headers={"If-Match": etag})
        assert first.status_code == 200
        emulator.clear_requests()
        late = await customer.patch(path, {"amount": 2}, headers={"If-Match": etag})
        assert_problem(late, 412, "precondition_failed")
        assert_problem(await customer.delete(path, headers={"If-Match": etag}), 412, "precondition_failed")
        assert writes(emulator) == []
        current = first.headers["etag"]
        assert current.strip('"') == record_part((await customer.get(path)).headers["etag"])
        again = await customer.patch(path, {"amount": 2}, headers={"If-Match": f'"other", {current}'})
        assert again.status_code == 200
        assert (await customer.delete(path, headers={"If-Match": "*"})).status_code == 204

    async def test_update_with_etag_older_than_hubspot_change_returns_412(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        deal_id = await create_deal_as(customer)
        etag = (await customer.get(f"/api/deals/{deal_id}")).headers["etag"]
        emulator.edit_as_other_actor("deals", deal_id, {"amount": "7"})
        response = await customer.patch(f"/api/deals/{deal_id}", {"amount": 8}, headers={"If-Match": etag})
        assert_problem(response, 412, "precondition_failed")

    async def test_change_of_property_not_returned_allows_update(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        deal_id = await create_deal_as(customer)
        read = await customer.get(f"/api/deals/{deal_id}")
        await asyncio.sleep(0.002)  # HubSpot's timestamps have milliseconds
        emulator.edit_as_other_actor("deals", deal_id, {"hs_next_step": "call"})
        again = await customer.get(f"/api/deals/{deal_id}")
        changed = [response.json()["data"]["hs_lastmodifieddate"] for response in (read, again)]
        assert changed[0] != changed[1]
        assert record_part(read.headers["etag"]) == record_part(again.headers["etag"])
        accepted = await customer.patch(
            f"/api/deals/{deal_id}", {}, headers={"If-Match": read.headers["etag"]}
        )
        assert accepted.status_code == 200

    async def test_one_of_five_concurrent_updates_with_one_etag_succeeds(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        deal_id = await create_deal_as(customer)
        path = f"/api/deals/{deal_id}"
        etag = (await customer.get(path)).headers["etag"]
        # The latency lets every request read before the first one writes.
        emulator.switches.latency_seconds = 0.005
        responses = await asyncio.gather(
            *(customer.patch(path, {"amount": amount}, headers={"If-Match": etag}) for amount in range(1, 6))
        )
        assert sorted(response.status_code for response in responses) == [200, 412, 412, 412, 412]

    async def test_concurrent_updates_without_if_match_are_serialized(
        self, customer: Caller, staff: Caller, emulator: Emulator
    ) -> None:
        path = f"/api/deals/{await create_deal_as(customer)}"
        # The latency lets every request read before the first one writes.
        emulator.switches.latency_seconds = 0.005
        responses = await asyncio.gather(
            *(
                caller.patch(path, {"amount": number, "description": f"of {number}"})
                for number, caller in enumerate([customer, staff] * 3, start=1)
            )
        )
        assert {response.status_code for response in responses} == {200}
        for number, response in enumerate(responses, start=1):
            deal = response.json()["data"]
            assert (deal["amount"], deal["description"]) == (str(number), f"of {number}")
        last = (await customer.get(path)).json()["data"]
        assert last["description"] == f"of {last['amount']}"

    @pytest.mark.parametrize("wrong", ["abc", '"a" "b"', ""])
    async def test_malformed_if_match_returns_400(self, customer: Caller, wrong: str) -> None:
        response = await customer.patch("/api/deals/1", {"amount": 1}, headers={"If-Match": wrong})
        assert_problem(response, 400, "validation_error", fields=["If-Match"])

    @pytest.mark.parametrize(
        "form", ['W/"{}"', '"{}-gzip"', 'W/"{}-gzip"', '"{}-br"', '"{};gzip"', '"0", W/"{}"']
    )
    async def test_etag_changed_by_compressing_proxy_allows_one_update(
        self, customer: Caller, form: str
    ) -> None:
        path = f"/api/deals/{await create_deal_as(customer)}"
        tag = (await customer.get(path)).headers["etag"].strip('"')
        headers = {"If-Match": form.format(tag)}
        assert (await customer.patch(path, {"amount": 1}, headers=headers)).status_code == 200
        late = await customer.patch(path, {"amount": 2}, headers=headers)
        assert_problem(late, 412, "precondition_failed")
        assert_problem(await customer.delete(path, headers=headers), 412, "precondition_failed")

    @pytest.mark.parametrize("form", ['"{}-other"', '"x{}"', '"{}-gzip-gzip"', 'W/"{}x"'])
    async def test_other_change_of_etag_returns_412(self, customer: Caller, form: str) -> None:
        path = f"/api/deals/{await create_deal_as(customer)}"
        tag = (await customer.get(path)).headers["etag"].strip('"')
        late = await customer.patch(path, {"amount": 1}, headers={"If-Match": form.format(tag)})
        assert_problem(late, 412, "precondition_failed")


class TestArchiveDeal:
    async def test_archive_deal_without_token_returns_401(
        self, client: httpx.AsyncClient, emulator: Emulator
    ) -> None:
        assert_problem(await client.delete("/api/deals/1"), 401, "invalid_token")
        assert emulator.requests == []

    async def test_archive_deal_of_another_customer_returns_404(
        self, customer: Caller, other_customer: Caller, emulator: Emulator
    ) -> None:
        deal_id = await create_deal_as(customer)
        emulator.clear_requests()
        assert_same_not_found(
            await other_customer.delete(f"/api/deals/{deal_id}"),
            await other_customer.delete("/api/deals/99999999"),
        )
        assert writes(emulator) == []
        assert emulator.record("deals", deal_id) is not None

    async def test_archived_deal_returns_404_at_once(self, customer: Caller, emulator: Emulator) -> None:
        deal_id = await create_deal_as(customer)
        response = await customer.delete(f"/api/deals/{deal_id}")
        assert (response.status_code, response.content) == (204, b"")
        assert emulator.records("deals") == []
        assert_problem(await customer.get(f"/api/deals/{deal_id}"), 404, "not_found")
        assert_problem(await customer.delete(f"/api/deals/{deal_id}"), 404, "not_found")
        emulator.clear_requests()
        raised = await customer.post(
            f"/api/tickets/{deal_id}", {"subject": "s", "description": "d", "hs_pipeline_stage": "1"}
        )
        assert_problem(raised, 404, "not_found")
        assert writes(emulator) == []

    async def test_staff_can_archive_the_deal_of_a_customer(
        self, customer: Caller, staff: Caller, emulator: Emulator
    ) -> None:
        deal_id = await create_deal_as(customer)
        assert (await staff.delete(f"/api/deals/{deal_id}")).status_code == 204
        assert emulator.records("deals") == []


class TestUpdateErrors:
    async def test_deal_can_be_updated_after_a_failed_update(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        deal_id = await create_deal_as(customer)
        emulator.fail_next("PATCH", "/crm/objects/*", status=403)
        response = await customer.patch(f"/api/deals/{deal_id}", {"amount": 1})
        assert_problem(response, 502, "hubspot_credentials_refused")
        assert (await customer.patch(f"/api/deals/{deal_id}", {"amount": 1})).status_code == 200
