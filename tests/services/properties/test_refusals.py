"""Refusals of values and rules of the HubSpot account, as the caller sees them."""

from typing import Any

import pytest
from tests.support.builders import deal_body, ticket_body
from tests.support.callers import Caller, assert_problem
from tests.support.records import create_deal_as, writes

from crm_api.settings import Settings
from hubspot_emulator import Emulator


@pytest.fixture
def settings(settings: Settings) -> Settings:
    added = {
        "deals": {
            "readable": ["closed_lost_reason", "dealtype"],
            "writable_by_customer": ["closed_lost_reason"],
            "writable_by_staff": ["closed_lost_reason", "dealtype"],
        }
    }
    return Settings(**(settings.model_dump() | {"_env_file": None, "hubspot_properties": added}))


async def test_deal_can_be_closed_with_the_reason_that_is_required(
    customer: Caller, emulator: Emulator
) -> None:
    emulator.switches.conditional_properties = {"deals": {"dealstage=closedlost": ["closed_lost_reason"]}}
    path = f"/api/deals/{await create_deal_as(customer)}"
    response = await customer.patch(path, {"dealstage": "closedlost"})
    problem = assert_problem(response, 400, "validation_error", fields=["properties.closed_lost_reason"])
    assert "Closed lost reason" in problem["detail"]
    body = {"dealstage": "closedlost", "properties": {"closed_lost_reason": "price"}}
    assert (await customer.patch(path, body)).status_code == 200
    assert_problem(
        await customer.post("/api/deals", deal_body(dealstage="closedlost")), 400, "validation_error"
    )


@pytest.mark.parametrize("operation", ["create", "update"])
@pytest.mark.parametrize(
    ("rule", "value"),
    [
        ({"amount": {"MIN_NUMBER": "100"}}, {"amount": 5}),
        ({"amount": {"MAX_NUMBER": "4"}}, {"amount": 5}),
        ({"dealname": {"REGEX": "D-[0-9]+"}}, {"dealname": "Vans"}),
        ({"description": {"MAX_LENGTH": "3"}}, {"description": "Vans"}),
    ],
)
async def test_validation_rule_is_400_with_text_of_the_account(
    customer: Caller, emulator: Emulator, operation: str, rule: dict[str, Any], value: dict[str, Any]
) -> None:
    path = f"/api/deals/{await create_deal_as(customer)}"
    emulator.switches.validation_rules = {"deals": rule}
    if operation == "create":
        response = await customer.post("/api/deals", deal_body(**value))
    else:
        response = await customer.patch(path, value)
    problem = assert_problem(response, 400, "validation_error", fields=list(value))
    [name] = rule
    [[_, argument]] = rule[name].items()
    assert problem["details"][0]["message"].startswith("must ")
    assert argument in problem["details"][0]["message"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("must be at least 100", True),
        ("must be less than hs_forecast_amount", False),
        ("must not exceed the Annual Revenue of the deal", True),
        ("must not exceed the Forecast Amount of the deal", False),
        ("is already used by object 123", False),
        ("", False),
    ],
)
async def test_text_of_hubspot_is_hidden_if_it_names_another_property(
    customer: Caller, emulator: Emulator, text: str, *, shown: bool
) -> None:
    path = f"/api/deals/{await create_deal_as(customer)}"
    error = {"code": "SOME_RULE", "message": text, "context": {"propertyName": ["amount"]}}
    body = {"status": "error", "category": "VALIDATION_ERROR", "message": "invalid", "errors": [error]}
    emulator.fail_next("PATCH", "/crm/objects/*/deals/*", status=400, body=body)
    problem = assert_problem(
        await customer.patch(path, {"amount": 5}), 400, "validation_error", fields=["amount"]
    )
    expected = text if shown else "is not accepted by HubSpot"
    assert problem["details"][0]["message"] == expected


@pytest.mark.parametrize(
    "body",
    [
        {
            "status": "error",
            "category": "VALIDATION_ERROR",
            "message": "A rule of this account refuses this.",
        },
        {"status": "error", "message": "x", "errors": [{"code": "NEW_CODE", "message": "no", "context": {}}]},
        {
            "status": "error",
            "message": "x",
            "errors": [
                {"code": "INVALID_OPTION", "message": "no", "context": {"propertyName": ["secret_code"]}}
            ],
        },
    ],
)
async def test_rule_without_a_known_property_is_400_on_the_body(
    customer: Caller, emulator: Emulator, body: dict[str, Any]
) -> None:
    deal_id = await create_deal_as(customer)
    for method, path, request in (
        ("POST", "/api/deals", deal_body()),
        ("PATCH", f"/api/deals/{deal_id}", {"amount": 5}),
        ("POST", f"/api/tickets/{deal_id}", ticket_body()),
        ("PATCH", f"/api/contacts/{customer.contact_id}", {"firstname": "Eve"}),
        ("PATCH", "/api/me", {"firstname": "Eve"}),
    ):
        emulator.fail_next(method, "/crm/objects/*", status=400, body=body)
        send = customer.post if method == "POST" else customer.patch
        problem = assert_problem(await send(path, request), 400, "validation_error", fields=["body"])
        assert "ask the company" in problem["details"][0]["message"]
        assert "secret_code" not in str(problem)


async def test_request_that_hubspot_cannot_read_is_502(customer: Caller, emulator: Emulator) -> None:
    path = f"/api/deals/{await create_deal_as(customer)}"
    emulator.clear_requests()
    body = {"status": "error", "message": "Invalid input JSON on line 1, column 1: Cannot deserialize"}
    emulator.fail_next("PATCH", "/crm/objects/*/deals/*", status=400, body=body)
    assert_problem(await customer.patch(path, {"amount": 5}), 502, "hubspot_error")
    assert len(writes(emulator)) == 1
