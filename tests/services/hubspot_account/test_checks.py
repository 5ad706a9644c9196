"""Checks of the HubSpot account for operators."""

from datetime import date
from typing import Any, cast

import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from tests.support.emulator_transport import EmulatorTransport

from crm_api.hubspot import PropertyOption
from crm_api.main import create_app
from crm_api.services.hubspot_account.binding import bound_account
from crm_api.services.hubspot_account.checks import (
    UNLIMITED,
    Binding,
    Finding,
    Limits,
    check_account,
    check_limits,
    end_of_support,
)
from crm_api.services.hubspot_account.provisioning import provision
from crm_api.services.properties.categories import TICKET_CATEGORIES
from crm_api.services.properties.fields import RecordFields
from crm_api.services.properties.pipelines import CustomerStages
from crm_api.settings import Settings
from hubspot_emulator import Emulator

GRANTED = {
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
        stages=app.state.customer_stages,
        limits=limits,
        today=today,
        binding=Binding(await bound_account(app.state.session_factory)),
    )


async def test_check_of_new_account_reports_missing_definitions(app: FastAPI, emulator: Emulator) -> None:
    emulator.clear_requests()
    problems = [finding.finding for finding in await findings(app) if finding.state == "failed"]
    assert sum("crm_api_request_id is missing" in problem for problem in problems) == 2
    assert sum("hs_ticket_category has no option" in problem for problem in problems) == 1
    assert {request.method for request in emulator.requests} == {"GET"}


async def test_check_and_provision_accept_options_named_like_words(app: FastAPI) -> None:
    await provision(app.state.hubspot, TICKET_CATEGORIES)
    options = [PropertyOption(label=word, value=word) for word in TICKET_CATEGORIES]
    await app.state.hubspot.properties.update("tickets", "hs_ticket_category", options=options)
    assert await provision(app.state.hubspot, TICKET_CATEGORIES) == []
    assert not [finding for finding in await findings(app) if finding.state == "failed"]


async def test_provisioned_hubspot_account_passes_all_checks(app: FastAPI) -> None:
    await provision(app.state.hubspot, TICKET_CATEGORIES)
    states = {finding.subject: finding.state for finding in await findings(app)}
    # HubSpot does not report the scopes of a static token.
    assert states.pop("scopes") == "unknown"
    assert set(states.values()) == {"ok"}


@pytest.mark.parametrize("status", [401, 403, 500])
async def test_hubspot_checks_end_if_account_info_is_not_readable(
    app: FastAPI, emulator: Emulator, status: int
) -> None:
    emulator.fail_next("*", "/account-info/*", status=status, times=20)
    last = (await findings(app))[-1]
    assert (last.state, last.subject) == ("failed", "credentials")


@pytest.mark.parametrize(
    ("version", "end"), [("2026-09", (2028, 3)), ("2026-03", (2027, 9)), ("2027-03-beta", (2028, 9))]
)
def test_end_of_support_is_18_months_after_api_version(version: str, end: tuple[int, int]) -> None:
    assert end_of_support(version) == end


@pytest.mark.parametrize(
    ("today", "state", "text"),
    [
        (date(2027, 8, 31), "ok", "supported until about 2028-03"),
        (date(2027, 9, 1), "warning", "plan for a newer"),
        (date(2028, 2, 29), "warning", "plan for a newer"),
        (date(2028, 3, 1), "failed", "is unsupported since about 2028-03"),
    ],
)
async def test_end_of_api_version_support_is_reported(
    app: FastAPI, today: date, state: str, text: str
) -> None:
    finding = (await findings(app, today=today))[0]
    assert (finding.subject, finding.state) == ("API version", state)
    assert text in finding.finding


@pytest.mark.parametrize("object_type", ["contacts", "deals", "tickets"])
async def test_hubspot_check_reports_missing_scope_if_a_list_gets_403(
    app: FastAPI, emulator: Emulator, object_type: str
) -> None:
    emulator.fail_next("GET", f"/crm/objects/*/{object_type}", status=403, times=1)
    found = {finding.subject: finding for finding in await findings(app)}
    assert found["scopes"].state == "failed"
    assert "missing: " in found["scopes"].finding


