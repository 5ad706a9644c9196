"""Provisioning of the HubSpot account by concurrent commands."""

import asyncio

from fastapi import FastAPI

from crm_api.services.hubspot_account.provisioning import provision
from crm_api.services.properties.categories import TICKET_CATEGORIES
from hubspot_emulator import Emulator


async def test_concurrent_provisioning_adds_each_category_once(app: FastAPI, emulator: Emulator) -> None:
    await asyncio.gather(*(provision(app.state.hubspot, TICKET_CATEGORIES) for _ in range(2)))
    assert 409 in {request.status for request in emulator.requests}
    category = await app.state.hubspot.properties.get("tickets", "hs_ticket_category")
    values = [option.value for option in category.options]
    assert len(values) == len(set(values))
    assert {"SERVICE_REQUEST", "MEETING"} < set(values)
