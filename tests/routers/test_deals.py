"""POST /api/deals."""

from decimal import Decimal
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from tests.support.builders import deal_body
from tests.support.callers import Caller, assert_problem
from tests.support.records import calls

from crm_api.hubspot import Pipeline
from crm_api.services.properties import pipelines
from hubspot_emulator import Emulator

KEYS = {
    "contact_ids",
    "currency",
    "id",
    "hs_object_id",
    "dealname",
    "dealstage",
    "pipeline",
    "amount",
    "closedate",
    "description",
    "createdate",
    "hs_lastmodifieddate",
    "properties",
}


class TestCreateDeal:
    async def test_create_deal_without_token_returns_401(
        self, client: httpx.AsyncClient, emulator: Emulator
    ) -> None:
        assert_problem(await client.post("/api/deals", json=deal_body()), 401, "invalid_token")
        assert emulator.requests == []

    async def test_new_deal_is_associated_with_the_callers_contact(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        response = await customer.post("/api/deals", deal_body())
        assert response.status_code == 201
        assert response.json()["message"] == "Deal created successfully"
        deal = response.json()["data"]
        assert set(deal) == KEYS
        [record] = emulator.records("deals")
        assert deal["id"] == record.id
        assert emulator.associations("deals", record.id, "contacts") == [customer.contact_id]

    async def test_create_deal_returns_the_sent_values(self, customer: Caller) -> None:
        sent = deal_body(
            amount="1500.50", description="=SUM(A1) <b>é</b> 🎉", closedate="2026-12-31", pipeline="default"
        )
        deal = (await customer.post("/api/deals", sent)).json()["data"]
        assert Decimal(deal["amount"]) == Decimal("1500.50")
        assert deal["description"] == "=SUM(A1) <b>é</b> 🎉"
        assert deal["closedate"] == "2026-12-31T00:00:00.000Z"
        assert (deal["dealname"], deal["dealstage"], deal["pipeline"]) == (
            "Fleet renewal",
            "qualifiedtobuy",
            "default",
        )

    @pytest.mark.parametrize(
        ("amount", "expected"),
        [
            (0, "0"),
            (1500, "1500"),
            (1500.5, "1500.5"),
            (0.1, "0.1"),
            (1e3, "1000"),
            (-0.0, "0"),
            (0.1 + 0.3, "0.4"),
            (1e-6, "0.000001"),
            ("007.10", "007.10"),
            (123456789012345, "123456789012345"),
            ("999999999999999.999999", "999999999999999.999999"),
            (-1, "-1"),
            (-1500.5, "-1500.5"),
            ("-999999999999999.999999", "-999999999999999.999999"),
            ("-0", "0"),
            ("-0.00", "0.00"),
        ],
    )
    async def test_deal_amount_is_sent_to_hubspot_as_plain_decimal(
        self, customer: Caller, emulator: Emulator, amount: Any, expected: str
    ) -> None:
        response = await customer.post("/api/deals", deal_body(amount=amount))
        assert response.status_code == 201, response.text
        [request] = [
            record
            for record in emulator.requests
            if record.method == "POST" and record.path.endswith("/deals")
        ]
        assert request.body["properties"]["amount"] == expected

    @pytest.mark.parametrize(
        ("closedate", "expected"),
        [
            ("2026-12-31", "2026-12-31T00:00:00.000Z"),
            ("2026-06-30T12:00:00+05:30", "2026-06-30T06:30:00.000Z"),
            ("2026-06-30t12:00:00z", "2026-06-30T12:00:00.000Z"),
            ("2026-06-30T12:00:00-00:00", "2026-06-30T12:00:00.000Z"),
            ("2026-06-30T12:00:00.123456Z", "2026-06-30T12:00:00.123Z"),
            ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000Z"),
            ("2017-01-01T08:59:60.5+09:00", "2017-01-01T00:00:00.000Z"),
            ("1969-12-31T23:59:59.999Z", "1969-12-31T23:59:59.999Z"),
            ("0001-01-01", "0001-01-01T00:00:00.000Z"),
            ("9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"),
        ],
    )
    async def test_closedate_of_new_deal_is_returned_in_utc(
        self, customer: Caller, closedate: str, expected: str
    ) -> None:
        created = (await customer.post("/api/deals", deal_body(closedate=closedate))).json()["data"]
        again = (await customer.get(f"/api/deals/{created['id']}")).json()["data"]
        assert (created["closedate"], again["closedate"]) == (expected, expected)

    @pytest.mark.parametrize(
        "description",
        [
            "  two spaces\n\tand a tab\n",
            "O'Brien",
            "José",
            "Jose\N{COMBINING ACUTE ACCENT}",
            "\N{RIGHT-TO-LEFT OVERRIDE}שלום",
            "👩\N{ZERO WIDTH JOINER}👧",
            "\N{LINE SEPARATOR}",
        ],
    )
    async def test_description_of_new_deal_is_returned_unchanged(
        self, customer: Caller, description: str
    ) -> None:
        created = await customer.post("/api/deals", deal_body(description=description))
        path = f"/api/deals/{created.json()['data']['id']}"
        assert (await customer.get(path)).json()["data"]["description"] == description

    async def test_invalid_closedate_message_does_not_contain_the_value(self, customer: Caller) -> None:
        for wrong in ("2026-02-30", "2026-01-01T00:00:00+24:00", "0000-01-01", "2026-13-01T00:00:00Z"):
            response = await customer.post("/api/deals", deal_body(closedate=wrong))
            [detail] = assert_problem(response, 400, "validation_error", fields=["closedate"])["details"]
            assert detail["message"] == "is not a date or time that exists between the years 1 and 9999"

    async def test_unknown_stage_reads_pipelines_again_and_returns_400(
        self, customer: Caller, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(pipelines, "MIN_REFRESH_SECONDS", 0.0)
        await customer.post("/api/deals", deal_body())
        emulator.clear_requests()
        response = await customer.post("/api/deals", deal_body(dealstage="nowhere"))
        problem = assert_problem(response, 400, "validation_error", fields=["dealstage"])
        assert problem["error"] == "Validation error"
        assert calls(emulator) == [f"GET objects/contacts/{customer.contact_id}", "GET pipelines/deals"]

    async def test_stage_of_pipeline_created_after_caching_is_accepted(
        self, customer: Caller, app: FastAPI, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(pipelines, "MIN_REFRESH_SECONDS", 0.0)
        await customer.post("/api/deals", deal_body())
        stage = {"label": "Only", "displayOrder": 0, "metadata": {"probability": "0.5"}}
        body = {"label": "New", "displayOrder": 1, "stages": [stage]}
        created_pipeline = await app.state.hubspot.sender.request(
            "POST",
            "/crm/pipelines/2026-09/deals",
            operation="test",
            json=body,
            idempotent=False,
            response=Pipeline,
        )
        sent = deal_body(pipeline=created_pipeline.id, dealstage=created_pipeline.stages[0].id)
        response = await customer.post("/api/deals", sent)
        assert response.status_code == 201, response.text
        deal = response.json()["data"]
        assert (deal["pipeline"], deal["dealstage"]) == (sent["pipeline"], sent["dealstage"])
        # Without `pipeline` the stage must be in the HubSpot account's first pipeline.
        alone = await customer.post("/api/deals", deal_body(dealstage=sent["dealstage"]))
        assert_problem(alone, 400, "validation_error", fields=["dealstage"])

    async def test_two_deals_may_have_the_same_name(self, customer: Caller, emulator: Emulator) -> None:
        for _ in range(2):
            assert (await customer.post("/api/deals", deal_body())).status_code == 201
        assert len(emulator.records("deals")) == 2

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"dealname": ""}, "dealname"),
            ({"dealname": "   "}, "dealname"),
            ({"dealname": "x" * 501}, "dealname"),
            ({"dealname": "a\x00b"}, "dealname"),
            ({"dealname": 7}, "dealname"),
            ({"dealname": None}, "dealname"),
            ({"dealstage": "closedmaybe"}, "dealstage"),
            ({"pipeline": "nowhere"}, "pipeline"),
            ({"amount": "1,500"}, "amount"),
            ({"amount": "1e3"}, "amount"),
            ({"amount": 0.1 + 0.2}, "amount"),
            ({"amount": 1e15}, "amount"),
            ({"amount": "1234567890123456"}, "amount"),
            ({"amount": "0.1234567"}, "amount"),
            ({"amount": 1e-7}, "amount"),
            ({"amount": "--1"}, "amount"),
            ({"amount": "-"}, "amount"),
            ({"amount": ""}, "amount"),
            ({"amount": True}, "amount"),
            ({"amount": None}, "amount"),
            ({"amount": 12345678901234567890}, "amount"),
            ({"amount": "١٢٣"}, "amount"),
            ({"description": "x" * 65_537}, "description"),
            ({"description": None}, "description"),
            ({"closedate": "tomorrow"}, "closedate"),
            ({"closedate": "2026-02-30"}, "closedate"),
            ({"closedate": "2026-12-31T10:00:00"}, "closedate"),
            ({"closedate": 1767139200000}, "closedate"),
            ({"closedate": "1767139200000"}, "closedate"),
            ({"closedate": "2026-W01-5"}, "closedate"),
            ({"closedate": "2026-01-01T24:00:00Z"}, "closedate"),
            ({"closedate": "2026-01-01T00:00:00+24:00"}, "closedate"),
            ({"closedate": "2026-01-01T12:00:60Z"}, "closedate"),
            ({"closedate": "9999-12-31T23:59:60Z"}, "closedate"),
            ({"closedate": "9999-12-31T23:59:59-01:00"}, "closedate"),
            ({"closedate": "0001-01-01T00:00:00+14:00"}, "closedate"),
            ({"closedate": "0000-01-01"}, "closedate"),
            ({"hubspot_owner_id": "1"}, "hubspot_owner_id"),
            ({"hs_deal_stage_probability": "1"}, "hs_deal_stage_probability"),
        ],
    )
    async def test_400_names_invalid_field_and_no_deal_is_created(
        self, customer: Caller, emulator: Emulator, change: dict[str, Any], field: str
    ) -> None:
        response = await customer.post("/api/deals", deal_body(**change))
        assert_problem(response, 400, "validation_error", fields=[field])
        assert emulator.records("deals") == []

    async def test_create_deal_with_contact_id_as_customer_returns_403(
        self, customer: Caller, other_customer: Caller, emulator: Emulator
    ) -> None:
        response = await customer.post("/api/deals", deal_body(contact_id=other_customer.contact_id))
        assert_problem(response, 403, "forbidden")
        assert emulator.records("deals") == []

    async def test_deal_created_by_staff_is_associated_with_contact_id(
        self, staff: Caller, customer: Caller, emulator: Emulator
    ) -> None:
        response = await staff.post("/api/deals", deal_body(contact_id=customer.contact_id))
        assert response.status_code == 201
        assert emulator.associations("contacts", customer.contact_id, "deals") == [
            response.json()["data"]["id"]
        ]

    async def test_create_deal_for_unknown_contact_returns_400(
        self, staff: Caller, emulator: Emulator
    ) -> None:
        response = await staff.post("/api/deals", deal_body(contact_id="999999999"))
        assert_problem(response, 400, "validation_error", fields=["contact_id"])
        assert emulator.records("deals") == []

    async def test_create_deal_with_cached_pipelines_makes_2_hubspot_calls(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        await customer.post("/api/deals", deal_body())
        emulator.clear_requests()
        await customer.post("/api/deals", deal_body())
        assert [(request.method, request.path) for request in emulator.requests] == [
            ("GET", f"/crm/objects/2026-09/contacts/{customer.contact_id}"),
            ("POST", "/crm/objects/2026-09/deals"),
        ]


class TestCreateDealErrors:
    @pytest.mark.parametrize(
        ("fault", "status", "code"),
        [
            ({"status": 500}, 504, "outcome_unknown"),
            ({"kind": "drop_before"}, 504, "outcome_unknown"),
            ({"kind": "drop_after"}, 504, "outcome_unknown"),
            ({"kind": "truncated_json"}, 504, "outcome_unknown"),
            ({"kind": "hang_after"}, 504, "outcome_unknown"),
            ({"status": 401, "times": 5}, 502, "hubspot_credentials_refused"),
            ({"status": 403}, 502, "hubspot_credentials_refused"),
        ],
    )
    async def test_hubspot_failure_of_create_deal_returns_502_or_504(
        self, customer: Caller, emulator: Emulator, fault: dict[str, Any], status: int, code: str
    ) -> None:
        await customer.get("/api/pipelines")
        emulator.fail_next("POST", "/crm/objects/*/deals", **fault)
        response = await customer.post("/api/deals", deal_body())
        assert_problem(response, status, code)
        assert emulator.used_faults()
        # The account has no idempotency property, so the create is not retried.
        assert len(emulator.records("deals")) <= 1

    async def test_create_deal_is_retried_after_a_429_from_hubspot(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        await customer.get("/api/pipelines")
        emulator.fail_next("POST", "/crm/objects/*/deals", status=429, headers={"Retry-After": "0"})
        assert (await customer.post("/api/deals", deal_body())).status_code == 201
        assert emulator.used_faults()
        assert len(emulator.records("deals")) == 1

    async def test_hubspot_retry_after_beyond_deadline_returns_503(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        await customer.get("/api/pipelines")
        emulator.fail_next("POST", "/crm/objects/*/deals", status=429, headers={"Retry-After": "600"})
        response = await customer.post("/api/deals", deal_body())
        assert_problem(response, 503, "hubspot_unavailable")
        assert int(response.headers["retry-after"]) >= 1
        assert "ratelimit" not in response.headers