@pytest.mark.parametrize(
    ("status", "state", "text"),
    [
        (403, "failed", "missing: crm.objects.deals.read"),
        (401, "failed", "HubSpot rejected the credentials"),
        (400, "warning", "HubSpot returned 400"),
    ],
)
async def test_scope_check_describes_a_list_that_cannot_be_read(
    app: FastAPI, emulator: Emulator, status: int, state: str, text: str
) -> None:
    body = {"status": "error", "category": "MISSING_SCOPES" if status == 403 else "OTHER", "message": "no"}
    emulator.fail_next("GET", "/crm/objects/*/deals", status=status, times=5, body=body)
    found = {finding.subject: finding for finding in await findings(app)}["scopes"]
    assert found.state == state
    assert found.finding.startswith(text)


@pytest.mark.parametrize(
    ("object_type", "name", "state", "text"),
    [
        ("contacts", "company", "failed", "no caller can set it: every registration is refused"),
        ("contacts", "jobtitle", "failed", "only staff can set it: every registration is refused"),
        ("contacts", "lifecyclestage", "failed", "only staff can set it: every registration is refused"),
        ("deals", "hs_next_step", "failed", "no caller can set it: callers cannot create deals"),
        ("deals", "dealtype", "warning", "only staff can set it: customers cannot create deals"),
        ("tickets", "source_type", "failed", "no caller can set it: callers cannot create tickets"),
        ("contacts", "email", "ok", ""),
        ("contacts", "phone", "ok", ""),
        ("contacts", "city", "ok", ""),
        ("deals", "amount", "ok", ""),
        ("tickets", "hs_ticket_category", "ok", ""),
    ],
)
async def test_check_reports_required_property_that_cannot_be_set(
    app: FastAPI, emulator: Emulator, object_type: str, name: str, state: str, text: str
) -> None:
    app.state.record_fields = RecordFields(
        TICKET_CATEGORIES,
        {
            "contacts": {
                "readable": ["jobtitle", "city"],
                "writable_by_customer": ["city"],
                "writable_by_staff": ["jobtitle", "city"],
            },
            "deals": {"readable": ["dealtype"], "writable_by_staff": ["dealtype"]},
        },
    )
    emulator.switches.required_properties = {object_type: [name]}
    found = {finding.subject: finding for finding in await findings(app)}["required properties"]
    assert found.state == state
    assert text in found.finding
    assert state == "ok" or f"({name})" in found.finding


async def test_check_says_if_required_properties_are_not_known(app: FastAPI, emulator: Emulator) -> None:
    emulator.fail_next("GET", "/crm-object-schemas/*", status=403, times=10)
    found = {finding.subject: finding for finding in await findings(app)}["required properties"]
    assert (found.state, found.finding[:10]) == ("unknown", "not known:")


@pytest.mark.parametrize(
    ("scopes", "subjects"),
    [
        ({"crm.objects.contacts.read", "crm.objects.deals.read", "crm.objects.tickets.read"}, {"properties"}),
        ({f"crm.schemas.{name}.read" for name in ("contacts", "deals", "tickets")}, {"scopes"}),
    ],
)
async def test_check_fails_if_the_token_cannot_read(
    app: FastAPI, emulator: Emulator, scopes: set[str], subjects: set[str]
) -> None:
    emulator.switches.scopes = scopes
    failed = {finding.subject for finding in await findings(app) if finding.state == "failed"}
    assert subjects <= failed


