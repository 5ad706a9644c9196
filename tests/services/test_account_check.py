"""What an operator is told about the HubSpot account."""

from datetime import date
from typing import Any

import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from tests.support.emulator_transport import EmulatorTransport

from crm_api.main import create_app
from crm_api.services.hubspot_account.checks import (
    UNLIMITED,
    Finding,
    Limits,
    check_account,
    check_limits,
    end_of_support,
)
from crm_api.services.hubspot_account.provisioning import provision
from crm_api.services.properties.mapping import TICKET_CATEGORIES
from crm_api.settings import Settings
from hubspot_emulator import Emulator

HELD = {
    f"crm.objects.{name}.{right}" for name in ("contacts", "deals", "tickets") for right in ("read", "write")
} | {"oauth"}
LIMITS = Limits(burst=100, search=5, daily=250_000)


async def findings(
    app: FastAPI, *, limits: Limits = LIMITS, today: date = date(2026, 11, 25)
) -> list[Finding]:
    return await check_account(
        app.state.hubspot,
        api_version="2026-09",
        fields=app.state.record_fields,
        limits=limits,
        today=today,
    )


async def test_a_new_account_lacks_what_provision_makes(app: FastAPI, emulator: Emulator) -> None:
    emulator.clear_requests()
    found = [each.finding for each in await findings(app) if each.state != "ok"]
    assert sum("crm_api_request_id is missing" in each for each in found) == 2
    assert sum("hs_ticket_category has no option" in each for each in found) == 2
    assert {request.method for request in emulator.requests} == {"GET"}


async def test_after_provision_nothing_is_missing(app: FastAPI) -> None:
    await provision(app.state.hubspot, TICKET_CATEGORIES)
    states = {each.subject: each.state for each in await findings(app)}
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


@pytest.mark.parametrize(
    ("today", "state", "words"),
    [
        (date(2027, 8, 31), "ok", "supported until about 2028-03"),
        (date(2027, 9, 1), "warning", "plan for a newer"),
        (date(2028, 2, 29), "warning", "plan for a newer"),
        (date(2028, 3, 1), "failed", "is unsupported since about 2028-03"),
    ],
)
async def test_the_end_of_support_is_told_in_time(app: FastAPI, today: date, state: str, words: str) -> None:
    found = (await findings(app, today=today))[0]
    assert (found.subject, found.state) == ("API version", state)
    assert words in found.finding


@pytest.mark.parametrize("object_type", ["contacts", "deals", "tickets"])
async def test_a_static_tokens_missing_scope_is_seen_by_reading(
    app: FastAPI, emulator: Emulator, object_type: str
) -> None:
    emulator.fail_next("GET", f"/crm/objects/*/{object_type}", status=403, times=1)
    found = {each.subject: each for each in await findings(app)}
    assert found["scopes"].state == "failed"
    assert "missing: " in found["scopes"].finding


class TestOAuth:
    """The token's answer says what was granted."""

    @pytest.fixture
    async def oauth(self, settings: Settings, emulator: Emulator) -> Any:
        changes = {
            "hubspot_access_token": None,
            "hubspot_client_id": "demo-client-id",
            "hubspot_client_secret": SecretStr("demo-client-secret"),
            "hubspot_refresh_token": SecretStr("demo-refresh-token"),
        }
        app = create_app(settings.model_copy(update=changes), hubspot_transport=EmulatorTransport(emulator))
        async with app.router.lifespan_context(app):
            await app.state.watching
            yield app

    @pytest.mark.parametrize(
        ("granted", "state", "finding"),
        [
            (HELD, "ok", "all required scopes, no others"),
            (HELD - {"crm.objects.deals.write"}, "failed", "missing: crm.objects.deals.write"),
            (
                HELD - {"crm.objects.tickets.read", "tickets"},
                "failed",
                "missing: crm.objects.tickets.read or tickets",
            ),
            (HELD - {"crm.objects.tickets.read"} | {"tickets"}, "ok", "all required scopes, no others"),
            (HELD | {"automation", "files"}, "warning", "not needed: automation, files"),
            (
                HELD - {"crm.objects.deals.read"} | {"files"},
                "failed",
                "missing: crm.objects.deals.read; not needed: files",
            ),
        ],
    )
    async def test_scopes_missing_and_in_excess(
        self, oauth: FastAPI, granted: set[str], state: str, finding: str
    ) -> None:
        oauth.state.hubspot.sender.auth.granted_scopes = frozenset(granted)
        found = {each.subject: each for each in await findings(oauth)}["scopes"]
        assert (found.state, found.finding) == (state, finding)


def limit_findings(snapshot: dict[str, float]) -> list[tuple[str, str]]:
    return [(each.state, each.finding) for each in check_limits(snapshot, LIMITS)]


def test_limits_are_compared_with_what_is_set() -> None:
    search = ("ok", "5 per second as set; HubSpot does not report it")
    assert limit_findings({"burst_limit": UNLIMITED, "daily_limit": UNLIMITED, "daily_remaining": 1}) == [
        ("ok", "100 per 10 s as set; HubSpot does not report it"),
        ("ok", "250000 per day as set; HubSpot does not report it"),
        search,
    ]
    assert limit_findings({"burst_limit": 190, "daily_limit": 250_000, "daily_remaining": 7}) == [
        ("ok", "190 per 10 s; HUBSPOT_BURST_LIMIT is 100: it can be raised"),
        ("ok", "250000 per day, 7 remaining today"),
        search,
    ]
    assert limit_findings({"burst_limit": 90, "daily_limit": 1000, "daily_remaining": 900}) == [
        ("warning", "HubSpot allows 90 per 10 s; HUBSPOT_BURST_LIMIT is 100: lower it"),
        (
            "warning",
            "HubSpot allows 1000 per day, 900 remaining today; HUBSPOT_DAILY_LIMIT is 250000: lower it",
        ),
        search,
    ]
