"""Text values, malformed bodies, unknown fields, hidden properties and cursors."""

import json
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI
from tests.support.builders import PASSWORD, deal_body, registration_body, ticket_body
from tests.support.callers import Caller, assert_problem

from crm_api.security.crypto import KeyRing
from crm_api.services.accounts.profile import set_role
from crm_api.services.records.cursors import Cursors
from crm_api.settings import PropertyLists, Settings
from hubspot_emulator import Emulator

PLAIN_TEXTS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "=cmd|'/C calc'!A0",
    "+1+1",
    "@SUM(A1:A9)",
    "{{7*7}}${7*7}<%= 7*7 %>",
    "'; DROP TABLE users; --",
    "\u202egnp.exe",
    "line\nbreak\ttab",
    "🦆",
]


class TestPlainText:
    @pytest.mark.parametrize("text", PLAIN_TEXTS)
    async def test_markup_and_formulas_are_returned_unchanged_as_json(
        self, customer: Caller, emulator: Emulator, text: str
    ) -> None:
        created = await customer.post("/api/deals", deal_body(dealname=f"x{text}", description=text))
        assert created.status_code == 201, created.text
        deal_id = created.json()["data"]["id"]
        ticket = await customer.post(
            f"/api/tickets/{deal_id}", ticket_body(subject=f"x{text}", description=text)
        )
        assert ticket.status_code == 201, ticket.text
        for path in (f"/api/deals/{deal_id}", "/api/new-crm-objects", "/api/deals"):
            response = await customer.get(path)
            assert response.headers["content-type"] == "application/json"
            assert response.headers["x-content-type-options"] == "nosniff"
            assert response.headers["content-security-policy"].startswith("default-src 'none'")
        deal = (await customer.get(f"/api/deals/{deal_id}")).json()["data"]
        assert (deal["dealname"], deal["description"]) == (f"x{text}", text)
        [record] = emulator.records("deals")
        assert record.properties["description"] == text

    @pytest.mark.parametrize(
        ("path", "body", "field"),
        [
            ("/api/deals", deal_body(dealname="a\x00b"), "dealname"),
            ("/api/deals", deal_body(description="\x00"), "description"),
            ("/api/register", registration_body(email="a\x00@example.com"), "email"),
            ("/api/register", registration_body(firstname="A\x00"), "firstname"),
            ("/api/register", registration_body(phone="12345\x00"), "phone"),
            ("/api/login", {"email": "a\x00@example.com", "password": "x"}, "email"),
        ],
    )
    async def test_nul_character_in_text_field_returns_400(
        self, customer: Caller, emulator: Emulator, path: str, body: dict[str, Any], field: str
    ) -> None:
        emulator.clear_requests()
        assert_problem(await customer.post(path, body), 400, "validation_error", fields=[field])
        assert emulator.requests == []

    async def test_nul_in_login_password_returns_401(self, customer: Caller) -> None:
        body = {"email": customer.email, "password": "nul\x00in it"}
        assert_problem(await customer.client.post("/api/login", json=body), 401, "invalid_credentials")

    @pytest.mark.parametrize(
        ("path", "field"),
        [
            ("/api/register", "password"),
            ("/api/register", "firstname"),
            ("/api/register", "email"),
            ("/api/me/password", "new_password"),
            ("/api/me/password", "current_password"),
            ("/api/deals", "dealname"),
        ],
    )
    async def test_unpaired_surrogate_in_text_field_returns_400(
        self, customer: Caller, path: str, field: str
    ) -> None:
        """JSON can represent a lone surrogate; UTF-8 and the databases cannot."""
        bodies = {
            "/api/register": registration_body(),
            "/api/deals": deal_body(),
            "/api/me/password": {"current_password": PASSWORD, "new_password": "a harbour in the morning"},
        }
        body = json.dumps(bodies[path] | {field: "a harbour\ud800"})
        headers = customer.headers | {"Content-Type": "application/json"}
        response = await customer.client.post(path, content=body, headers=headers)
        assert_problem(response, 400, "validation_error", fields=[field])

    @pytest.mark.parametrize(
        "name",
        [
            "<b>Ada</b>",
            "=1+1",
            "+Ada",
            "@Ada",
            "Ada\nBcc: all@example.com",
            "Ada\u202e",
            "\u200bAda",
            "http://x.y",
        ],
    )
    async def test_markup_url_or_control_character_in_name_returns_400(
        self, client: httpx.AsyncClient, name: str
    ) -> None:
        response = await client.post("/api/register", json=registration_body(firstname=name))
        assert_problem(response, 400, "validation_error", fields=["firstname"])


