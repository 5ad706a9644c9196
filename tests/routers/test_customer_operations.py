"""CUSTOMER_OPERATIONS: what customers may do with deals and tickets."""

from typing import get_args

import httpx
import pytest
from tests.support.builders import deal_body, ticket_body
from tests.support.callers import Caller, assert_problem
from tests.support.records import create_deal_as, seed_deals, seed_tickets

from crm_api import settings as settings_module
from crm_api.schemas.accounts import CustomerOperation
from crm_api.settings import Settings
from hubspot_emulator import Emulator

ALL: list[CustomerOperation] = list(get_args(CustomerOperation))


async def perform(caller: Caller, operation: str, deal_id: str, ticket_id: str) -> httpx.Response:
    """Send the request of an operation."""
    if operation == "create_deal":
        return await caller.post("/api/deals", deal_body())
    if operation == "create_ticket":
        return await caller.post(f"/api/tickets/{deal_id}", ticket_body())
    verb, noun = operation.split("_")
    path = f"/api/{noun}s/{deal_id if noun == 'deal' else ticket_id}"
    body = {"dealname": "Changed"} if noun == "deal" else {"subject": "Changed"}
    return await (caller.patch(path, body) if verb == "update" else caller.delete(path))


def test_setting_names_the_operations_of_the_contract() -> None:
    assert get_args(settings_module.CustomerOperation) == get_args(CustomerOperation)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, ["create_deal", "update_deal", "create_ticket", "update_ticket"]),
        ("", ["create_deal", "update_deal", "create_ticket", "update_ticket"]),
        ("none", []),
        ("archive_deal, create_ticket", ["archive_deal", "create_ticket"]),
    ],
)
def test_customer_operations_are_read_from_comma_separated_names(
    monkeypatch: pytest.MonkeyPatch, value: str | None, expected: list[str]
) -> None:
    if value is not None:
        monkeypatch.setenv("CUSTOMER_OPERATIONS", value)
    assert Settings(_env_file=None, environment="development").customer_operations == expected


@pytest.mark.parametrize("allowed", [ALL[:2], [], ["archive_deal", "archive_ticket"]])
class TestAllowed:
    @pytest.fixture
    def settings(self, settings: Settings, allowed: list[CustomerOperation]) -> Settings:
        return settings.model_copy(update={"customer_operations": allowed})

    async def test_customer_can_do_only_what_the_setting_allows(
        self, customer: Caller, staff: Caller, emulator: Emulator, allowed: list[CustomerOperation]
    ) -> None:
        for operation in ALL:
            [deal_id] = seed_deals(emulator, customer.contact_id, 1)
            [ticket_id] = seed_tickets(emulator, 1, to=[("contacts", customer.contact_id)])
            emulator.clear_requests()
            response = await perform(customer, operation, deal_id, ticket_id)
            if operation in allowed:
                assert response.is_success, response.text
            else:
                assert_problem(response, 403, "forbidden")
                assert emulator.requests == []
            assert (await perform(staff, operation, deal_id, ticket_id)).status_code in (200, 201, 204, 404)

    async def test_profile_lists_what_the_caller_may_do(
        self, customer: Caller, staff: Caller, allowed: list[CustomerOperation]
    ) -> None:
        for caller, expected in ((customer, allowed), (staff, ALL)):
            profile = (await caller.get("/api/me")).json()["data"]
            assert profile["operations"] == list(expected)
            changed = (await caller.patch("/api/me", {"phone": "+44 20 7946 0019"})).json()["data"]
            assert changed["operations"] == list(expected)
            exported = (await caller.get("/api/me/export")).json()["data"]["profile"]
            assert exported["operations"] == list(expected)


class TestForbidden:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"customer_operations": ["create_deal"]})

    async def test_forbidden_operation_does_not_show_which_records_exist(
        self, customer: Caller, other_customer: Caller, emulator: Emulator
    ) -> None:
        deal_id = await create_deal_as(customer)
        emulator.clear_requests()
        problems = []
        for caller, record_id in (
            (customer, deal_id),
            (other_customer, deal_id),
            (other_customer, "99999999"),
        ):
            response = await caller.delete(f"/api/deals/{record_id}")
            problem = assert_problem(response, 403, "forbidden")
            del problem["request_id"]
            problems.append(problem)
        assert problems[0] == problems[1] == problems[2]
        assert emulator.requests == []
