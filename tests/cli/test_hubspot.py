"""`crm-api hubspot` with the emulator."""

import json
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result
from tests.hubspot_emulator.conftest import served

from crm_api.cli import main
from hubspot_emulator import Emulator

MARKER = "crm_api_request_id"
DOCUMENT = Path(__file__).parents[2] / "docs" / "hubspot-accounts.md"


@pytest.fixture
def hubspot_url(emulator: Emulator) -> Generator[str, None, None]:
    with served(emulator) as url:
        yield url


@pytest.fixture
def run(hubspot_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run the command with the emulator as its HubSpot, and without a database."""
    monkeypatch.chdir(tmp_path)  # ignores a .env file of this machine
    for name, value in {
        "ENVIRONMENT": "production",
        "HUBSPOT_BASE_URL": hubspot_url,
        "HUBSPOT_ACCESS_TOKEN": "test-access-token",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("DATABASE_URL", raising=False)
    return lambda *arguments: CliRunner().invoke(main, ["hubspot", *arguments])


def test_second_provision_command_changes_nothing(run: Callable[..., Result], emulator: Emulator) -> None:
    first = run("provision")
    assert first.exit_code == 0, first.output
    assert first.output.splitlines() == [
        "deals: property group crm_api created",
        f"deals: property {MARKER} created, with unique values",
        "tickets: property group crm_api created",
        f"tickets: property {MARKER} created, with unique values",
        "tickets: category SERVICE_REQUEST added",
        "tickets: category MEETING added",
    ]
    emulator.clear_requests()
    second = run("provision")
    assert (second.exit_code, second.output) == (0, "Nothing was missing.\n")
    assert {request.method for request in emulator.requests} == {"GET"}
    assert run("check").exit_code == 0


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["table", "json"])
@pytest.mark.parametrize("missing", ["deals", "tickets", "category"])
def test_check_fails_for_anything_that_provision_adds(
    run: Callable[..., Result], hubspot_url: str, missing: str, options: list[str]
) -> None:
    assert run("provision").exit_code == 0
    assert run("check", *options).exit_code == 0
    properties = f"{hubspot_url}/crm/properties/2026-09"
    with httpx.Client(headers={"Authorization": "Bearer test-access-token"}) as client:
        if missing == "category":
            url = f"{properties}/tickets/hs_ticket_category"
            present = client.get(url).json()["options"]
            remaining = [option for option in present if option["value"] != "MEETING"]
            client.patch(url, json={"options": remaining}).raise_for_status()
        else:
            client.delete(f"{properties}/{missing}/{MARKER}").raise_for_status()
    assert run("check", *options).exit_code == 1


def test_second_provision_succeeds_after_lost_hubspot_response(
    run: Callable[..., Result], emulator: Emulator
) -> None:
    emulator.fail_next("POST", "/crm/properties/*/deals", kind="drop_after")
    assert run("provision").exit_code == 1
    again = run("provision")
    assert again.exit_code == 0, again.output
    assert "deals" not in again.output


def test_provision_reports_property_without_unique_values(
    run: Callable[..., Result], hubspot_url: str
) -> None:
    definition = {
        "name": MARKER, "label": "x", "groupName": "dealinformation", "type": "string", "fieldType": "text",
    }  # fmt: skip
    headers = {"Authorization": "Bearer test-access-token"}
    httpx.post(
        f"{hubspot_url}/crm/properties/2026-09/deals", json=definition, headers=headers
    ).raise_for_status()
    result = run("provision")
    assert result.exit_code == 1
    assert result.output.splitlines()[:2] == [
        "tickets: property group crm_api created",
        f"tickets: property {MARKER} created, with unique values",
    ]
    assert f"deals: {MARKER} exists without unique values" in result.output.splitlines()[-1]
    assert run("provision").output == result.output.splitlines()[-1] + "\n"


@pytest.mark.parametrize("status", [403, 500])
def test_provision_reports_hubspot_error_in_one_line(
    run: Callable[..., Result], emulator: Emulator, status: int
) -> None:
    emulator.fail_next("GET", "/crm/properties/*", status=status, times=10)
    result = run("provision")
    assert result.exit_code == 1
    assert len(result.output.splitlines()) == 1
    assert "Traceback" not in result.output


def test_hubspot_check_accepts_a_refresh_token(
    run: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The database may have a newer refresh token.
    monkeypatch.setenv("ENVIRONMENT", "development")
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/cli.db")
    monkeypatch.delenv("HUBSPOT_ACCESS_TOKEN")
    monkeypatch.setenv("HUBSPOT_CLIENT_ID", "demo-client-id")
    monkeypatch.setenv("HUBSPOT_CLIENT_SECRET", "demo-client-secret")
    monkeypatch.setenv("HUBSPOT_REFRESH_TOKEN", "demo-refresh-token")
    result = run("check")
    [credentials] = [line for line in result.output.splitlines() if " credentials " in line]
    assert credentials.startswith("ok "), result.output


@pytest.mark.parametrize(
    ("heading", "switches", "status"),
    [
        ("Default account", {}, 1),
        (
            "Account with required properties",
            {"required_properties": {"contacts": ["company"], "deals": ["dealtype"]}},
            1,
        ),
        (
            "Account with a restricted token",
            {"scopes": [f"crm.objects.{name}.read" for name in ("contacts", "deals", "tickets")]},
            1,
        ),
    ],
)
def test_check_prints_what_the_document_shows(
    run: Callable[..., Result], emulator: Emulator, heading: str, switches: dict[str, Any], status: int
) -> None:
    emulator.switches.update(switches)
    assert_documented(run("check"), heading, status)


def test_check_of_own_categories_prints_what_the_document_shows(
    run: Callable[..., Result], hubspot_url: str
) -> None:
    options = [
        {"label": value.capitalize(), "value": value, "displayOrder": position, "hidden": False}
        for position, value in enumerate(("INVOICES", "DELIVERY", "BILLING_ISSUE"))
    ]
    httpx.patch(
        f"{hubspot_url}/crm/properties/2026-09/tickets/hs_ticket_category",
        json={"options": options},
        headers={"Authorization": "Bearer test-access-token"},
    ).raise_for_status()
    assert_documented(run("check"), "Account with own ticket categories", 1)


def test_check_of_stale_settings_prints_what_the_document_shows(
    run: Callable[..., Result], emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulator.switches.time_zone = "America/New_York"
    allowed = {"deals": {"default": ["qualifiedtobuy", "negotiation"]}, "tickets": {"1270000001": []}}
    monkeypatch.setenv("CUSTOMER_STAGES", json.dumps(allowed))
    assert_documented(run("check"), "Account with stale settings", 1)


def assert_documented(result: Result, heading: str, status: int) -> None:
    section = DOCUMENT.read_text(encoding="utf-8").partition(f"### {heading}\n")[2]
    shown = section.partition("```text\n")[2].partition("```")[0]
    assert result.stdout == shown
    assert result.exit_code == status
