"""`crm-api users` and `crm-api audit`."""

import asyncio
import json

import pytest
from click.testing import CliRunner, Result
from tests.support.callers import Caller, assert_problem

from crm_api.cli import main
from crm_api.settings import Settings


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

    async def test_logout_command_ends_all_sessions_of_the_user(
        self, customer: Caller, command: object
    ) -> None:
        result = await command("users", "logout", customer.email)  # type: ignore[operator]
        assert result.exit_code == 0, result.output
        assert_problem(await customer.get("/api/me"), 401, "invalid_token")

    @pytest.mark.parametrize("name", ["promote", "demote", "logout"])
    async def test_users_command_with_unknown_email_exits_with_1(
        self, customer: Caller, command: object, name: str
    ) -> None:
        result = await command("users", name, "nobody@example.com")  # type: ignore[operator]
        assert result.exit_code == 1
        assert "there is no user" in result.output


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
