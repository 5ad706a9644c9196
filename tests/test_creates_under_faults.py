"""Every fifth HubSpot call fails in a random way: each create must succeed exactly once."""

import httpx
import pytest
from fastapi import FastAPI
from tests.support.callers import register_caller
from tests.support.fault_run import FAULTS, FaultRun

from crm_api.services.hubspot_account.provisioning import provision
from crm_api.services.properties.categories import TICKET_CATEGORIES
from hubspot_emulator import Emulator

USERS = 20


@pytest.mark.parametrize("seed", [4012])
async def test_500_creates_with_20_percent_faults_happen_once_each(
    app: FastAPI, client: httpx.AsyncClient, emulator: Emulator, seed: int
) -> None:
    await provision(app.state.hubspot, TICKET_CATEGORIES)
    callers = [await register_caller(client, f"user{number}@example.com") for number in range(USERS)]
    emulator.random_faults(0.2, FAULTS, seed)
    run = FaultRun()
    await run.create_all(callers, deals=250, tickets=250)
    emulator.random_faults(0.0, (), seed)
    assert len(run.deals) == len(run.tickets) == 250
    assert len(emulator.used_faults()) > 100
    run.assert_each_created_once(emulator)