class TestBodies:
    @pytest.mark.parametrize(
        "body",
        [
            b"[" * 16_000,
            b'{"a":' * 3_000,
            b"[" * 8_000 + b"]" * 8_000,
            b'{"email": ' + b"9" * 5_000 + b', "password": "x"}',
            b'{"email": "ada@example.com", "password": "\xff"}',
            b'{"email": "ada@example.com", "password": "x"} {}',
            b"\x00",
            b"",
        ],
        ids=["arrays", "objects", "closed", "number", "latin-1", "two", "nul", "nothing"],
    )
    async def test_malformed_json_body_returns_400(self, client: httpx.AsyncClient, body: bytes) -> None:
        headers = {"Content-Type": "application/json"}
        response = await client.post("/api/login", content=body, headers=headers)
        assert response.status_code == 400, response.text
        assert response.json()["code"] in ("malformed_body", "validation_error")

    @pytest.mark.parametrize("field", ["email", "password"])
    @pytest.mark.parametrize("value", ["NaN", "Infinity", "1e999", "true", "[]", "{}", "[[[[[]]]]]", "null"])
    async def test_non_string_login_field_returns_400(
        self, client: httpx.AsyncClient, field: str, value: str
    ) -> None:
        body = json.dumps({"email": "ada@example.com", "password": "x"} | {field: "@"}).replace('"@"', value)
        headers = {"Content-Type": "application/json"}
        response = await client.post("/api/login", content=body, headers=headers)
        assert_problem(response, 400, "validation_error", fields=[field])


class TestMassAssignment:
    @pytest.mark.parametrize(
        "extra",
        [
            {"hubspot_owner_id": "1"},
            {"hs_deal_stage_probability": "1"},
            {"lifecyclestage": "customer"},
            {"hs_object_id": "1"},
            {"id": "1"},
            {"crm_api_request_id": "x"},
            {"associations": [{"to": {"id": "1"}}]},
            {"properties": {"hubspot_owner_id": "1"}},
            {"properties": {"crm_api_request_id": "x"}},
            {"properties": {"dealname": "another"}},
            {"__proto__": {"role": "staff"}},
        ],
        ids=str,
    )
    async def test_write_of_disallowed_field_returns_400_naming_the_field(
        self, customer: Caller, emulator: Emulator, extra: dict[str, Any]
    ) -> None:
        deal_id = (await customer.post("/api/deals", deal_body())).json()["data"]["id"]
        ticket = await customer.post(f"/api/tickets/{deal_id}", ticket_body())
        ticket_id = ticket.json()["data"]["id"]
        emulator.clear_requests()
        requests = [
            ("POST", "/api/deals", deal_body()),
            ("PATCH", f"/api/deals/{deal_id}", {}),
            ("POST", f"/api/tickets/{deal_id}", ticket_body()),
            ("PATCH", f"/api/tickets/{ticket_id}", {}),
            ("PATCH", f"/api/contacts/{customer.contact_id}", {}),
        ]
        [(name, value)] = extra.items()
        for method, path, body in requests:
            response = await customer.client.request(
                method, path, json=body | extra, headers=customer.headers
            )
            problem = assert_problem(response, 400, "validation_error")
            [detail] = problem["details"]
            assert detail["field"].startswith(name), path
            assert value
        written = [sent for sent in emulator.requests if sent.method in ("POST", "PATCH")]
        assert [sent for sent in written if not sent.path.endswith(("/batch/read", "/search"))] == []

    async def test_customer_creating_deal_for_other_contact_gets_403(
        self, customer: Caller, other_customer: Caller
    ) -> None:
        response = await customer.post("/api/deals", deal_body(contact_id=other_customer.contact_id))
        assert_problem(response, 403, "forbidden")

    @pytest.mark.parametrize(
        "extra", [{"role": "staff"}, {"email_verified": True}, {"contact_id": "1"}, {"id": "1"}]
    )
    async def test_register_with_role_or_internal_field_returns_400(
        self, client: httpx.AsyncClient, extra: dict[str, Any]
    ) -> None:
        response = await client.post("/api/register", json=registration_body(**extra))
        assert_problem(response, 400, "validation_error", fields=list(extra))


class TestHiddenProperties:
    """Filters and sort orders must not reveal the values of hidden properties."""

    HIDDEN = ("hs_deal_stage_probability", "hubspot_owner_id", "hs_forecast_amount", "crm_api_request_id")

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        # `dealtype` is readable but not searchable.
        return settings.model_copy(
            update={"hubspot_properties": {"deals": PropertyLists(readable=["dealtype"])}}
        )

    @pytest.mark.parametrize("name", [*HIDDEN, "dealtype", "properties.dealtype"])
    @pytest.mark.parametrize("role", ["customer", "staff"])
    async def test_filter_or_sort_by_unsearchable_property_returns_400(
        self, customer: Caller, staff: Caller, emulator: Emulator, name: str, role: str
    ) -> None:
        caller = {"customer": customer, "staff": staff}[role]
        await caller.post(
            "/api/deals", deal_body(**({"contact_id": caller.contact_id} if role == "staff" else {}))
        )
        emulator.clear_requests()
        responses = [
            await caller.post(
                "/api/deals/search", {"filters": [{"property": name, "operator": "EQ", "value": "0.2"}]}
            ),
            await caller.post(
                "/api/deals/search", {"filters": [{"property": name, "operator": "HAS_PROPERTY"}]}
            ),
            await caller.post("/api/deals/search", {"sort": {"property": name}}),
            await caller.get("/api/deals", params={"sort": name}),
        ]
        for response in responses:
            assert_problem(response, 400, "validation_error")
        assert emulator.requests == []