class TestOAuth:
    """The token response lists the granted scopes."""

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
            await app.state.startup_checks
            yield app

    @pytest.mark.parametrize(
        ("granted", "state", "finding"),
        [
            (GRANTED, "ok", "all required scopes, no others"),
            (GRANTED - {"crm.objects.deals.write"}, "failed", "missing: crm.objects.deals.write"),
            (
                GRANTED - {"crm.objects.tickets.read", "tickets"},
                "failed",
                "missing: crm.objects.tickets.read or tickets",
            ),
            (GRANTED - {"crm.objects.tickets.read"} | {"tickets"}, "ok", "all required scopes, no others"),
            (GRANTED | {"automation", "files"}, "warning", "not needed: automation, files"),
            (
                GRANTED - {"crm.objects.deals.read"} | {"files"},
                "failed",
                "missing: crm.objects.deals.read; not needed: files",
            ),
        ],
    )
    async def test_hubspot_check_reports_missing_and_unneeded_scopes(
        self, oauth: FastAPI, granted: set[str], state: str, finding: str
    ) -> None:
        oauth.state.hubspot.sender.auth.granted_scopes = frozenset(granted)
        found = {finding.subject: finding for finding in await findings(oauth)}["scopes"]
        assert (found.state, found.finding) == (state, finding)

    async def test_hubspot_check_warns_if_the_scopes_cannot_be_read(
        self, oauth: FastAPI, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(oauth.state.hubspot.sender.auth, "granted_scopes", None)
        # The check of the credentials and the binding have read the account before.
        token_scopes = oauth.state.hubspot.account.token_scopes

        async def fail_then_read() -> frozenset[str] | None:
            emulator.fail_next("GET", "/account-info/*", status=400)
            return cast("frozenset[str] | None", await token_scopes())

        monkeypatch.setattr(oauth.state.hubspot.account, "token_scopes", fail_then_read)
        found = {finding.subject: finding for finding in await findings(oauth)}["scopes"]
        assert (found.state, found.finding[:20]) == ("warning", "HubSpot returned 400")


def limit_findings(snapshot: dict[str, float]) -> list[tuple[str, str]]:
    return [(finding.state, finding.finding) for finding in check_limits(snapshot, LIMITS)]


def test_hubspot_check_compares_limits_with_the_settings() -> None:
    search = ("ok", "5 per second as configured; HubSpot does not report the limit")
    assert limit_findings({"burst_limit": UNLIMITED, "daily_limit": UNLIMITED, "daily_remaining": 1}) == [
        ("ok", "100 per 10 s as configured; HubSpot does not report the limit"),
        ("ok", "250000 per day as configured; HubSpot does not report the limit"),
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


async def test_hubspot_check_fails_if_a_category_hides_an_option(app: FastAPI) -> None:
    options = [PropertyOption(label=value, value=value) for value in ("billing", "BILLING_ISSUE")]
    await app.state.hubspot.properties.update("tickets", "hs_ticket_category", options=options)
    [finding] = [finding for finding in await findings(app) if finding.subject == "settings"]
    assert finding.state == "failed"
    assert "billing means BILLING_ISSUE" in finding.finding


async def test_hubspot_check_names_category_setting_before_provision(app: FastAPI) -> None:
    options = [PropertyOption(label=value, value=value) for value in ("INVOICES", "DELIVERY")]
    await app.state.hubspot.properties.update("tickets", "hs_ticket_category", options=options)
    [finding] = [item for item in await findings(app) if "hs_ticket_category" in item.finding]
    setting, provisioning = (
        finding.finding.index(name) for name in ("HUBSPOT_TICKET_CATEGORIES", "provision")
    )
    assert finding.state == "failed"
    assert setting < provisioning
    assert "INVOICES, DELIVERY" in finding.finding


@pytest.mark.parametrize(
    ("allowed", "expected"),
    [
        ({"deals": {"default": ["closedwon"]}, "tickets": {"0": []}}, []),
        ({"deals": {"deleted": []}}, ["no deals pipeline deleted; it has default"]),
        ({"tickets": {"0": ["1", "9"]}}, ["no tickets stage 9 of pipeline 0; it has 1, 2, 3, 4"]),
    ],
)
async def test_hubspot_check_fails_for_unknown_pipelines_and_stages(
    app: FastAPI, allowed: dict[str, dict[str, list[str]]], expected: list[str]
) -> None:
    app.state.customer_stages = CustomerStages(allowed)
    found = [finding for finding in await findings(app) if finding.subject == "settings"]
    assert [finding.state for finding in found] == (["failed"] * len(expected) or ["ok"])
    assert all(text in finding.finding for text, finding in zip(expected, found, strict=False))
