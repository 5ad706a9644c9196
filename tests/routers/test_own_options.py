"""Accounts with their own ticket categories and priorities."""

from typing import Any

import pytest
from fastapi import FastAPI
from tests.support.builders import ticket_body
from tests.support.callers import Caller, assert_problem
from tests.support.records import create_deal_as, create_ticket_as, search_all, seed_tickets, writes

from crm_api.hubspot import PropertyOption
from crm_api.settings import Settings
from hubspot_emulator import Emulator


async def set_options(app: FastAPI, name: str, *values: str) -> None:
    """Replace the options of a ticket property, as an administrator of the HubSpot account does."""
    options = [
        PropertyOption(label=value.title(), value=value, display_order=position)
        for position, value in enumerate(values)
    ]
    await app.state.hubspot.properties.update("tickets", name, options=options)


@pytest.fixture
async def own_options(app: FastAPI) -> None:
    await set_options(app, "hs_ticket_category", "INVOICES", "DELIVERY", "BILLING_ISSUE", "meeting")
    await set_options(app, "hs_ticket_priority", "low", "sehr dringend")


async def listed_options(caller: Caller, name: str) -> list[str]:
    results = (await caller.get("/api/properties/tickets")).json()["data"]["results"]
    [listed] = [item for item in results if item["name"] == name]
    return [option["value"] for option in listed["options"]]


@pytest.mark.usefixtures("own_options")
class TestOwnOptions:
    @pytest.mark.parametrize("name", ["category", "hs_ticket_priority"])
    async def test_every_listed_option_can_be_written_and_read_back(
        self, customer: Caller, emulator: Emulator, name: str
    ) -> None:
        deal_id = await create_deal_as(customer)
        options = await listed_options(customer, name)
        assert len(options) == (4 if name == "category" else 2)
        for option in options:
            path = f"/api/tickets/{await create_ticket_as(customer, deal_id, **{name: option})}"
            assert (await customer.get(path)).json()["data"][name] == option
            emulator.clear_requests()
            response = await customer.patch(path, {name: option})
            assert response.status_code == 200, response.text
            assert response.json()["data"][name] == option
            assert writes(emulator) == []

    async def test_category_word_and_its_option_write_the_same_value(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        deal_id = await create_deal_as(customer)
        for sent in ("billing", "BILLING_ISSUE"):
            path = f"/api/tickets/{await create_ticket_as(customer, deal_id, category=sent)}"
            assert (await customer.get(path)).json()["data"]["category"] == "billing"
        stored = [record.properties["hs_ticket_category"] for record in emulator.records("tickets")]
        assert stored == ["BILLING_ISSUE", "BILLING_ISSUE"]

    async def test_several_categories_can_be_written_and_read_back(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        ticket_id = await create_ticket_as(
            customer, await create_deal_as(customer), category="billing;DELIVERY"
        )
        [record] = emulator.records("tickets")
        assert record.properties["hs_ticket_category"] == "BILLING_ISSUE;DELIVERY"
        path = f"/api/tickets/{ticket_id}"
        read = (await customer.get(path)).json()["data"]["category"]
        assert read == "billing;DELIVERY"
        assert (await customer.patch(path, {"category": read})).status_code == 200
        # HubSpot itself would add the option to the current value.
        changed = await customer.patch(path, {"category": ";INVOICES"})
        assert changed.json()["data"]["category"] == "INVOICES"

    async def test_category_without_its_option_uses_option_of_same_name(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        await create_ticket_as(customer, await create_deal_as(customer), category="meeting")
        [record] = emulator.records("tickets")
        assert record.properties["hs_ticket_category"] == "meeting"
        for value, found in (("meeting", 1), ("INVOICES", 0)):
            filters = [{"property": "category", "operator": "EQ", "value": value}]
            assert len(await search_all(customer, "/api/tickets/search", filters=filters)) == found

    @pytest.mark.parametrize(
        "body",
        [
            {"category": "general_inquiry"},
            {"category": "INVOICES;REFUNDS"},
            {"category": ";"},
            {"category": ""},
            {"hs_ticket_priority": "HIGH"},
            {"hs_ticket_priority": "low;sehr dringend"},
        ],
    )
    async def test_value_without_option_returns_400_and_is_not_written(
        self, customer: Caller, emulator: Emulator, body: dict[str, Any]
    ) -> None:
        deal_id = await create_deal_as(customer)
        path = f"/api/tickets/{await create_ticket_as(customer, deal_id)}"
        emulator.clear_requests()
        created = await customer.post(f"/api/tickets/{deal_id}", ticket_body(**body))
        assert_problem(created, 400, "validation_error", fields=list(body))
        changed = await customer.patch(path, body)
        assert_problem(changed, 400, "validation_error", fields=list(body))
        assert writes(emulator) == []

    async def test_deleted_options_of_record_can_be_sent_back_unchanged(
        self, app: FastAPI, customer: Caller, emulator: Emulator
    ) -> None:
        deal_id = await create_deal_as(customer)
        old = {"hs_ticket_category": "DELIVERY;BILLING_ISSUE", "hs_ticket_priority": "low"}
        [ticket_id] = seed_tickets(emulator, 1, to=[("deals", deal_id)], **old)
        await set_options(app, "hs_ticket_category", "BILLING_ISSUE")
        await set_options(app, "hs_ticket_priority", "high")
        path = f"/api/tickets/{ticket_id}"
        ticket = (await customer.get(path)).json()["data"]
        assert (ticket["category"], ticket["hs_ticket_priority"]) == ("DELIVERY;billing", "low")
        sent = {name: ticket[name] for name in ("category", "hs_ticket_priority", "description")}
        response = await customer.patch(path, sent | {"description": "Changed", "subject": "Changed"})
        assert response.status_code == 200, response.text
        assert response.json()["data"]["category"] == "DELIVERY;billing"
        other = await customer.patch(path, {"category": "DELIVERY"})
        assert_problem(other, 400, "validation_error", fields=["category"])


@pytest.mark.parametrize(
    "categories",
    [
        {"billing": "MEETING"},
        {"billing": "INVOICES", "meeting": "INVOICES"},
        {"billing": "meeting"},
    ],
)
def test_categories_that_read_as_one_value_refuse_to_start(
    settings: Settings, categories: dict[str, str]
) -> None:
    from crm_api.main import create_app
    from crm_api.settings import SettingsRefusedError

    with pytest.raises(SettingsRefusedError, match="have the same value"):
        create_app(settings.model_copy(update={"hubspot_ticket_categories": categories}))