class TestOverwriting:
    async def test_same_deal_name_of_two_customers_makes_two_deals(
        self, customer: Caller, other_customer: Caller, emulator: Emulator
    ) -> None:
        first = await customer.post("/api/deals", deal_body(dealname="Renewal", amount="10"))
        second = await other_customer.post("/api/deals", deal_body(dealname="Renewal", amount="99"))
        first_id, second_id = (created.json()["data"]["id"] for created in (first, second))
        assert first_id != second_id
        amounts = {record.id: record.properties["amount"] for record in emulator.records("deals")}
        assert amounts == {first_id: "10", second_id: "99"}

    async def test_ticket_on_other_customers_deal_returns_404(
        self, customer: Caller, other_customer: Caller, emulator: Emulator
    ) -> None:
        deal_id = (await customer.post("/api/deals", deal_body())).json()["data"]["id"]
        assert_problem(await other_customer.post(f"/api/tickets/{deal_id}", ticket_body()), 404, "not_found")
        assert emulator.records("tickets") == []

    async def test_idempotency_key_of_other_user_replays_no_response(
        self, customer: Caller, other_customer: Caller
    ) -> None:
        headers = {"Idempotency-Key": "guessable"}
        mine = await customer.post("/api/deals", deal_body(), headers=headers)
        theirs = await other_customer.post("/api/deals", deal_body(), headers=headers)
        assert (mine.status_code, theirs.status_code) == (201, 201)
        assert mine.json()["data"]["id"] != theirs.json()["data"]["id"]
        assert "idempotency-replayed" not in theirs.headers


class TestCursors:
    @pytest.fixture
    async def cursor(self, customer: Caller) -> str:
        for number in range(3):
            await customer.post("/api/deals", deal_body(dealname=f"Deal {number}"))
        page = (await customer.get("/api/deals", params={"limit": 1})).json()["data"]
        assert page["next_cursor"]
        return str(page["next_cursor"])

    async def test_cursor_returns_200_for_its_user_and_list(self, customer: Caller, cursor: str) -> None:
        response = await customer.get("/api/deals", params={"limit": 1, "cursor": cursor})
        assert response.status_code == 200

    async def test_cursor_of_other_user_returns_400(self, other_customer: Caller, cursor: str) -> None:
        response = await other_customer.get("/api/deals", params={"limit": 1, "cursor": cursor})
        assert_problem(response, 400, "invalid_cursor")

    async def test_cursor_of_other_list_or_filter_returns_400(self, customer: Caller, cursor: str) -> None:
        for path, query in (
            ("/api/tickets", {}),
            ("/api/new-crm-objects", {}),
            ("/api/deals", {"dealstage": "closedwon"}),
        ):
            response = await customer.get(path, params=query | {"cursor": cursor})
            assert_problem(response, 400, "invalid_cursor")

    @pytest.mark.parametrize(("role", "another"), [("staff", "customer"), ("customer", "staff")])
    async def test_cursor_returns_400_after_role_change(
        self, staff: Caller, app: FastAPI, role: str, another: str
    ) -> None:
        for number in range(3):
            deal = deal_body(dealname=f"Deal {number}", contact_id=staff.contact_id)
            assert (await staff.post("/api/deals", deal)).status_code == 201
        assert await set_role(app.state.session_factory, staff.email, role)
        lists: list[dict[str, Any]] = [{"limit": 1}, {"limit": 1, "sort": "dealname"}]
        searches: list[dict[str, Any]] = [{"limit": 1}, {"limit": 1, "query": "deal"}]
        pages = [await staff.get("/api/deals", params=query) for query in lists]
        pages += [await staff.post("/api/deals/search", body) for body in searches]
        cursors = [page.json()["data"]["next_cursor"] for page in pages]
        assert all(cursors)
        assert await set_role(app.state.session_factory, staff.email, another)
        responses = [
            await staff.get("/api/deals", params=query | {"cursor": cursor})
            for query, cursor in zip(lists, cursors[:2], strict=True)
        ]
        responses += [
            await staff.post("/api/deals/search", body | {"cursor": cursor})
            for body, cursor in zip(searches, cursors[2:], strict=True)
        ]
        for response in responses:
            assert_problem(response, 400, "invalid_cursor")

    async def test_cursor_with_changed_character_returns_400(self, customer: Caller, cursor: str) -> None:
        for position in range(0, len(cursor), 7):
            other = "A" if cursor[position] != "A" else "B"
            changed = cursor[:position] + other + cursor[position + 1 :]
            response = await customer.get("/api/deals", params={"cursor": changed})
            assert_problem(response, 400, "invalid_cursor")

    async def test_cursor_signed_with_other_key_returns_400(
        self, customer: Caller, settings: Settings, app: FastAPI
    ) -> None:
        profile = (await customer.get("/api/me")).json()["data"]
        forged = Cursors(KeyRing("another-secret-key")).write({"after": "0"}, UUID(profile["id"]), "deals")
        assert_problem(await customer.get("/api/deals", params={"cursor": forged}), 400, "invalid_cursor")
