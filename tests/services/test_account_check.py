"""What an operator is told about the HubSpot account."""

import pytest
from fastapi import FastAPI

from crm_api.hubspot_emulator import Emulator
from crm_api.services.account_check import Finding, check_account, end_of_support
from crm_api.services.provisioning import provision
from crm_api.services.records import TICKET_CATEGORIES


async def findings(app: FastAPI) -> list[Finding]:
    return await check_account(app.state.hubspot, api_version="2026-09", fields=app.state.record_fields)


async def test_a_new_account_lacks_what_provision_makes(app: FastAPI, emulator: Emulator) -> None:
    emulator.clear_requests()
    found = [each.finding for each in await findings(app) if each.state != "ok"]
    assert sum("crm_api_request_id is missing" in each for each in found) == 2
    assert sum("hs_ticket_category has no option" in each for each in found) == 2
    assert {request.method for request in emulator.requests} == {"GET"}


async def test_after_provision_nothing_is_missing(app: FastAPI) -> None:
    await provision(app.state.hubspot, TICKET_CATEGORIES)
    states = {each.subject: each.state for each in await findings(app)}
    # A static token's scopes can be read on no dated path.
    assert states.pop("scopes") == "warning"
    assert set(states.values()) == {"ok"}


@pytest.mark.parametrize("status", [401, 403, 500])
async def test_credentials_that_do_not_work_are_the_last_finding(
    app: FastAPI, emulator: Emulator, status: int
) -> None:
    emulator.fail_next("*", "/account-info/*", status=status, times=20)
    last = (await findings(app))[-1]
    assert (last.state, last.subject) == ("failed", "credentials")


@pytest.mark.parametrize(
    ("version", "end"), [("2026-09", (2028, 3)), ("2026-03", (2027, 9)), ("2027-03-beta", (2028, 9))]
)
def test_a_version_is_supported_for_eighteen_months(version: str, end: tuple[int, int]) -> None:
    assert end_of_support(version) == end
