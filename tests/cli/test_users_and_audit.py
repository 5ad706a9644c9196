"""`crm-api users` and `crm-api audit`."""

import asyncio
import json
from collections.abc import Generator

import pytest
from click.testing import CliRunner, Result
from tests.hubspot_emulator.conftest import served
from tests.support.builders import deal_body
from tests.support.callers import Caller, assert_problem
from tests.support.records import seed_deals

from crm_api.cli import main
from crm_api.settings import Settings
from hubspot_emulator import Emulator


@pytest.fixture
def command(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.setenv("DATABASE_URL", settings.database_url)
    monkeypatch.setenv("ENVIRONMENT", "development")

    async def run(*arguments: str) -> Result:
        # In a thread, because the command runs its own event loop.
        return await asyncio.to_thread(CliRunner().invoke, main, list(arguments))

    return run


class TestUsers:
    async def test_promote_and_demote_apply_to_the_next_request(
        self, customer: Caller, command: object
    ) -> None:
        result = await command("users", "promote", "Customer@Example.com")  # type: ignore[operator]
        assert (result.exit_code, result.output) == (0, "The user is staff now.\n")
        assert (await customer.get("/api/me")).json()["data"]["role"] == "staff"
        await command("users", "demote", customer.email)  # type: ignore[operator]
        assert (await customer.get("/api/me")).json()["data"]["role"] == "customer"

    async def test_logout_command_ends_the_users_session(self, customer: Caller, command: object) -> None:
        result = await command("users", "logout", customer.email)  # type: ignore[operator]
        assert result.exit_code == 0, result.output
        assert_problem(await customer.get("/api/me"), 401, "invalid_token")

    @pytest.mark.parametrize("name", ["promote", "demote", "logout", "unlink"])
    async def test_users_command_with_unknown_email_exits_with_1(
        self, customer: Caller, command: object, name: str
    ) -> None:
        result = await command("users", name, "nobody@example.com")  # type: ignore[operator]
        assert result.exit_code == 1
        assert "there is no user" in result.output


class TestLinks:
    @pytest.fixture
    def command(
        self, command: object, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
    ) -> Generator[object]:
        with served(emulator) as url:
            monkeypatch.setenv("HUBSPOT_BASE_URL", url)
            monkeypatch.setenv("HUBSPOT_ACCESS_TOKEN", "test-access-token")
            yield command

    async def test_link_and_unlink_commands_apply_to_next_request(
        self, customer: Caller, command: object, emulator: Emulator
    ) -> None:
        [contact_id] = emulator.seed({"contacts": [{"email": "other@example.com"}]})["contacts"]
        seed_deals(emulator, contact_id, 2)
        result = await command("users", "link", customer.email, contact_id)  # type: ignore[operator]
        assert (result.exit_code, result.output) == (0, f"The user is linked to contact {contact_id} now.\n")
        assert len((await customer.get("/api/deals")).json()["data"]["results"]) == 2
        result = await command("users", "unlink", customer.email)  # type: ignore[operator]
        assert (result.exit_code, result.output) == (0, "The user has no contact now.\n")
        assert (await customer.get("/api/deals")).json()["data"]["results"] == []
        assert_problem(await customer.post("/api/deals", deal_body()), 409, "contact_missing")
        lines = (await command("audit", "--user", customer.email)).output.splitlines()  # type: ignore[operator]
        assert f"by=operator  detail=was {customer.contact_id}, is {contact_id}" in lines[-2]
        assert f"by=operator  detail=was {contact_id}, is None" in lines[-1]

    async def test_link_command_uses_surviving_id_of_merged_contact(
        self, customer: Caller, command: object, emulator: Emulator
    ) -> None:
        await command("users", "unlink", customer.email)  # type: ignore[operator]
        [other] = emulator.seed({"contacts": [{"email": "other@example.com"}]})["contacts"]
        survivor = emulator.merge("contacts", other, customer.contact_id)
        result = await command("users", "link", customer.email, customer.contact_id)  # type: ignore[operator]
        assert result.output == f"The user is linked to contact {survivor} now.\n"

    async def test_other_users_contact_is_linkable_only_after_lost_link(
        self, customer: Caller, other_customer: Caller, command: object, emulator: Emulator
    ) -> None:
        arguments = ("users", "link", customer.email, other_customer.contact_id)
        result = await command(*arguments)  # type: ignore[operator]
        assert result.exit_code == 1
        assert "another user is linked" in result.output
        # A lost link of another user ends, because the operator has decided.
        emulator.archive_as_other_actor("contacts", other_customer.contact_id)
        assert (await other_customer.get("/api/deals")).status_code == 503
        emulator.restore_as_other_actor("contacts", other_customer.contact_id)
        result = await command(*arguments)  # type: ignore[operator]
        assert result.exit_code == 0, result.output
        assert (await other_customer.get("/api/deals")).json()["data"]["results"] == []

    @pytest.mark.parametrize(
        ("email", "contact_id", "message"),
        [
            ("customer@example.com", "999999", "HubSpot has no contact 999999"),
            ("customer@example.com", "1/deals", "a number"),
            ("nobody@example.com", "", "there is no user"),
        ],
    )
    async def test_link_command_fails_for_invalid_contact_or_unknown_user(
        self, customer: Caller, command: object, email: str, contact_id: str, message: str
    ) -> None:
        arguments = ("users", "link", email, contact_id or customer.contact_id)
        result = await command(*arguments)  # type: ignore[operator]
        assert result.exit_code != 0
        assert message in result.output


class TestAudit:
    async def test_audit_command_prints_events_with_actor(self, customer: Caller, command: object) -> None:
        await command("users", "promote", customer.email)  # type: ignore[operator]
        result = await command("audit")  # type: ignore[operator]
        assert result.exit_code == 0, result.output
        lines = result.output.splitlines()
        assert [line.split()[1] for line in lines] == [
            "registered",
            "contact_linked",
            "login_succeeded",
            "role_changed",
        ]
        assert "by=anonymous  from=127.0.0.1  request=" in lines[0]
        assert "by=operator  detail=is staff" in lines[-1]

    async def test_audit_command_options_select_entries(
        self, customer: Caller, other_customer: Caller, command: object
    ) -> None:
        arguments = ("audit", "--user", customer.email, "--event", "registered", "--json")
        result = await command(*arguments)  # type: ignore[operator]
        [entry] = [json.loads(line) for line in result.output.splitlines()]
        assert (entry["event"], entry["actor"], entry["address"]) == ("registered", "anonymous", "127.0.0.1")
        assert len((await command("audit", "--limit", "2")).output.splitlines()) == 2  # type: ignore[operator]
        assert (await command("audit", "--since", "2999-01-01")).output == ""  # type: ignore[operator]
