"""Currency of deals."""

import httpx
from fastapi import FastAPI
from tests.support.builders import deal_body
from tests.support.callers import Caller, assert_problem
from tests.support.records import list_all, seed_deals

from hubspot_emulator import Emulator


async def test_deal_has_own_currency_or_that_of_the_account(
    customer: Caller, staff: Caller, emulator: Emulator
) -> None:
    [foreign] = seed_deals(emulator, customer.contact_id, 1, deal_currency_code="EUR")
    [plain] = seed_deals(emulator, customer.contact_id, 1)
    emulator.clear_requests()
    for caller in (customer, staff):
        listed = {deal["id"]: deal["currency"] for deal in await list_all(caller, "/api/deals")}
        assert listed == {foreign: "EUR", plain: "USD"}
        assert (await caller.get(f"/api/deals/{foreign}")).json()["data"]["currency"] == "EUR"
        page = (await caller.get("/api/new-crm-objects")).json()["data"]["data"]
        nested = {deal["currency"] for contact in page["contacts"] for deal in contact["deals"]}
        assert nested == {"EUR", "USD"}
    assert (await customer.post("/api/deals", deal_body())).json()["data"]["currency"] == "USD"
    updated = await customer.patch(f"/api/deals/{foreign}", {"amount": 5})
    assert (updated.json()["data"]["amount"], updated.json()["data"]["currency"]) == ("5", "EUR")
    # The account's currency was read at start.
    assert not [request for request in emulator.requests if "account-info" in request.path]


async def test_currency_is_null_while_the_account_is_unknown(
    app: FastAPI, customer: Caller, emulator: Emulator
) -> None:
    app.state.hubspot.account.currency = None
    seed_deals(emulator, customer.contact_id, 1)
    assert [deal["currency"] for deal in await list_all(customer, "/api/deals")] == [None]


async def test_currency_cannot_be_written_or_filtered(customer: Caller) -> None:
    response: httpx.Response = await customer.post("/api/deals", deal_body(currency="EUR"))
    assert_problem(response, 400, "validation_error", fields=["currency"])
    condition = {"property": "currency", "operator": "EQ", "value": "USD"}
    response = await customer.post("/api/deals/search", {"filters": [condition]})
    assert_problem(response, 400, "validation_error", fields=["filters.0.property"])
