"""The `crm-api` command as an operator meets it: what is wrong is said in a line, what takes long says so."""

import asyncio
import json
import time
from collections.abc import Generator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.hubspot_emulator.conftest import served

from crm_api.cli import main
from crm_api.cli.progress import Progress
from hubspot_emulator import Emulator


@pytest.fixture
def emulator_url(emulator: Emulator) -> Generator[str, None, None]:
    with served(emulator) as url:
        yield url


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Development with a HubSpot that is away, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ENVIRONMENT", "development")
    monkeypatch.setenv("HUBSPOT_ACCESS_TOKEN", "test-access-token")
    monkeypatch.setenv("HUBSPOT_BASE_URL", "http://127.0.0.1:9")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


@pytest.mark.parametrize("command", ["serve", "migrate", "audit", "users promote ada@example.com"])
@pytest.mark.parametrize(
    ("variable", "value", "message", "status"),
    [
        ("PORT", "abc", "PORT: Input should be a valid integer", 2),
        ("RATE_LIMIT_USER", "often", "RATE_LIMIT_USER: write it as `120 per 1 minute`", 2),
        ("HUBSPOT_PROPERTIES", "{bad", "HUBSPOT_PROPERTIES: not JSON", 2),
        (
            "CUSTOMER_STAGES",
            '{"deals": [1]}',
            "CUSTOMER_STAGES: deals: Input should be a valid dictionary",
            2,
        ),
        ("DATABASE_URL", "mysql://host/name", "DATABASE_URL: mysql is not supported", 1),
        ("DATABASE_URL", "sqlite:////no/such/folder/x.db", "does not exist", 1),
        ("DATABASE_URL", "secret-of-mine", "DATABASE_URL: write postgresql://", 1),
        ("DATABASE_URL", "postgresql://host:port/name", "DATABASE_URL: write postgresql://", 1),
    ],
)
def test_a_wrong_setting_is_said_in_a_line(
    monkeypatch: pytest.MonkeyPatch, command: str, variable: str, value: str, message: str, status: int
) -> None:
    monkeypatch.setenv(variable, value)
    result = run(*command.split())
    assert (result.exit_code, result.exception.__class__) == (status, SystemExit), result.output
    assert message in result.output
    assert "secret-of-mine" not in result.output
    assert len(result.output.splitlines()) <= 2


@pytest.mark.parametrize("command", ["migrate", "audit", "users promote ada@example.com"])
def test_a_database_that_is_away_is_said_in_a_line(monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://user:secret-of-mine@127.0.0.1:1/name")
    result = run(*command.split())
    assert (result.exit_code, result.output) == (
        1,
        "Error: the database cannot be used: ConnectionRefusedError\n",
    )


class TestHubSpot:
    async def run(self, *arguments: str) -> Result:
        # The command runs an event loop of its own.
        return await asyncio.to_thread(run, "hubspot", *arguments)

    async def test_check_finds_provision_mends(
        self, emulator_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # The first thing that an operator does: nothing but the token is there yet.
        monkeypatch.setenv("ENVIRONMENT", "production")
        monkeypatch.setenv("HUBSPOT_BASE_URL", emulator_url)
        before = await self.run("check")
        assert before.exit_code == 0, before.output
        assert before.output.splitlines()[0] == f"Checking {emulator_url} ..."
        assert sum(line.startswith("WARN") for line in before.output.splitlines()) == 4
        done = await self.run("provision")
        assert (done.exit_code, len(done.output.splitlines())) == (0, 6), done.output
        assert (await self.run("provision")).output == "Nothing was missing.\n"
        after = await self.run("check", "--json")
        assert {each["state"] for each in json.loads(after.stdout)} == {"ok"}

    async def test_what_cannot_be_asked_fails(self) -> None:
        result = await self.run("check")
        assert result.exit_code == 1
        assert result.output.splitlines()[-1].startswith("FAIL  credentials  HubSpot could not be reached")
        result = await self.run("provision")
        assert (result.exit_code, result.output) == (
            1,
            "Error: HubSpot could not be reached (HubSpotConnectionError)\n",
        )

    @pytest.mark.parametrize("command", ["check", "provision"])
    async def test_credentials_are_needed(self, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
        monkeypatch.delenv("HUBSPOT_ACCESS_TOKEN")
        result = await self.run(command)
        assert result.exit_code == 2
        assert "no HubSpot credentials" in result.output


class TestProgress:
    def test_what_takes_long_says_what_it_waits_for(self, capsys: pytest.CaptureFixture[str]) -> None:
        with Progress("the first", interval_seconds=0.05) as progress:
            progress("the second")
            deadline = time.monotonic() + 5
            told = ""
            while "the second (0 s)" not in told and time.monotonic() < deadline:
                time.sleep(0.01)
                told += capsys.readouterr().err
        assert "... the second (0 s)\n" in told
        assert "the first" not in told

    def test_what_is_quick_says_nothing(self, capsys: pytest.CaptureFixture[str]) -> None:
        with Progress("nothing"):
            pass
        assert capsys.readouterr().err == ""
